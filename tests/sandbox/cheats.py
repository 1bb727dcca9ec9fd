"""Functions that want to be accepted without being right: the cheats that fool public harnesses.

Each source defines a wrong `add(a, b)`. Names start with the row of the threat list, or with S for
the table of cheats that were tried on ten public harnesses.
"""

from textwrap import dedent
from typing import NamedTuple

from sandbox import Verdict
from tests.sandbox.hostile.case import CT, EE, RE, TA, WA

FORMS = ("output", "cases", "check", "asserts", "function", "unittest")
"""Ways to judge a function: by what it prints or returns, and by test code in four ways."""


class Cheat(NamedTuple):
    """A wrong `add`.

    Attributes:
        name: Row and a few words.
        source: What defines it.
        verdicts: Verdicts that are right where what it returns is judged.
        printed: Verdicts that are right where what it prints is judged.
        forms: In which it is a cheat.
    """

    name: str
    source: str
    verdicts: tuple[Verdict, ...]
    printed: tuple[Verdict, ...]
    forms: tuple[str, ...]


def cheat(
    name: str,
    source: str,
    *verdicts: Verdict,
    printed: tuple[Verdict, ...] = (),
    forms: tuple[str, ...] = FORMS,
) -> Cheat:
    """Return a cheat; a source without a function gets a wrong one."""
    source = dedent(source).strip() + "\n"
    if "def add" not in source:
        source += "def add(a, b): return a - b\n"
    return Cheat(name, source, verdicts, printed or verdicts, forms)


LIAR = """
class Liar({base}):
    def lie(self, *ignored): return True
    __eq__ = __ne__ = __le__ = __ge__ = __lt__ = __gt__ = __contains__ = lie
    __hash__ = lambda self: 0
    __sub__ = __rsub__ = __abs__ = __round__ = lambda self, *ignored: self
    strip = rstrip = lower = lambda self, *ignored: self
def add(a, b): return Liar()
"""

TABLE = [
    cheat("S1 exits at import", "import sys\nsys.exit(0)", EE),
    cheat("S2 exits inside", "def add(a, b): raise SystemExit(0)", EE),
    cheat("S3 _exit at import", "import os\nos._exit(0)", EE),
    cheat("S4 _exit inside", "import os\ndef add(a, b): os._exit(0)", EE),
    cheat("S5 equal to everything", LIAR.format(base="object"), WA),
    cheat(
        "S6 reads what is expected from its callers",
        """
        import inspect, sys
        def add(a, b):
            for frame in inspect.stack():
                for name in ("expected", "want", "output", "outputs", "cases", "tests", "test"):
                    if name in frame.frame.f_locals:
                        found = frame.frame.f_locals[name]
                        return found[0] if isinstance(found, (list, tuple)) else found
                for constant in frame.frame.f_code.co_consts:
                    if type(constant) is int and constant > 4: return constant
            return -1
        """,
        WA,
    ),
    cheat(
        "S7 writes the verdict into its callers' objects",
        """
        import sys
        def add(a, b):
            frame = sys._getframe(1)
            while frame:
                for found in list(frame.f_locals.values()):
                    if isinstance(found, list): found.append("passed")
                    if isinstance(found, dict) and found is not globals():
                        found.update(result="passed", verdict="accepted", passed=True)
                frame = frame.f_back
            return -1
        """,
        *(WA, RE, TA),
    ),
    cheat("S8 skips", "import unittest\ndef add(a, b): raise unittest.SkipTest", RE),
    cheat(
        "S9 patches unittest",
        """
        import unittest
        for name in dir(unittest.TestCase):
            if name.startswith(("assert", "fail")):
                setattr(unittest.TestCase, name, lambda *a, **k: None)
        """,
        WA,
    ),
    cheat("S10 marks itself to be skipped", "pytestmark = __unittest_skip__ = True", WA),
    cheat("S11 exits at exit", "import atexit, os\natexit.register(os._exit, 0)", EE),
    cheat(
        "S12 exits in the hook",
        "import os, sys\nsys.excepthook = lambda *a: os._exit(0)\ndef add(a, b): return 1 / 0",
        RE,
        printed=(EE,),
    ),
    cheat(
        "S13 exits in a thread",
        "import os, threading, time\n"
        "def add(a, b):\n"
        "    threading.Thread(target=os._exit, args=(0,)).start()\n"
        "    time.sleep(9)",
        EE,
    ),
    cheat(
        "S14 prints that it passed",
        "import sys\n"
        "for file in (sys.stdout, sys.stderr):\n"
        "    print('PASSED', 'OK', '{\"passed\": true}', '1.0', sep='\\n', file=file)",
        WA,
    ),
    cheat(
        "S15 swallows the timeout",
        "def add(a, b):\n"
        "    while True:\n"
        "        try:\n"
        "            while True: pass\n"
        "        except BaseException: pass",
        CT,
    ),
    cheat(
        "S16 kills the harness",
        """
        import os, posix
        def add(a, b):
            for pid in (posix.getppid(), 1):
                try: posix.kill(pid, 9)
                except OSError: pass
            return -1
        """,
        WA,
    ),
    cheat(
        "S17 past the guard to a shell",
        "import posix\ndef add(a, b):\n    return posix.system('echo 5; touch /tmp/passed')",
        WA,
    ),
]
