"""H: what a program finds, the same on every machine; and how programs end that do no harm."""

from tests.sandbox.hostile.case import EE, NZ, OK, RE, WA, Hostile, case

CASES: list[Hostile] = [
    case(
        "H1 set of strings",
        "import os, sys\nprint(os.environ['PYTHONHASHSEED'], sys.flags.hash_randomization)",
        OK,
        stdout="0 0\n",
    ),
    case("H2 random", "import random; print(random.random())", OK, stdout="0.8444218515250481\n"),
    case(
        "H2 chance of the kernel",
        "import os, uuid\nprint(len(os.urandom(8)), len(str(uuid.uuid4())))",
        OK,
        stdout="8 36\n",
    ),
    case(
        "H3 fixed",
        """
        import getpass, locale, os, shutil, socket, sys, time
        print(time.tzname[0], locale.getpreferredencoding(), os.getcwd(), __name__, sys.argv)
        print(shutil.get_terminal_size(), getpass.getuser(), socket.gethostname(), os.getgid())
        print(sys.stdin.encoding, sys.stdout.encoding, sys.getfilesystemencoding(), os.umask(0))
        print(sys.getrecursionlimit(), sys.flags.utf8_mode, sys.stdout.isatty(), os.getuid() > 0)
        """,
        OK,
        stdout="UTC utf-8 /tmp __main__ ['main.py']\n"
        "os.terminal_size(columns=80, lines=24) program cell 2000000\n"
        "utf-8 utf-8 utf-8 18\n"
        "1000 1 False True\n",
    ),
    case("H4 missing package", "import numqy", RE, flag="missing_dependency:numqy"),
    case("H4 missing part", "import json.numqy", RE, flag="missing_dependency:json.numqy"),
    case("H4 missing name", "from math import numqy", RE, stderr="ImportError"),
    case(
        "H5 threads of libraries",
        "import os\nprint([os.environ[n + '_NUM_THREADS'] for n in ('OMP', 'OPENBLAS', 'MKL')])",
        OK,
        stdout="['1', '1', '1']\n",
    ),
    case(
        "H6 what is slow to import is there before the program",
        """
        import sys
        names = ("collections", "dataclasses", "decimal", "fractions", "inspect", "json", "random",
                 "re", "statistics", "typing")
        print([name for name in names if name not in sys.modules])
        """,
        OK,
        stdout="[]\n",
    ),
    case(
        "H8 main guard",
        """
        import inspect, pickle
        class A:
            x = 1
        def main():
            print(type(pickle.loads(pickle.dumps(A()))).__name__)
            print(inspect.getsource(A), end="")
        if __name__ == "__main__":
            main()
        """,
        OK,
        stdout="A\nclass A:\n    x = 1\n",
    ),
    case("H8 traceback", "def f():\n    return 1 / 0\nf()", RE, stderr="return 1 / 0"),
    case(
        "H8 dataclass, enum, typing",
        """
        from dataclasses import dataclass
        from enum import Enum
        from typing import NamedTuple, get_type_hints
        class Color(Enum):
            RED = 1
        @dataclass
        class Point:
            x: "int"
            color: Color = Color.RED
        class Pair(NamedTuple):
            left: int
        print(Point(1), get_type_hints(Point)["x"], Pair(2))
        """,
        OK,
        stdout="Point(x=1, color=<Color.RED: 1>) <class 'int'> Pair(left=2)\n",
    ),
    case(
        "H8 asyncio",
        "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 1\n"
        "print(asyncio.run(f()))",
        OK,
        stdout="1\n",
    ),
    case(
        "H8 files of its own",
        "import tempfile\nwith tempfile.NamedTemporaryFile('w+') as f:\n"
        "    f.write('x'); f.seek(0); print(f.read())",
        OK,
        stdout="x\n",
    ),
    case(
        "H8 child process",
        "import subprocess, sys\n"
        "print(subprocess.check_output([sys.executable, '-c', 'print(6 * 7)'], text=True), end='')",
        OK,
        stdout="42\n",
    ),
    case("H8 exit at the end", "import sys\nprint(1)\nsys.exit(0)", OK, stdout="1\n"),
    case(
        "H8 input at once",
        "import sys\nprint(sum(map(int, sys.stdin)))",
        OK,
        stdin="1\n2\n",
        stdout="3\n",
    ),
    case(
        "H8 exit(main())",
        """
        import sys
        def main():
            print(1)
            return 0
        if __name__ == "__main__":
            sys.exit(main())
        """,
        OK,
        stdout="1\n",
    ),
    case("exit 3", "import sys; sys.exit(3)", NZ),
    case("exit text", "import sys; sys.exit('no')", NZ, stderr="no"),
    case("_exit 3", "import os; os._exit(3)", NZ),
    case("fork without exec", "import os\nos.fork()\nprint('x')", OK),
    case(
        "fork without exec, child prints",
        "import os\nif not os.fork(): print(1)\nelse: os.wait()",
        OK,
        stdout="1\n",
    ),
    case("error", "raise ValueError(1)", RE, stderr="ValueError: 1"),
    case("assertion", "assert 1 == 2", RE, stderr="assert 1 == 2"),
    case(
        "group of errors", "raise ExceptionGroup('x', [ValueError(1)])", RE, stderr="ValueError: 1"
    ),
    case("right", "print(42)", OK, expected="42"),
    case("wrong", "print(41)", WA, expected="42"),
    case(
        "right, then leaves early",
        "print(42, flush=True)\n__import__('os')._exit(0)\n1",
        EE,
        expected="42",
    ),
]
