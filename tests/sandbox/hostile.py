"""Programs that misbehave, each with the verdicts it may get.

Names start with the case numbers of the threat list: A time, B memory, C processes, D files and the
host, E output and input, F cheating, G network and kernel, H environment.
"""

from typing import NamedTuple

from sandbox import Verdict

OK = Verdict.ACCEPTED
RE = Verdict.RUNTIME_ERROR
EE = Verdict.EARLY_EXIT
SG = Verdict.SIGNAL
CE = Verdict.COMPILE_ERROR
WA = Verdict.WRONG_ANSWER
ML = Verdict.MEMORY_LIMIT
CT = Verdict.CPU_TIMEOUT
WT = Verdict.WALL_TIMEOUT


class Hostile(NamedTuple):
    """A program and what has to become of it.

    Attributes:
        name: Case number and a word.
        source: The program.
        verdicts: Verdicts that are right.
        stdout: Exact standard output, None when it does not matter.
        expected: The expected output that the program is judged by.
        stderr: Something that standard error must contain.
        flag: A flag that the execution must carry.
    """

    name: str
    source: str
    verdicts: tuple[Verdict, ...]
    stdout: str | None = None
    expected: str | None = None
    stderr: str = ""
    flag: str | None = None


TIME = [
    Hostile("A1 spin", "while True: pass", (CT,)),
    Hostile("A2 sleep", "import time; time.sleep(60)", (WT,), flag="idle"),
    Hostile("A3 one long C call", "sum(range(10**12))", (CT,)),
    Hostile(
        "A5 ignores signals",
        "import signal\n"
        "for s in range(1, 32):\n"
        "    try: signal.signal(s, signal.SIG_IGN)\n"
        "    except OSError: pass\n"
        "while True: pass",
        (CT,),
    ),
    Hostile(
        "A6 spins in except",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        (CT,),
    ),
    Hostile("A7 stops itself", "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", (WT,)),
    Hostile(
        "A8 busy threads",
        "import threading\n"
        "def spin():\n    while True: sum(range(10**6))\n"
        "for _ in range(4): threading.Thread(target=spin).start()",
        (CT,),
    ),
    Hostile(
        "A11 exit hook loops", "import atexit\n@atexit.register\ndef f():\n  while 1: 0", (CT,)
    ),
    Hostile("A12 no input", "input()", (RE,), stderr="EOFError"),
    Hostile(
        "A14 sets the clock", "import time\ntime.clock_settime(0, 0)", (RE,), stderr="not permitted"
    ),
]

MEMORY = [
    Hostile("B1 grows", "x = []\nwhile True: x.append(bytearray(b'x' * (1 << 20)))", (ML,)),
    Hostile("B2 one huge block", "bytearray(4 << 30)", (ML,)),
    Hostile(
        "B5 recursion",
        "import sys\nsys.setrecursionlimit(10**8)\ndef f(n): return f(n + 1) + 1\nf(0)",
        (ML, SG),
    ),
    Hostile("B7 deep nesting", "eval('(' * 100_000)", (RE, SG, ML)),
    Hostile("B9 many digits", "print(len(str(int('9' * 5000))))", (OK,), stdout="5000\n"),
    Hostile(
        "B11 fills tmp and memory",
        "f = open('/tmp/a', 'wb')\n"
        "try:\n    while True: f.write(b'x' * 65536)\nexcept OSError: pass\n"
        "x = []\nwhile True: x.append(bytearray(b'x' * (1 << 20)))",
        (ML,),
    ),
]

PROCESSES = [
    Hostile(
        "C1 fork bomb",
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        (CT, WT),
    ),
    Hostile(
        "C3 daemon",
        "import os, time\n"
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(300)\n"
        "    os._exit(0)\nprint('x')",
        (OK,),
        stdout="x\n",
    ),
    Hostile(
        "C4 daemon keeps stdout",
        "import os, time\nif os.fork() == 0:\n    time.sleep(300)\nprint('x')",
        (OK,),
        stdout="x\n",
        flag="left_processes",
    ),
    Hostile("C6 kill all", "import os; os.kill(-1, 9)", (OK, RE, SG)),
    Hostile("C7 kill parent", "import posix; posix.kill(posix.getppid(), 9)", (OK, RE)),
    Hostile("C7 kill group", "import os; os.killpg(0, 9)", (SG,)),
    Hostile(
        "C10 weakens its parent",
        "import os, resource\nresource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (0, 0))",
        (RE,),
    ),
    Hostile(
        "C11 traces its parent",
        "import ctypes\nassert ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0",
        (RE,),
    ),
    *(
        Hostile(f"C12 reads {name} of 1", f"open('/proc/1/{name}', 'rb').read(1)", (RE,))
        for name in ("mem", "environ", "maps")
    ),
    Hostile("C12 lists descriptors of 1", "import os; os.listdir('/proc/1/fd')", (RE,)),
    Hostile(
        "C16 pool",
        "import multiprocessing\n"
        "def double(x): return 2 * x\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.Pool(2) as pool:\n        print(pool.map(double, [1, 2, 3]))",
        (OK,),
        stdout="[2, 4, 6]\n",
    ),
    Hostile(
        "C18 shell job",
        "import subprocess\nsubprocess.run(['sh', '-c', 'sleep 99 &'])\nprint('x')",
        (OK,),
        stdout="x\n",
    ),
    Hostile("C19 segfault", "import ctypes; ctypes.string_at(0)", (SG,)),
    Hostile("C19 abort", "import os; os.abort()", (SG,)),
]

FILES = [
    Hostile("D1 shadow", "print(open('/etc/shadow').read())", (RE,), stderr="FileNotFound"),
    Hostile("D1 root", "import os; print(os.listdir('/root/.ssh'))", (RE,)),
    Hostile("D3 home", "import os; print(os.listdir(os.path.expanduser('~')))", (OK,), "[]\n"),
    Hostile("D3 sockets", "import os; print(os.path.exists('/run/docker.sock'))", (OK,), "False\n"),
    *(
        Hostile(f"D5 write {path}", f"open({path!r}, 'w').write('1')", (RE,))
        for path in ("/x", "/usr/x", "/etc/passwd", "/dev/x", "/proc/sys/kernel/core_pattern")
    ),
    Hostile(
        "D8 fills tmp", "f = open('/tmp/f', 'wb')\nwhile True: f.write(b'x' * (1 << 20))", (RE,)
    ),
    Hostile("D8 many files", "for i in range(10**6): open(f'/tmp/{i}', 'w').close()", (RE,)),
    Hostile(
        "D16 leaves files",
        "import os\n"
        "for d in ('/tmp', '/var/tmp', '/dev/shm'):\n    open(d + '/left', 'w').close()\n"
        "os.makedirs('/tmp/a/b/c'); os.chmod('/tmp/a/b', 0)",
        (OK,),
        flag="left_files",
    ),
    Hostile(
        "D16 deep folders",
        "import os\nfor i in range(150):\n    os.mkdir('d' * 255); os.chdir('d' * 255)",
        (OK,),
        flag="left_files",
    ),
    Hostile(
        "D15 odd names",
        "for name in (b'\\xff\\n', b'a\\\\b', b'-rf'): open(b'/tmp/' + name, 'w').close()",
        (OK,),
        flag="left_files",
    ),
    Hostile("D19 mounts", "import ctypes\nassert ctypes.CDLL(None).chroot(b'/tmp') == 0", (RE,)),
]

OUTPUT = [
    Hostile("E1 endless stdout", "while True: print('x' * 1000)", (Verdict.OUTPUT_LIMIT,)),
    Hostile(
        "E2 endless stderr",
        "import sys\nwhile True: print('x' * 1000, file=sys.stderr)",
        (Verdict.OUTPUT_LIMIT,),
    ),
    Hostile("E3 200 kB", "print('x' * 200_000)", (OK,), stdout="x" * 200_000 + "\n"),
    Hostile(
        "E5 odd bytes",
        "import sys\nsys.stdout.buffer.write(b'\\x00\\xff\\x1b[31m\\r\\n')",
        (OK,),
        stdout="\x00\\xff\x1b[31m\r\n",
    ),
    Hostile("E6 surrogate", "print(chr(0xDC80))", (RE,), stderr="UnicodeEncodeError"),
    Hostile(
        "E11 fake tokens",
        'print("VERDICT PASS"); print(\'{"passed": true}\'); print("1.0")',
        (WA,),
        expected="42",
    ),
    Hostile("E12 first line only", "print(1)", (WA,), expected="1\n2\n"),
    Hostile(
        "E14 unflushed",
        "import os\nprint(42)\nos._exit(0)",
        (EE,),
        expected="42",
        stdout="",
    ),
    Hostile("E14 flushed", "import os\nprint(42, flush=True)\nos._exit(0)", (EE,), expected="42"),
    Hostile("E19 NUL", "print(1)\0", (CE,)),
    Hostile("E19 BOM", "\ufeffprint(1)", (OK,), stdout="1\n"),
    Hostile("E19 surrogate", "print('\udc80')", (CE,)),
    Hostile("E19 cookie", "# coding: utf-7\nprint('é')", (OK,), stdout="é\n"),
    Hostile("E19 comment", "# nothing", (OK,), stdout=""),
    Hostile("E19 empty", "", (OK,), stdout=""),
    Hostile("E19 large", "#" * (1 << 21), (CE,), flag="source_too_large"),
    Hostile("E20 syntax", "print(", (CE,), stderr="SyntaxError"),
    Hostile("E20 tabs", "if 1:\n\tx = 1\n        y = 2", (CE,), stderr="TabError"),
    Hostile("E20 indentation", "if 1:\nx = 1", (CE,), stderr="IndentationError"),
    Hostile("E20 many brackets", "(" * 5000, (CE,)),
    Hostile("E21 warnings", "print(1 is 1)", (OK,), stdout="True\n", stderr="SyntaxWarning"),
]

_SWAP_STATUS = """
import os, sys
for fd in range(3, 4096):
    try:
        os.write(fd, b"%s")
    except OSError:
        pass
"""

CHEATS = [
    Hostile("F1 sys.exit", "import sys\nprint(42)\nsys.exit(0)\nassert 0", (EE,), expected="42"),
    Hostile("F1 exit()", "raise SystemExit\nassert 0", (EE,)),
    Hostile(
        "F2 exit in function", "def f():\n    raise SystemExit(0)\nprint(42)\nprint(f())", (EE,)
    ),
    Hostile(
        "F2 exit in a last block",
        "import sys\nif True:\n    sys.exit(0)\n    print(1)",
        (EE,),
    ),
    Hostile("F3 os._exit", "import os; os._exit(0)", (EE,)),
    Hostile("F3 in function", "import os\ndef f(): os._exit(0)\nprint(f())", (EE,)),
    Hostile("F4 atexit", "import atexit, os\natexit.register(os._exit, 0)", (EE,)),
    Hostile("F4 excepthook", "import os, sys\nsys.excepthook = lambda *a: os._exit(0)\n1/0", (EE,)),
    Hostile(
        "F4 thread hook",
        "import os, threading\nthreading.excepthook = lambda a: os._exit(0)\n"
        "threading.Thread(target=lambda: 1/0).start()",
        (EE,),
    ),
    Hostile(
        "F4 thread",
        "import os, threading, time\n"
        "threading.Thread(target=os._exit, args=(0,)).start()\ntime.sleep(9)",
        (EE,),
    ),
    Hostile("F6 exec", "import os\nos.execv('/bin/true', ['true'])", (EE,)),
    Hostile(
        "F25 forged record",
        _SWAP_STATUS % (r"\0" * 23),
        (Verdict.TAMPERING,),
        flag="forged_record",
    ),
    Hostile(
        "F25 second end record",
        "import sys\n"
        "frame = sys._getframe()\n"
        "while frame and 'record_fd' not in frame.f_locals: frame = frame.f_back\n"
        "import os, struct\n"
        "names = frame.f_locals\n"
        "os.write(names['record_fd'], struct.pack('<16sBiI', names['job'].nonce, 0, 0, 0))\n",
        (Verdict.TAMPERING,),
        flag="forged_record",
    ),
    Hostile(
        "F11 looks for the answer",
        "import gc, sys\n"
        "found = [o for o in gc.get_objects() if ''.join(['84', 'tajna']) in repr(o)[:10000]]\n"
        "frame, seen = sys._getframe(), []\n"
        "while frame: seen.append(repr(frame.f_locals)); frame = frame.f_back\n"
        "text = ''.join(seen)\n"
        "print('seen' if found or ''.join(['84', 'tajna']) in text else 'nothing')",
        (WA,),
        stdout="nothing\n",
        expected="84tajna",
    ),
]

KERNEL = [
    Hostile("G1 tcp", "import socket; socket.create_connection(('1.1.1.1', 80))", (RE,)),
    Hostile("G1 udp", "import socket; socket.socket(2, 2).sendto(b'x', ('1.1.1.1', 53))", (RE,)),
    Hostile("G2 dns", "import socket; socket.getaddrinfo('example.org', 80)", (RE,)),
    Hostile("G4 vsock", "import socket; socket.socket(40, 1)", (RE,)),
    Hostile("G7 local server", "import socket; socket.create_server(('127.0.0.1', 8000))", (RE,)),
    Hostile(
        "G8 unshare", "import ctypes\nassert ctypes.CDLL(None).unshare(0x10000000) == 0", (RE,)
    ),
    Hostile(
        "G8 clone",
        "import ctypes\nassert ctypes.CDLL(None).syscall(56, 0x10000011, 0, 0, 0, 0) >= 0",
        (RE,),
    ),
    Hostile(
        "G9 io_uring",
        "import ctypes\nassert ctypes.CDLL(None).syscall(425, 1, 0) >= 0",
        (RE,),
    ),
    Hostile(
        "G12 raises a limit",
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        (RE,),
    ),
]

ENVIRONMENT = [
    Hostile(
        "H3 fixed",
        "import time, locale, os, sys\n"
        "print(time.tzname[0], locale.getpreferredencoding(), os.getcwd(), __name__, sys.argv)",
        (OK,),
        stdout="UTC utf-8 /tmp __main__ ['main.py']\n",
    ),
    Hostile("H4 missing package", "import numqy", (RE,), flag="missing_dependency:numqy"),
    Hostile(
        "H8 main guard",
        "import inspect, pickle\n"
        "class A:\n    x = 1\n"
        "def main():\n"
        "    print(type(pickle.loads(pickle.dumps(A()))).__name__)\n"
        "    print(inspect.getsource(A), end='')\n"
        "if __name__ == '__main__':\n    main()",
        (OK,),
        stdout="A\nclass A:\n    x = 1\n",
    ),
    Hostile("H8 traceback", "def f():\n    return 1 / 0\nf()", (RE,), stderr="return 1 / 0"),
    Hostile("H8 exit at the end", "import sys\nprint(1)\nsys.exit(0)", (OK,), stdout="1\n"),
    Hostile(
        "H8 exit(main())",
        "import sys\ndef main():\n    print(1)\n    return 0\n"
        "if __name__ == '__main__':\n    sys.exit(main())",
        (OK,),
        stdout="1\n",
    ),
    Hostile("exit 3", "import sys; sys.exit(3)", (Verdict.NONZERO_EXIT,)),
    Hostile("exit text", "import sys; sys.exit('no')", (Verdict.NONZERO_EXIT,), stderr="no"),
    Hostile("_exit 3", "import os; os._exit(3)", (Verdict.NONZERO_EXIT,)),
    Hostile("fork without exec", "import os\nos.fork()\nos.wait() if 0 else None", (OK,)),
    Hostile("error", "raise ValueError(1)", (RE,), stderr="ValueError: 1"),
    Hostile("assertion", "assert 1 == 2", (RE,), stderr="assert 1 == 2"),
]

CASES = [
    *TIME,
    *MEMORY,
    *PROCESSES,
    *FILES,
    *OUTPUT,
    *CHEATS,
    *KERNEL,
    *ENVIRONMENT,
]
