"""X: programs that turn on what a cell shares with the next program, or with the host."""

from tests.sandbox.hostile.case import (
    CALL,
    CT,
    EE,
    NZ,
    OK,
    RE,
    SG,
    TA,
    WT,
    Hostile,
    case,
    refused,
    refused_call,
)

# A filter of its own; each action is the answer to every system call named.
_FILTER = f"""{CALL}
import struct
def install(numbers, action, flags=0):
    code = struct.pack("<HBBI", 0x20, 0, 0, 0)
    for number in numbers:
        code += struct.pack("<HBBI", 0x15, 0, 1, number) + struct.pack("<HBBI", 6, 0, 0, action)
    code += struct.pack("<HBBI", 6, 0, 0, 0x7fff0000)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    return call(317, 277, 1, flags, program)
x86 = os.uname().machine == "x86_64"
"""

CASES: list[Hostile] = [
    case(
        "X filter that kills at the end",
        _FILTER + "print(42, flush=True)\ninstall([231 if x86 else 94], 0x80000000)",
        SG,
        expected="42",
    ),
    case(
        "X filter that refuses the end",
        _FILTER + "print(42, flush=True)\ninstall([231, 60] if x86 else [94, 93], 0x00050001)",
        SG,
        CT,
        expected="42",
    ),
    case(
        "X filter that refuses writing",
        _FILTER + "print(42, flush=True)\ninstall([1 if x86 else 64], 0x00050009)",
        EE,
        RE,
        expected="42",
    ),
    case(
        "X filter that asks somebody who never answers",
        _FILTER + "fd = install([39 if x86 else 172], 0x7fc00000, 8)\nos.getpid()",
        WT,
    ),
    case(
        "X filter that traces without a tracer",
        _FILTER + "install([39 if x86 else 172], 0x7ff00000)\nlibc.getpid()\nprint('x')",
        EE,  # The number of the process cannot be told any more, so no end is reported.
        stdout="x\n",
    ),
    case(
        "X children wait for an answer when the program ends",
        _FILTER
        + "fd = install([39 if x86 else 172], 0x7fc00000, 8)\n"
        + "if libc.fork() == 0: libc.syscall(39 if x86 else 172)\nos._exit(0)",
        EE,
    ),
    case("X landlock of its own", f"{CALL}\nprint(call(444, 444, 0, 0, 1) > 0)", OK, RE),
    *(
        refused_call(f"X prctl {name}", f"157, 167, {arguments}", "rror: [Errno")
        for name, arguments in (
            ("memory layout", "35, 1, 0x10000, 0, 0"),
            ("securebits", "28, 0, 0, 0, 0"),
            ("ambient capability", "47, 2, 21, 0, 0"),
            ("strict mode", "22, 1, 0, 0, 0"),
            ("filters of the kernel taken back", "22, 0, 0, 0, 0"),
            ("new privileges", "38, 0, 0, 0, 0"),
            ("io flusher", "57, 1, 0, 0, 0"),
        )
    ),
    case(
        "X prctl names somebody who may trace it",
        "import ctypes; print(ctypes.CDLL(None).prctl(0x59616d61, -1, 0, 0, 0))",
        OK,
    ),
    case(
        # But two: at 0 s of CPU time the next tick of a clock kills, before the end or after it,
        # and how much of the stack is in use hangs on where the kernel put it.
        "X lowers every limit of itself",
        """
        import resource
        for limit in set(range(16)) - {resource.RLIMIT_CPU, resource.RLIMIT_STACK}:
            try:
                resource.setrlimit(limit, (0, 0))
            except (OSError, ValueError):
                pass
        """,
        OK,
        RE,
        SG,
        EE,
    ),
    case(
        "X lowers its limits and leaves files",
        """
        import os, resource
        os.makedirs("/tmp/a/b")
        for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE):
            resource.setrlimit(limit, (0, 0))
        """,
        OK,
        flag="left_files",
    ),
    case(
        "X locks files of the host",
        """
        import fcntl, os
        for path in ("/etc/passwd", "/usr/bin/env", "/dev/null"):
            try:
                fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # A program in another cell was faster: files of the host are the same file.
        print("x")
        """,
        OK,
        stdout="x\n",
    ),
    case(
        "X queues signals",
        f"{CALL}\nimport signal\nsignal.pthread_sigmask(0, [40])\n"
        "for _ in range(10_000):\n    libc.sigqueue(os.getpid(), 40, None)\nprint('x')",
        OK,
        CT,
    ),
    case(
        # Not until there are no more: the kernel counts timers per user, whatever cell they are in.
        "X many timers",
        f"{CALL}\nt = ctypes.c_int()\nfor _ in range(5000): call(222, 107, 1, 0, ctypes.byref(t))",
        OK,
    ),
    case(
        "X abstract sockets",
        """
        import socket
        kept = []
        while True:
            kept.append(socket.socket(socket.AF_UNIX))
            kept[-1].bind(f"\\0name{len(kept)}")
        """,
        RE,
        stderr="Too many open files",
    ),
    case(
        "X descriptors in flight",
        """
        import array, os, socket
        a, b = socket.socketpair()
        while True:
            message = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [1, 2, a.fileno()]))]
            a.sendmsg([b"x"], message)
        """,
        RE,
        WT,
    ),
    case(
        "X sends its pipes to a daemon",
        """
        import array, os, socket, time
        a, b = socket.socketpair()
        fds = [int(fd) for fd in os.listdir("/proc/self/fd")]
        fds = [fd for fd in fds if os.path.exists(f"/proc/self/fd/{fd}")]
        if os.fork() == 0:
            os.setsid()
            os.closerange(0, 3)
            b.recvmsg(1, 9999)
            time.sleep(99)
        a.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
        print("x")
        """,
        OK,
        stdout="x\n",
        flag="left_processes",
    ),
    case(
        "X watches itself in circles",
        """
        import os, select
        outer, inner = select.epoll(), select.epoll()
        inner.register(outer.fileno())
        try:
            outer.register(inner.fileno())
        except OSError as error:
            print(error.errno)
        """,
        OK,
        stdout="40\n",
    ),
    case(
        "X every own file of /proc is written to",
        """
        import os
        for name in os.listdir("/proc/self"):
            for text in (b"0", b"1", b"4"):
                try:
                    fd = os.open("/proc/self/" + name, os.O_WRONLY)
                    os.write(fd, text)
                    os.close(fd)
                except OSError:
                    pass
        print("x")
        """,
        OK,
        stdout="x\n",
    ),
    case(
        "X every file of /proc is read",
        """
        import os
        for folder, folders, names in os.walk("/proc"):
            folders[:] = [name for name in folders if not name.isdigit() or name == "1"]
            if folder.count("/") > 3:
                folders.clear()
            for name in names:
                try:
                    fd = os.open(folder + "/" + name, os.O_RDONLY | os.O_NONBLOCK)
                    os.read(fd, 100)
                    os.close(fd)
                except OSError:
                    pass
        """,
        OK,
        CT,
    ),
    case(
        "X every control of every device",
        """
        import fcntl, os
        for path in ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"):
            fd = os.open(path, os.O_RDWR)
            for request in (0x5200, 0x5203, 0x5204, 0x5206, 0x5207, 0x5412, 0x540e, 0x5411,
                            0xc0045877, 0xc0045878, 0x5452, 0x8901):
                try:
                    fcntl.ioctl(fd, request, b"x" * 64)
                except (OSError, ValueError):
                    pass
        print("x")
        """,
        OK,
        stdout="x\n",
    ),
    case(
        "X input of everyone does not block",
        "import fcntl, os\nfcntl.fcntl(0, fcntl.F_SETFL, os.O_NONBLOCK | os.O_APPEND)\nprint('x')",
        OK,
        stdout="x\n",
    ),
    case(
        "X locks the input of everyone",
        """
        import fcntl
        try:
            fcntl.flock(0, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        print("x")
        """,
        OK,
        stdout="x\n",
    ),
    refused("X pushes into a terminal", "import fcntl; fcntl.ioctl(0, 0x5412, b'x')", "[Errno"),
    case(
        "X own session and group",
        "import os\ntry:\n    os.setsid()\nexcept OSError:\n    os.setpgid(0, 0)\nprint('x')",
        OK,
        RE,
    ),
    case(
        "X random system calls",
        f"{CALL}\nimport random\n"
        "safe = [n for n in range(450) if n not in (15, 34, 35, 56, 57, 58, 60, 130, 231)]\n"
        "for _ in range(3000):\n"
        "    numbers = [ctypes.c_long(random.choice((0, 1, 2, -1, 3, 4096))) for _ in range(6)]\n"
        "    libc.syscall(ctypes.c_long(random.choice(safe)), *numbers)\n",
        *(OK, RE, SG, EE, NZ, CT, WT, TA),
    ),
]
