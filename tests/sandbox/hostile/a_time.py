"""A: programs that do not end, or lie about time."""

from tests.sandbox.hostile.case import CALL, CT, OK, RE, WT, Hostile, case, refused

CASES: list[Hostile] = [
    case("A1 spins", "while True: pass", CT),
    case("A2 sleeps", "import time; time.sleep(60)", WT, flag="idle"),
    case("A3 one long sum", "sum(range(10**12))", CT),
    case("A3 one long power", "pow(3, 10**9)", CT),
    case("A4 regex", "import re; re.match(r'(a+)+$', 'a' * 40 + 'b')", CT),
    case("A4 regex with many groups", "import re; re.match('(x?)*' * 30 + 'z', 'x' * 99)", CT),
    case(
        "A5 ignores signals",
        """
        import signal
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        while True:
            pass
        """,
        CT,
    ),
    case(
        "A5 blocks signals",
        """
        import signal
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        while True:
            pass
        """,
        CT,
    ),
    case(
        "A6 spins in except",
        """
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
        """,
        CT,
    ),
    case("A7 stops itself", "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", WT),
    case(
        "A7 stops everyone", "import os; os.fork(); os.kill(-1, 19); os.kill(os.getpid(), 19)", WT
    ),
    case(
        "A8 busy threads",
        """
        import threading
        def spin():
            while True:
                sum(range(10**6))
        for _ in range(4):
            threading.Thread(target=spin).start()
        """,
        CT,
    ),
    case(
        "A8 busy processes",
        """
        import os
        for _ in range(3):
            os.fork()
        while True:
            pass
        """,
        CT,
    ),
    case("A11 exit hook loops", "import atexit\n@atexit.register\ndef f():\n  while 1: 0", CT),
    case(
        "A11 __del__ loops",
        """
        class Endless:
            def __del__(self):
                while True:
                    pass
        endless = Endless()
        del endless
        """,
        CT,
    ),
    case("A11 thread outlives the end", "import threading as t\nt.Timer(99, int).start()", WT),
    case("A12 no input", "input()", RE, stderr="EOFError"),
    case("A12 reads to the end", "import sys; print(repr(sys.stdin.read()))", OK, stdout="''\n"),
    case(
        "A12 no input after input",
        "print(input()); input()",
        RE,
        stdin="one",
        stdout="one\n",
        stderr="EOFError",
    ),
    case(
        "A13 never reads 50 MB",
        "print('x')",
        OK,
        stdin="x" * (50 << 20),
        stdout="x\n",
        limits=(("stdin_kib", 1 << 16),),
    ),
    case(
        "A13 reads one line of 50 MB",
        "print(len(input()))",
        OK,
        stdin=("x" * 999 + "\n") * (50 << 10),
        stdout="999\n",
        limits=(("stdin_kib", 1 << 16),),
    ),
    refused("A14 sets the clock", "import time; time.clock_settime(0, 0)"),
    case(
        "A14 patches the clocks",
        """
        import time
        for name in ("time", "monotonic", "perf_counter", "process_time", "sleep"):
            setattr(time, name, lambda *ignored: 0)
        while True:
            pass
        """,
        CT,
    ),
    case(
        "X sleeps to a point in time",
        f"""{CALL}
class Time(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("ns", ctypes.c_long)]
call(230, 115, 1, 1, ctypes.byref(Time(10**9, 0)), 0)
""",
        WT,
        flag="idle",
    ),
    case("X waits for a signal", "import signal; signal.pause()", WT, flag="idle"),
    case(
        "X waits for its own lock",
        "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()",
        WT,
        flag="idle",
    ),
    case(
        "X waits for a child that waits",
        "import os, signal\nif os.fork() == 0:\n    signal.pause()\nos.wait()",
        WT,
        flag="idle",
    ),
    case("X opens a pipe nobody writes to", "import os; os.mkfifo('/tmp/p'); open('/tmp/p')", WT),
    case(
        "X sleeps in vfork",
        f"{CALL}\nif call(56, 220, 0x4011, 0, 0, 0, 0) == 0:\n    libc.pause()\n",
        WT,
    ),
    case(
        "X main thread leaves, another waits",
        """
        import ctypes, threading, time
        threading.Thread(target=time.sleep, args=(99,)).start()
        ctypes.CDLL(None).pthread_exit(None)
        """,
        WT,
    ),
    case(
        "X main thread leaves, another spins",
        f"""{CALL}
import threading
def spin():
    while True:
        pass
threading.Thread(target=spin).start()
call(60, 93, 0)
""",
        CT,
    ),
    case(
        "X burns time in children that nobody waits for",
        """
        import os, signal, time
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            for _ in range(6):
                if os.fork() == 0:
                    end = time.process_time() + 0.3
                    while time.process_time() < end:
                        pass
                    os._exit(0)
            try:
                os.wait()
            except ChildProcessError:
                pass
        """,
        CT,
    ),
    case(
        "X never switches threads",
        """
        import sys, threading
        sys.setswitchinterval(1e9)
        def spin():
            while True:
                pass
        threading.Thread(target=spin).start()
        """,
        CT,
    ),
    case(
        "X CPU limit's signal is ignored",
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
        CT,
    ),
    case(
        "X an alarm every microsecond",
        """
        import signal
        signal.signal(signal.SIGALRM, lambda *ignored: None)
        signal.setitimer(signal.ITIMER_REAL, 1e-6, 1e-6)
        while True:
            pass
        """,
        CT,
    ),
    case(
        "X gives way to everyone",
        "import os\nos.nice(19)\nos.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\n"
        "while True: pass",
        CT,
    ),
    case(
        "X tidies up for ever",
        """
        import gc
        class Phoenix:
            def __init__(self): self.me = self
            def __del__(self): Phoenix()
        Phoenix()
        while True:
            gc.collect()
        """,
        CT,
    ),
]
