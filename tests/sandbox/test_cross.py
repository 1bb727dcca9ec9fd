from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox import (
    CaseResult,
    Execution,
    FunctionTests,
    Job,
    PassMatrix,
    ResultCache,
    Sandbox,
    SandboxUsageError,
    Verdict,
    cross_execute,
)
from tests.sandbox.conftest import LIMITS
from tests.sandbox.fixed_box import EXECUTION, FixedBox
from tests.sandbox.opened import open_default

NAMES = {
    ".": Verdict.ACCEPTED,
    "w": Verdict.WRONG_ANSWER,
    "r": Verdict.RUNTIME_ERROR,
    "e": Verdict.EARLY_EXIT,
    "c": Verdict.CPU_TIMEOUT,
    "t": Verdict.WALL_TIMEOUT,
    "m": Verdict.MEMORY_LIMIT,
    "s": Verdict.SIGNAL,
    "x": Verdict.COMPILE_ERROR,
    "o": Verdict.OUTPUT_LIMIT,
    "n": Verdict.NOT_RUN,
    "f": Verdict.SANDBOX_FAULT,
    "T": Verdict.TAMPERING,
}
LETTERS = {verdict: letter for letter, verdict in NAMES.items()}


def shown(matrix: PassMatrix) -> dict[str, str]:
    """Rows as letters by program, `-` for None."""
    rows = (
        "".join("-" if result is None else LETTERS[result.verdict] for result in row)
        for row in matrix.results
    )
    return dict(zip(matrix.program_ids, rows, strict=True))


@pytest.fixture(scope="module")
def pool() -> Iterator[Sandbox]:
    with open_default(workers=2) as box:
        yield box


class Counting:
    """A sandbox that counts the jobs it gets."""

    def __init__(self, box: Sandbox) -> None:
        self.environment = box.environment
        self.limits = box.limits
        self.describe = box.describe
        self._box = box
        self.jobs: list[Job] = []

    def run(self, jobs: Iterable[Job]) -> Iterator[Execution]:
        def counted() -> Iterator[Job]:
            for job in jobs:
                self.jobs.append(job)
                yield job

        return self._box.run(counted())


TESTS = {f"{i}": f"assert double({i}) == {2 * i}" for i in range(1, 6)}
PROGRAMS = {
    "right": "def double(x): return 2 * x",
    "partly": "def double(x): return 2 * x if x < 4 else x",
    "none": "def double(x): pass",
    "raises": "def double(x): return 2 * x if x != 2 else 1 / 0",
    "exits": "import os\ndef double(x):\n    if x == 3: os._exit(0)\n    return 2 * x",
    "exits twice": "import os\ndef double(x):\n    if x in (2, 4): os._exit(0)\n    return 2 * x",
    "sys.exit": "import sys\ndef double(x):\n    if x == 1: sys.exit(0)\n    return 2 * x",
    "spins": "def double(x):\n    while x == 4: pass\n    return 2 * x",
    "sleeps": "import time\ndef double(x):\n    if x == 1: time.sleep(60)\n    return 2 * x",
    "crashes": "import os\ndef double(x):\n    if x == 5: os.abort()\n    return 2 * x",
    "grows": "def double(x):\n    if x == 2: bytearray(9 << 30)\n    return 2 * x",
    "floods": "def double(x):\n    if x == 3: print('x' * (4 << 20))\n    return 2 * x",
    "syntax": "def double(x: return",
    "exits at once": "import os; os._exit(0)",
    "spins at once": "while True: pass",
    "imports": "import pandas\ndef double(x): return 2 * x",
    "misnamed": "def dubble(x): return 2 * x",
    "empty": "",
}
EXPECTED = {
    "right": ".....",
    "partly": "...ww",
    "none": "wwwww",
    "raises": ".r...",
    "exits": "..e..",
    "exits twice": ".e.e.",
    "sys.exit": "e....",
    "spins": "...c.",
    "sleeps": "t....",
    "crashes": "....s",
    "grows": ".m...",
    "floods": "..o..",
    "syntax": "xxxxx",
    "exits at once": "eeeee",
    "spins at once": "ccccc",
    "imports": "rrrrr",
    "misnamed": "rrrrr",
    "empty": "rrrrr",
}


@pytest.mark.sandbox
@pytest.mark.parametrize("fresh", [False, True])
def test_every_cell_stands_for_itself_however_tests_share_a_process(
    pool: Sandbox, fresh: bool
) -> None:
    progress: list[tuple[int, int]] = []
    matrix = cross_execute(
        pool,
        PROGRAMS,
        TESTS,
        ["double"],
        fresh_process_per_test=fresh,
        progress=lambda decided, total: progress.append((decided, total)),
    )
    assert shown(matrix) == EXPECTED
    assert matrix.invalid_tests == {} and matrix.test_ids == tuple(TESTS)
    passed = [[verdict == "." for verdict in row] for row in EXPECTED.values()]
    assert matrix.passed() == passed
    total = len(PROGRAMS) * len(TESTS)
    assert progress[-1] == (total, total)
    assert [decided for decided, _ in progress] == sorted({decided for decided, _ in progress})


@pytest.mark.sandbox
def test_programs_that_end_at_no_test_need_one_process_and_dead_ones_two(pool: Sandbox) -> None:
    box = Counting(pool)
    fine = {name: PROGRAMS[name] for name in ("right", "partly", "none", "raises")}
    cross_execute(box, fine, TESTS, ["double"])
    assert len(box.jobs) == len(fine)
    box.jobs.clear()
    cross_execute(box, {"dead": PROGRAMS["spins at once"]}, TESTS, ["double"])
    assert len(box.jobs) == 2
    box.jobs.clear()
    cross_execute(box, {"dies": PROGRAMS["exits"]}, TESTS, ["double"])
    together, *alone = [j.tests for j in box.jobs if isinstance(j, FunctionTests)]
    assert len(together) == 5 and (TESTS["3"],) in alone
    assert all(len(tests) == 1 for tests in alone) and len(set(alone)) == len(alone)


@pytest.mark.sandbox
def test_slow_tests_do_not_fail_for_the_time_that_others_took(pool: Sandbox) -> None:
    slow = "import time\ndef double(x):\n    t = time.process_time()\n"
    slow += "    while time.process_time() < t + 0.15: pass\n    return 2 * x"
    matrix = cross_execute(pool, {"slow": slow}, TESTS, ["double"])
    assert shown(matrix) == {"slow": "....."}


@pytest.mark.sandbox
def test_what_a_program_carries_from_test_to_test_shows_in_fresh_processes(pool: Sandbox) -> None:
    warms_up = (
        "calls = []\ndef double(x):\n    calls.append(x)\n    return 2 * x if len(calls) > 1 else 0"
    )
    together = cross_execute(pool, {"a": warms_up}, TESTS, ["double"])
    assert sorted(shown(together)["a"]) == sorted("w....")
    fresh = cross_execute(pool, {"a": warms_up}, TESTS, ["double"], fresh_process_per_test=True)
    assert shown(fresh) == {"a": "wwwww"}


@pytest.mark.sandbox
@pytest.mark.parametrize("fresh", [False, True])
def test_a_wrong_test_is_none_for_all_with_its_reason(pool: Sandbox, fresh: bool) -> None:
    tests = {
        "right": "assert double(1) == 2",
        "syntax": "assert double(1) ==",
        "name": "assert double(1) == two",
        "name where it fails": "assert double(1) == 2 or two",
        "import": "import pandas\nassert double(1) == 2",
        "calls nothing": "assert True",
        "asserts nothing": "double(1)",
        "exits": "import os\ndouble(1)\nos._exit(0)",
        "spins": "double(1)\nwhile True: pass",
        "skips": "import unittest\nclass A(unittest.TestCase):\n"
        "    def test(self):\n        double(1)\n        self.skipTest('x')",
        "last": "assert double(4) == 8",
    }
    programs = {name: PROGRAMS[name] for name in ("right", "none", "partly", "spins at once")}
    # On a busy machine too, a test that spins is to be stopped for its own CPU time.
    limits = replace(LIMITS, wall_s=30.0)
    matrix = cross_execute(
        pool, programs, tests, ["double"], limits=limits, fresh_process_per_test=fresh
    )
    assert shown(matrix) == {
        "right": ".---------.",
        "none": "w---------w",
        "partly": ".---------w",
        "spins at once": "c---------c",
    }
    assert matrix.invalid_tests == {
        "syntax": "SyntaxError",
        "name": "NameError",
        "name where it fails": "NameError",
        "import": "ModuleNotFoundError",
        "calls nothing": "no_call",
        "asserts nothing": "no_assert",
        "exits": "the test did not end tests_invalid:early_exit",
        "spins": "the test did not end tests_invalid:cpu_timeout",
        "skips": "skipped",
    }


@pytest.mark.sandbox
def test_a_program_cannot_make_a_test_invalid_for_the_others(pool: Sandbox) -> None:
    tests = {
        "loop": "for x in double(3):\n    assert x == 6",
        "branch": "if double(3):\n    assert double(3) == [6]",
        "wait": "while double(3) != [6]:\n    pass\nassert double(3) == [6]",
    }
    programs = {"right": "def double(x): return [6]", "empty": "def double(x): return []"}
    matrix = cross_execute(pool, programs, tests, ["double"])
    assert matrix.invalid_tests == {}
    assert shown(matrix)["right"] == "..."
    assert matrix.passed()[0] == [True, True, True]
    assert matrix.passed()[1][:2] == [None, None] and matrix.passed()[1][2] is not True


@pytest.mark.sandbox
def test_the_cache_saves_the_second_crossing_and_repeated_programs(
    pool: Sandbox, tmp_path: Path
) -> None:
    box = Counting(pool)
    programs = {"a": PROGRAMS["right"], "b": PROGRAMS["partly"], "c": PROGRAMS["right"]}
    with ResultCache(tmp_path / "c") as cache:
        first = cross_execute(box, programs, TESTS, ["double"], cache=cache)
        assert len(box.jobs) == 2
        assert cross_execute(box, programs, TESTS, ["double"], cache=cache) == first
        assert len(box.jobs) == 2
        cross_execute(box, programs, TESTS, ["double"], support="x = 1", cache=cache)
        assert len(box.jobs) == 4
    assert shown(first) == {"a": ".....", "b": "...ww", "c": "....."}


@pytest.mark.sandbox
def test_support_and_several_entry_points(pool: Sandbox) -> None:
    matrix = cross_execute(
        pool,
        {"a": "def up(x): return x + 1\ndef down(x): return x - 1"},
        {"both": "assert up(down(START)) == START", "up": "assert up(START) == 8"},
        ["up", "down"],
        support="START = 7",
    )
    assert shown(matrix) == {"a": ".."}


class Faulty(FixedBox):
    """Fails the jobs of which this says so; judges the others as right."""

    def __init__(self, *failing: tuple[str, ...], fault: Execution = EXECUTION) -> None:
        super().__init__()
        self.failing = failing
        self.fault = fault

    def run(self, jobs: Iterable[Job]) -> Iterator[Execution]:
        for job in jobs:
            assert isinstance(job, FunctionTests)
            self.ran.append(",".join(job.tests))
            row = replace(EXECUTION, results=tuple(CaseResult(Verdict.ACCEPTED) for _ in job.tests))
            if job.tests in self.failing:
                rest = CaseResult(Verdict.SANDBOX_FAULT, note="the test did not end")
                results = (rest, row.results[0], rest)
                row = replace(self.fault, results=results if self.fault.results else ())
            yield row


FAULT = replace(EXECUTION, verdict=Verdict.SANDBOX_FAULT)
UNAVAILABLE = replace(
    EXECUTION, verdict=Verdict.NOT_RUN, flags=("sandbox_unavailable",), results=()
)


def test_faults_of_the_sandbox_are_tried_again_alone_and_never_blame_a_test() -> None:
    box = Faulty(("x", "y", "z"), fault=FAULT)
    matrix = cross_execute(box, {"a": ""}, {"1": "x", "2": "y", "3": "z"}, ["f"])
    assert box.ran == ["x,y,z", "x", "z"]
    assert shown(matrix) == {"a": "..."}
    box = Faulty(("x", "y"), ("y",), fault=replace(FAULT, results=()))
    matrix = cross_execute(box, {"a": "", "b": ""}, {"1": "x", "2": "y"}, ["f"])
    assert matrix.invalid_tests == {} and shown(matrix) == {"a": "ff", "b": "ff"}
    box = Faulty(("x", "y"), fault=UNAVAILABLE)
    matrix = cross_execute(box, {"a": ""}, {"1": "x", "2": "y"}, ["f"])
    assert matrix.invalid_tests == {} and matrix.passed() == [[None, None]]


def test_nothing_to_cross_is_refused() -> None:
    box = FixedBox()
    with pytest.raises(SandboxUsageError, match=r"programs=\{\}; give at least one"):
        cross_execute(box, {}, {"1": "x"}, ["f"])
    with pytest.raises(SandboxUsageError, match=r"tests=\{\}"):
        cross_execute(box, {"a": ""}, {}, ["f"])
    with pytest.raises(SandboxUsageError, match="entry_points='f'"):
        cross_execute(box, {"a": ""}, {"1": "x"}, "f")
