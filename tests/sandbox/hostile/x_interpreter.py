"""X: programs that turn on the interpreter that runs them, or on the end of their process."""

from tests.sandbox.hostile.case import CT, EE, ML, NZ, OK, RE, SG, WA, WT, Hostile, case

CASES: list[Hostile] = [
    case(
        # Printed as the interpreter would: the last thousand, not for seconds all of them.
        "X error of 20,000 frames",
        "import sys\nsys.setrecursionlimit(20_000)\ndef f(): f()\nf()",
        RE,
    ),
    case(
        # Few enough to be printed whole, well below the limits of CPU time and of error output.
        "X error of 2,000 causes",
        """
        error = None
        for i in range(2000):
            new = ValueError(i)
            new.__cause__, error = error, new
        raise error
        """,
        RE,
    ),
    case(
        "X cause that is its own cause",
        "a, b = ValueError(1), ValueError(2)\na.__cause__, b.__cause__ = b, a\nraise a",
        RE,
        stderr="ValueError: 1",
    ),
    case(
        "X errors in errors",
        "e = ValueError()\nfor _ in range(2_000): e = ExceptionGroup('x', [e])\nraise e",
        RE,
        SG,
    ),
    case(
        "X group of many errors",
        "raise ExceptionGroup('x', [ValueError(i) for i in range(2_000)])",
        RE,
        CT,
    ),
    case(
        "X error that cannot be printed",
        "class E(Exception):\n    def __str__(self): raise self\nraise E",
        RE,
    ),
    case(
        "X error whose text loops",
        "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E",
        CT,
    ),
    case(
        "X error whose text leaves",
        "import os\nclass E(Exception):\n    def __str__(self): os._exit(0)\nraise E",
        EE,
    ),
    case(
        "X error hook that raises",
        "import sys\ndef f(*a): raise SystemExit(0)\nsys.excepthook = f\n1/0",
        RE,
    ),
    case(
        "X stderr that fails",
        "import sys\nclass E:\n    def write(self, s): raise ValueError\nsys.stderr = E()\n1/0",
        RE,
    ),
    case(
        "X stdout that cannot be flushed",
        "import sys\nclass E:\n    closed = False\n    def write(self, s): pass\n"
        "    def flush(self): raise SystemExit(0)\nsys.stdout = E()\nprint(42)",
        WA,
        EE,
        expected="42",
    ),
    case("X no stderr", "import sys\nsys.stderr = None\n1/0", RE),
    case("X removes every module", "import sys\nsys.modules.clear()\nprint(42)", OK, expected="42"),
    case(
        "X empties the modules it needs to end",
        """
        import atexit, io, os, sys, threading, traceback
        print(42)
        for module in (traceback, threading, atexit, io, os, sys):
            module.__dict__.clear()
        """,
        OK,
        RE,
        EE,
        NZ,
    ),
    case(
        "X empties builtins",
        "import builtins\nprint(42, flush=True)\nbuiltins.__dict__.clear()",
        OK,
        RE,
        EE,
        NZ,
    ),
    case(
        "X hides the end of its module",
        "import sys\nsys.modules['__main__'] = None\ndel __name__, __builtins__\nprint(42)",
        OK,
        expected="42",
    ),
    case("X exits while exiting", "import atexit, sys\natexit.register(sys.exit, 3)", OK, NZ, RE),
    case(
        "X leaves early while exiting",
        "import atexit, os\nprint(42, flush=True)\natexit.register(os._exit, 0)",
        EE,
        expected="42",
    ),
    case(
        "X waits while exiting",
        "import atexit, time\natexit.register(time.sleep, 99)",
        WT,
        flag="idle",
    ),
    case(
        "X registers an exit hook in its exit hook, for ever",
        "import atexit\ndef f():\n    atexit.register(f)\nf()",
        CT,
        OK,
    ),
    case(
        "X starts threads while exiting",
        "import atexit, threading, time\n"
        "atexit.register(lambda: threading.Thread(target=time.sleep, args=(9,)).start())",
        OK,
        RE,
    ),
    case(
        "X __del__ forks",
        "import os\nclass A:\n    def __del__(self): os.fork()\na = A()\ndel a\nprint('x')",
        OK,
    ),
    case(
        "X __del__ at the end exits",
        "import os\nclass A:\n    def __del__(self): os._exit(3)\na = A()\nprint('x', flush=True)",
        OK,
        NZ,
        stdout="x\n",
    ),
    case(
        "X a child finishes the program first",
        "import os, time\nif os.fork(): time.sleep(0.1); os._exit(0)\nprint(42)",
        EE,
        expected="42",
    ),
    case(
        "X every process finishes the program",
        "import os\nfor _ in range(3):\n    if os.fork(): os.wait()\nprint(42)",
        WA,
        expected="42",
    ),
    case(
        "X traces itself",
        "import sys\nn = 0\ndef f(*a):\n    global n\n    n += 1\n    return f\n"
        "sys.settrace(f); sys.setprofile(f)\nprint(42)",
        OK,
        expected="42",
    ),
    case(
        "X hooks every audit event",
        "import sys\ndef f(*a): raise RuntimeError('no')\n"
        "sys.addaudithook(f)\nprint(42)\nopen('x')",
        RE,
    ),
    case(
        "X refuses every import",
        """
        import builtins
        def refuse(*ignored, **named):
            raise ImportError
        builtins.__import__ = refuse
        print(42)
        """,
        OK,
        expected="42",
    ),
    case(
        "X writes into the interpreter",
        """
        import ctypes
        ctypes.memset(id(print), 0x41, 64)
        print(42)
        """,
        SG,
    ),
    case(
        "X changes what True is",
        """
        import ctypes
        ctypes.memmove(id(False) + 24, id(True) + 24, 4)
        ctypes.memmove(id(41) + 24, id(42) + 24, 4)
        print(41)
        """,
        OK,
        WA,
        SG,
        expected="42",
    ),
    case(
        "X bad byte code",
        "f = lambda: 0\nf.__code__ = f.__code__.replace(co_code=b'\\x90' * 64)\nf()",
        SG,
        RE,
        ML,
        CT,
        OK,
    ),
    case(
        "X walks into process 1's code and serves",
        """
        import os, sys
        os._exit = lambda status: None
        frame = sys._getframe()
        while frame:
            for name, value in list(frame.f_globals.items()):
                if name == "_exit":
                    frame.f_globals[name] = lambda status: None
                if type(value).__name__ == "module" and hasattr(value, "_exit"):
                    value._exit = lambda status: None
            frame = frame.f_back
        print(42)
        """,
        EE,
        NZ,
        OK,
        expected="42",
    ),
    case(
        "X raises through every frame",
        """
        import ctypes, threading, sys
        class Through(BaseException): pass
        def raise_in_main():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(threading.main_thread().ident), ctypes.py_object(Through))
        threading.Thread(target=lambda: [raise_in_main() for _ in range(1000)]).start()
        while True:
            pass
        """,
        RE,
    ),
    case(
        "X interrupts itself", "import _thread, time\n_thread.interrupt_main()\ntime.sleep(1)", RE
    ),
    case(
        "X interrupted by its own alarm",
        """
        import signal, time
        def interrupt(*ignored):
            raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        try:
            time.sleep(9)
        finally:
            print(42)
        """,
        RE,
        expected="42",
        stderr="KeyboardInterrupt",
    ),
    case(
        "X imports the sandbox's own code",
        "import sys\nsys.path.insert(0, '/opt/selfloom')\nimport sandbox.cell.zygote as z\n"
        "z.Zygote({}, 0, 1)",
        RE,
    ),
    case(
        "X runs the sandbox's own process",
        "import sys\nsys.path.insert(0, '/opt/selfloom')\nsys.argv = ['x', '{}']\n"
        "import sandbox.cell.zygote as z\nz.main()",
        RE,
        NZ,
        EE,
    ),
]
