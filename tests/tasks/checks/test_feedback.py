"""What the author of a failed program hears: the first failed call and what it returned."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from sandbox import Limits, Sandbox, Verdict
from tasks.checks.execution import execute_samples
from tasks.checks.feedback import MAX_CHARACTERS, feedback
from tasks.checks.function_tests import HiddenTests
from tests.sandbox.fixed_box import EXECUTION
from tests.sandbox.opened import open_default

CASES = HiddenTests("f", (([[1, 2]], 3), ([[]], 0)))
ASSERTS = HiddenTests("f", (), ("assert f([1, 2]) == 3",))
# (sample, its tests, what is said of it)
SAID = [
    ("def f(xs): return sum(xs)", CASES, None),
    ("def f(xs): return len(xs)", CASES, "wrong_answer: f([1, 2]) returned 2"),
    ("def f(xs): return xs[0] + xs[1]", CASES,
     "runtime_error: f([]) failed: IndexError: list index out of range"),
    ("def g(xs): pass", CASES, "runtime_error: f([1, 2]) failed: the program does not define f"),
    ("def f(xs): return len(xs)", ASSERTS, "wrong_answer"),
    ("def f(xs) return", CASES, "compile_error"),
    ("raise ValueError('no')", None, "runtime_error: ValueError: no"),
    ("print(1)", None, None),
]  # fmt: skip


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with open_default(limits=Limits(wall_s=120, cpu_s=20)) as opened:
        yield opened


@pytest.mark.sandbox
def test_rows_say_how_programs_failed(box: Sandbox) -> None:
    samples = [{"id": f"s{n}", "prompt_id": f"p{n}", "text": row[0]} for n, row in enumerate(SAID)]
    tests = {f"p{n}": row[1] for n, row in enumerate(SAID) if row[1] is not None}
    rows = list(execute_samples(box, samples, run="r", round=1, tests=tests))
    for (_, _, expected), row in zip(SAID, rows, strict=True):
        said = row["feedback"]
        assert said == expected or (expected and str(said).startswith(expected)), said
    assert "f(" not in str(rows[5]["feedback"])  # what can't be compiled was never called


def test_an_outage_says_nothing_and_a_long_word_is_cut() -> None:
    job = CASES.job("a", "")
    assert feedback(job, replace(EXECUTION, verdict=Verdict.SANDBOX_FAULT)) is None
    long = replace(EXECUTION, verdict=Verdict.SIGNAL, results=(), stderr="x\n" + "y" * 9999)
    said = feedback(job, long)
    assert said is not None and said.startswith("signal: yyy") and len(said) == MAX_CHARACTERS
