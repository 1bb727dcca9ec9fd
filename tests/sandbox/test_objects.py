"""Objects of the solution in tests: only of classes under test, and never told what is expected."""

from dataclasses import replace

import pytest

from sandbox import FunctionTests, Sandbox, Verdict
from sandbox.function_tests import used_as_classes
from tests.sandbox.relay import run_tests, with_tests

pytestmark = pytest.mark.sandbox

# Finds what answers for it and has it keep an object that agrees with everything.
LIAR = """
def agree():
    import sys
    class Liar:
        __sub__ = __rsub__ = __add__ = __mul__ = lambda self, other: 0.0
        __contains__ = startswith = near = lambda self, *others: True
        __getitem__ = lambda self, key: self
        __len__ = lambda self: 2
    frame = sys._getframe()
    while "server" not in frame.f_locals:
        frame = frame.f_back
    server = frame.f_locals["server"]
    server._named_classes = {"Liar"}
    server._classes.add(Liar)
    return Liar()
def f(*args):
    return agree()
class Solution:
    def f(self, *args):
        return agree()
    def near(self, *others):
        return True
"""
NEAR = [
    "assert abs({0} - 2.5) < 1e-6",
    "assert 2.5 - {0} < 1e-6 and {0} * 1 < 1",
    "assert 2 in {0}",
    "assert {0}.startswith('ab')",
    "x = {0}\nassert x.near(2.5)",
    "assert abs({0}[0] - 2.5) < 1e-6",
]


@pytest.mark.parametrize("test", NEAR)
def test_the_result_of_a_function_is_never_asked(test: str, box: Sandbox) -> None:
    job = FunctionTests("f", LIAR, ("f",), (test.format("f(1)"),))
    (execution,) = box.run([job])
    assert execution.verdict is Verdict.TAMPERING, execution


@pytest.mark.parametrize("test", NEAR)
def test_the_result_of_a_method_is_not_told_what_is_expected(test: str, box: Sandbox) -> None:
    job = FunctionTests("f", LIAR, ("Solution",), (test.format("Solution().f(1)"),))
    (execution,) = box.run([job])
    assert execution.verdict is not Verdict.ACCEPTED, execution
    assert not execution.verdict.is_label or execution.verdict is Verdict.WRONG_ANSWER


@pytest.mark.parametrize(
    ("method", "test", "verdict"),
    [
        # `near` was asked of an object that the test made, so it is part of what is tested.
        ("return self", "a = A()\nassert a.near(1)\nassert a.f().near(2.5)", Verdict.ACCEPTED),
        ("return self", "assert A().f().near(2.5)", Verdict.NOT_RUN),
        ("return self", "assert abs(A().f() - 2.5) < 1", Verdict.NOT_RUN),
        ("return A()", "a = A()\nassert a.near(1)\nassert a.f().near(2.5)", Verdict.NOT_RUN),
        ("return A()", "assert A().f().size == 3", Verdict.ACCEPTED),
        ("return A()", "assert (A() - 1) == 0 and len(A().f()) == 4", Verdict.ACCEPTED),
    ],
)
def test_a_method_that_returns_an_object_can_be_tested_as_far_as_that_is_sound(
    method: str, test: str, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        "class A:\n    size = 3\n    def near(self, x): return True\n"
        "    def __len__(self): return 4\n"
        f"    def __sub__(self, x): return 0\n    def f(self): {method}\n"
    )
    judgement = run_tests(monkeypatch, with_tests(source, test, entry_points=("A",)))
    assert judgement.verdict is verdict, judgement
    if verdict is Verdict.NOT_RUN:
        assert "tests_invalid:asks_a_result" in judgement.flags


@pytest.mark.parametrize(
    ("test", "found"),
    [
        ("s = Stack()\ns.push(1)", True),
        ("assert Stack([1]).pop() == 1", True),
        ("with Stack() as s: pass", True),
        (
            "class T:\n  def setUp(self): self.s = m.Stack()\n  def test(self): self.s.f()",
            True,
        ),
        ("assert isinstance(x, Stack)", True),
        ("assert Stack.LIMIT == 3", True),
        ("assert Stack(3) == 4", False),
        ("assert abs(Stack(3) - 4) < 1", False),
        ("def broken(:", False),
    ],
)
def test_classes_are_known_by_how_tests_use_them(test: str, found: bool) -> None:
    job = FunctionTests("f", "", ("Stack", "f"), (test,))
    assert used_as_classes(job) == (("Stack",) if found else ())
    lower = replace(job, entry_points=("stack",), tests=(test.replace("Stack", "stack"),))
    assert used_as_classes(lower) == ()
