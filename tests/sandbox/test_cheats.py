"""No cheat is accepted in any form of judging, and what is right is, in every form."""

from dataclasses import replace

import pytest

from sandbox import Execution, Limits, Program, Sandbox, Verdict
from sandbox.programs import Case, FunctionCases, FunctionTests, Job
from tests.sandbox.cheats import FORMS, TABLE, Cheat
from tests.sandbox.hostile.case import patient
from tests.sandbox.more_cheats import LISTED

pytestmark = pytest.mark.sandbox

CHEATS = [*TABLE, *LISTED]
PAIRS = ((2, 3), (84000, 17), (0, 0), (-1, 8), (4, 5), (5, 6), (6, 7), (7, 8))
CHECK = "def check(candidate):\n" + "".join(
    f"    assert candidate({a}, {b}) == {a + b}\n" for a, b in PAIRS
)
ASSERTS = tuple(f"assert add({a}, {b}) == {a + b}" for a, b in PAIRS)
FUNCTION = "from solution import add\ndef test_add():\n" + "".join(
    f"    assert add({a}, {b}) == {a + b}\n" for a, b in PAIRS
)
UNITTEST = (
    "import unittest\nclass AddTest(unittest.TestCase):\n    def test_add(self):\n"
    + "".join(f"        self.assertEqual(add({a}, {b}), {a + b})\n" for a, b in PAIRS)
)


def in_form(form: str, source: str) -> Job:
    """A job that judges `add` in one of the three forms; test code in four ways."""
    if form == "output":
        calls = "".join(f"print(add({a}, {b}))\n" for a, b in PAIRS)
        printed = "".join(f"{a + b}\n" for a, b in PAIRS)
        return Program(form, source + calls, expected_stdout=printed)
    if form == "cases":
        cases = tuple(Case((a, b), a + b) for a, b in PAIRS)
        return FunctionCases(form, source, "add", cases)
    single = {"check": CHECK, "function": FUNCTION, "unittest": UNITTEST}
    tests = ASSERTS if form == "asserts" else (single[form],)
    return FunctionTests(form, source, ("add",), tests)


def run(
    box: Sandbox, source: str, forms: tuple[str, ...] = FORMS, limits: Limits | None = None
) -> dict[str, Execution]:
    jobs = [replace(in_form(form, source), limits=limits) for form in forms]
    return dict(zip(forms, box.run(jobs), strict=True))


def test_all_cheats_of_the_table_are_here() -> None:
    assert len(TABLE) == 17 and len({cheat.name for cheat in CHEATS}) == len(CHEATS)


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.name)
def test_no_cheat_is_accepted_in_any_form(box: Sandbox, cheat: Cheat) -> None:
    limits = patient(box.limits, (*cheat.verdicts, *cheat.printed))
    for form, execution in run(box, cheat.source, cheat.forms, limits).items():
        allowed = cheat.printed if form == "output" else cheat.verdicts
        assert execution.verdict in allowed, (form, execution)
        if form != "output":
            assert len(execution.results) == (len(PAIRS) if form in ("cases", "asserts") else 1)
    after = run(box, "def add(a, b): return a + b\n", ("output", "check"))
    assert {execution.verdict for execution in after.values()} == {Verdict.ACCEPTED}, after


CONTROLS = {
    "right": "def add(a, b): return a + b\n",
    "2.0 for 2": "def add(a, b): return a + b if __name__ == '__main__' else float(a + b)\n",
    "guarded": "def add(a, b): return a + b\nif __name__ == '__main__':\n    print(end='')\n",
    "multiprocessing": "import multiprocessing\n"
    "def total(pair): return sum(pair)\n"
    "def add(a, b):\n"
    "    with multiprocessing.Pool(2) as pool:\n"
    "        return pool.map(total, [(a, b), (0, 0)])[0]\n",
    "classes and pickle": "import pickle\nfrom dataclasses import dataclass\n"
    "@dataclass\nclass Pair:\n    a: int\n    b: int\n"
    "def add(a, b):\n"
    "    pair = pickle.loads(pickle.dumps(Pair(a, b)))\n"
    "    assert type(pair) is Pair\n"
    "    return pair.a + pair.b\n",
    "prints": "import sys\ndef add(a, b):\n    print('debug', file=sys.stderr)\n    return a + b\n",
    "recursion": "def add(a, b): return a + b if b < 2 else add(a + 1, b - 1)\n",
    "state": "cache = {}\ndef add(a, b): return cache.setdefault((a, b), a + b)\n",
    "subprocess": "import subprocess\n"
    "def add(a, b):\n"
    "    out = subprocess.run(['/bin/sh', '-c', f'echo $(({a} + {b}))'], capture_output=True)\n"
    "    return int(out.stdout)\n",
    "threads": "from concurrent.futures import ThreadPoolExecutor\n"
    "def add(a, b):\n"
    "    with ThreadPoolExecutor(2) as pool: return sum(pool.map(int, [a, b]))\n",
}


@pytest.mark.parametrize("name", CONTROLS)
def test_what_is_right_is_accepted_in_every_form(box: Sandbox, name: str) -> None:
    for form, execution in run(box, CONTROLS[name]).items():
        assert execution.verdict is Verdict.ACCEPTED, (form, execution)


@pytest.mark.parametrize(
    ("equality", "expected", "returned", "right"),
    [
        ("python", "2", "2.0", True),
        ("python", "1", "True", True),
        ("python", "[1, 2]", "(1, 2)", False),
        ("numeric", "2", "2.0", True),
        ("numeric", "0.3", "0.1 + 0.2", True),
        ("numeric", "0", "0.0005", False),
        ("numeric", "1", "True", False),
        ("strict", "2", "2.0", False),
        ("strict", "1", "True", False),
        ("strict", "{1: [2, (3,)]}", "{1: [2, (3,)]}", True),
    ],
)
def test_equality_is_the_one_that_the_task_names(
    box: Sandbox, equality: str, expected: str, returned: str, right: bool
) -> None:
    job = FunctionCases(
        "e", f"def f(): return {returned}", "f", (Case((), eval(expected)),), equality=equality
    )
    [execution] = box.run([job])
    assert execution.verdict is (Verdict.ACCEPTED if right else Verdict.WRONG_ANSWER), execution


@pytest.mark.parametrize(
    ("code", "verdict", "flag"),
    [
        ("import os\nassert add(1, 2) == 3\nos._exit(0)", Verdict.NOT_RUN, "early_exit"),
        ("assert add(1, 2) == 3\nwhile True: pass", Verdict.NOT_RUN, "cpu_timeout"),
        ("import time\nassert add(1, 2) == 3\ntime.sleep(60)", Verdict.NOT_RUN, "wall_timeout"),
        ("assert add(1, 2) == 3\nx = [0]\nwhile True: x += x", Verdict.NOT_RUN, "invalid:"),
        ("import os\nos.kill(os.getpid(), 9)", Verdict.NOT_RUN, "signal"),
        ("import os\nassert add(1, 2) == 3\nos.closerange(3, 999)", Verdict.NOT_RUN, "invalid:"),
        ("import os\nos.write(os.dup(1), b'x' * (2 << 20))", Verdict.NOT_RUN, "output_limit"),
    ],
)
def test_tests_that_end_by_themselves_are_no_label(
    box: Sandbox, code: str, verdict: Verdict, flag: str
) -> None:
    right = "def add(a, b): return a + b"
    [execution] = box.run([FunctionTests("t", right, ("add",), (code,))])
    assert execution.verdict is verdict, execution
    assert any(flag in f for f in execution.flags), execution
