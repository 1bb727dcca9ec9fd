"""B: programs that want more memory than they may have."""

from tests.sandbox.hostile.case import (
    CALL,
    CT,
    ML,
    OK,
    RE,
    SG,
    TA,
    Hostile,
    case,
    refused,
    refused_call,
)

# Stops where the kernel says so; what it wrote stays behind.
_FILL = """
def fill(path):
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 65536)
        except OSError:
            pass
"""

CASES: list[Hostile] = [
    case("B1 grows", "x = []\nwhile True: x.append(bytearray(b'x' * (1 << 20)))", ML),
    case("B1 grows by doubling", "x = b'x'\nwhile True: x += x", ML),
    case(
        "B1 children grow",
        """
        import os
        for _ in range(3):
            os.fork()
        x = []
        while True:
            x.append(bytearray(b'x' * (1 << 18)))
        """,
        ML,
    ),
    case(
        "B1 a child is killed and its parent ends well",
        """
        import os
        if os.fork() == 0:
            x = []
            while True:
                x.append(bytearray(b'x' * (1 << 20)))
        os.wait()
        """,
        ML,
    ),
    case("B2 one huge block", "bytearray(4 << 30)", ML, stderr="MemoryError"),
    case("B2 one impossible list", "[0] * (1 << 60)", ML, stderr="MemoryError"),
    case(
        "B3 catches MemoryError",
        "try:\n    bytearray(4 << 30)\nexcept MemoryError:\n    print('caught')",
        OK,
        stdout="caught\n",
    ),
    case(
        "B5 recursion",
        "import sys\nsys.setrecursionlimit(10**8)\ndef f(n): return f(n + 1) + 1\nf(0)",
        ML,
        SG,
    ),
    case(
        "B5 recursion through C",
        """
        import sys
        sys.setrecursionlimit(10**8)
        class A:
            def __repr__(self): return repr(self)
        repr(A())
        """,
        ML,
        SG,
    ),
    case("B5 plain recursion", "def f(n): return f(n + 1)\nf(0)", RE, stderr="RecursionError"),
    case("B7 eval of brackets", "eval('(' * 100_000)", RE, ML, SG),
    case("B7 eval of signs", "eval('-' * 100_000 + '1')", RE, ML, SG),
    case("B7 ast of brackets", "import ast; ast.parse('[' * 5000 + ']' * 5000)", RE, ML, SG),
    case("B7 ast of sums", "import ast; ast.literal_eval('1' + '+1' * 100_000)", RE, ML, SG),
    case("B7 json", "import json; json.loads('[' * 100_000)", RE, SG, stderr="RecursionError"),
    case(
        "B7 json writer",
        "import json\nx = []\nfor _ in range(100_000): x = [x]\njson.dumps(x)",
        RE,
        SG,
        stderr="RecursionError",
    ),
    case("B7 pickle", "import pickle\nx = []\nfor _ in range(10**5): x = [x]\npickle.dumps(x)", RE),
    case("B7 repr", "x = []\nfor _ in range(100_000): x = [x]\nrepr(x)", RE, SG),
    case("B7 comparison", "a = b = 0\nfor _ in range(10**5): a, b = [a], [b]\na == b", RE, SG),
    case("B7 unnesting", "x = []\nfor _ in range(10**5): x = [x]\ndel x\nprint(1)", OK),
    case(
        "B7 long syntax error",
        "exec('x = ' + '(' * 90 + 'y ' * 200_000)",
        RE,
    ),
    case("B8 a huge number as text", "str(9 ** (10**7))", CT),
    case("B9 many digits", "print(len(str(int('9' * 5000))))", OK, stdout="5000\n"),
    case(
        "B9 digits by environment",
        """
        import os, sys
        os.environ["PYTHONINTMAXSTRDIGITS"] = "640"
        print(sys.flags.int_max_str_digits, int("9" * 5000) % 10)
        """,
        OK,
        stdout="0 9\n",
    ),
    case(
        "B10 shared memory larger than its folder",
        """
        from multiprocessing.shared_memory import SharedMemory
        memory = SharedMemory(create=True, size=16 << 20)
        memory.buf[:] = b"x" * (16 << 20)
        """,
        SG,
        RE,
    ),
    case(
        "B10 shared memory larger than a file may be",
        "from multiprocessing.shared_memory import SharedMemory\n"
        "SharedMemory(create=True, size=64 << 20)",
        RE,
        stderr="File too large",
    ),
    case(
        "B10 fills /dev/shm",
        "f = open('/dev/shm/f', 'wb')\nwhile True: f.write(b'x' * (1 << 20))",
        RE,
        stderr="No space left",
    ),
    case(
        "B11 fills tmp and memory",
        f"{_FILL}\nfill('/tmp/a')\nx = []\nwhile True: x.append(bytearray(b'x' * (1 << 20)))",
        ML,
    ),
    case(
        "B11 fills every folder, then memory",
        f"{_FILL}\nfill('/tmp/a'); fill('/dev/shm/a')\n"
        "x = []\nwhile True: x.append(bytearray(b'x' * (1 << 20)))",
        ML,
    ),
    case(
        "B13 threads with huge stacks",
        """
        import threading, time
        threading.stack_size(1 << 30)
        for _ in range(100):
            threading.Thread(target=time.sleep, args=(9,)).start()
        """,
        RE,
        stderr="can't start new thread",
    ),
    refused(
        "B14 protects itself from the kernel",
        "open('/proc/self/oom_score_adj', 'w').write('-1000')",
        "Permission denied",
    ),
    refused(
        "B14 gives up its process 1",
        "open('/proc/1/oom_score_adj', 'w').write('1000')",
        "Permission denied",
    ),
    # Memory that no process owns, and a score as low as that of process 1. Without
    # CAP_SYS_RESOURCE the kernel may take process 1, twice, and the program is a cell killer.
    case(
        "B14 lets process 1 look larger",
        """
        import ctypes, os
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
        try:
            with open("/proc/self/oom_score_adj", "w") as file:
                file.write("0")
        except OSError:
            pass
        files, block = [], b"x" * 65536
        while True:
            files.append(os.memfd_create("x"))
            for _ in range(255):
                os.write(files[-1], block)
        """,
        ML,
        TA,
        CT,
    ),
    refused_call("B15 locks memory", "151, 230, 3"),
    case(
        "B15 asks for huge pages",
        """
        import mmap
        block = mmap.mmap(-1, 8 << 20)
        block.madvise(mmap.MADV_HUGEPAGE)
        block[::4096] = b"x" * 2048
        print("used")
        """,
        OK,
        RE,
    ),
    refused(
        "B15 takes the host's huge pages",
        "import mmap; mmap.mmap(-1, 2 << 20, flags=0x40000 | 0x22)",
        "Operation not permitted",
    ),
    refused_call("B15 takes them by a file", "319, 279, b'x', 4"),
    case(
        "X memory in pipes",
        """
        import fcntl, os
        pipes = []
        while True:
            pipes.append(os.pipe())
            os.set_blocking(pipes[-1][1], False)
            os.write(pipes[-1][1], b"x" * 65536)
        """,
        RE,
        ML,
    ),
    case(
        "X memory in sockets",
        """
        import socket
        pairs = []
        while True:
            pairs.append(socket.socketpair())
            pairs[-1][0].setblocking(False)
            try:
                while True:
                    pairs[-1][0].send(b"x" * 65536)
            except BlockingIOError:
                pass
        """,
        RE,
        ML,
        stderr="",
    ),
    case(
        "X memory in sockets sent over sockets",
        """
        import array, socket
        kept = socket.socketpair()
        while True:
            pair = socket.socketpair()
            pair[0].setblocking(False)
            try:
                while True:
                    pair[0].send(b"x" * 65536)
            except BlockingIOError:
                pass
            message = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [pair[1].fileno()]))]
            kept[0].sendmsg([b"x"], message)
        """,
        RE,
        ML,
    ),
    case(
        "X many mappings",
        """
        import mmap
        blocks = []
        for i in range(10_000):
            blocks.append(mmap.mmap(-1, 4096, prot=1 + i % 2))
        """,
        OK,
    ),
    case(
        "X deleted files that are open",
        """
        import os, tempfile
        files = []
        while True:
            files.append(tempfile.TemporaryFile(buffering=0))
            for _ in range(16):
                files[-1].write(b"x" * 65536)
        """,
        RE,
        stderr="No space left",
    ),
    case(
        "X memory of dead cycles",
        """
        class Node:
            pass
        import gc
        gc.disable()
        while True:
            node = Node()
            node.me, node.load = node, bytearray(b"x" * (1 << 18))
        """,
        ML,
    ),
    case("X text that grows when printed", "print('%*d' % (1 << 40, 1))", ML, RE),
    case(
        "X bombs the decompressor",
        """
        import zlib
        bomb = zlib.compress(bytes(1 << 24), 9)
        kept = []
        while True:
            kept.append(bytearray(zlib.decompress(bomb)))
        """,
        ML,
    ),
    case(
        "X shares a mapping with children that grow it",
        f"""{CALL}
import mmap
while True:
    block = mmap.mmap(-1, 16 << 20)
    block[:] = b"x" * (16 << 20)
    if os.fork():
        os.wait()
""",
        ML,
    ),
    case("X imports without end", "import sys\nwhile 1: sys.path.append('x' * 99999)", ML),
]
