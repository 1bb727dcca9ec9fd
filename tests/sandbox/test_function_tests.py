"""Test code without cells: what counts as a test, what crosses, and who is to blame."""

from dataclasses import replace
from typing import Any

import pytest

from sandbox import Verdict
from sandbox.cell.encoding import encode
from sandbox.cell.frames import Killed, Record, RecordKind
from sandbox.examination import TestsExchange
from sandbox.exchange import Side
from sandbox.programs import FunctionTests
from tests.sandbox.relay import LIMITS, NONCE, outcome, run_tests, unpack, with_tests

OK = Verdict.ACCEPTED
WA = Verdict.WRONG_ANSWER
RE = Verdict.RUNTIME_ERROR
EE = Verdict.EARLY_EXIT
OL = Verdict.OUTPUT_LIMIT
TA = Verdict.TAMPERING
NR = Verdict.NOT_RUN
DOUBLE = "def f(x): return 2 * x"


RIGHT = encode(("value", 2, {}))


CHECK = "def check(candidate):\n    assert candidate(1) == 2\n    assert candidate(4) == 8\n"
FORMS = {
    "check": CHECK,
    "check called": CHECK + "check(f)",
    "asserts": "assert f(1) == 2\nassert f(4) == 8",
    "function": "def test_f():\n    assert f(1) == 2\n    assert f(4) == 8",
    "function with candidate": "def test_f(candidate):\n    assert candidate(1) == 2 and f(4) == 8",
    "import": "from solution import f as g\nassert g(4) == 8\nassert g(1) == 2",
    "import module": "import solution\nassert solution.f(4) == 8\nassert solution.f(1) == 2",
    "async": "async def test_f():\n    assert f(1) == 2 and f(4) == 8",
    "raise": "for x in (1, 4):\n    if f(x) != 2 * x: raise AssertionError(x)",
    "class": "class TestF:\n    def test_one(self):\n        assert f(1) == 2 and f(4) == 8",
    "unittest": "import unittest\nclass FTest(unittest.TestCase):\n"
    "    def test_one(self):\n        self.assertEqual(f(1), 2)\n"
    "    def test_two(self):\n        self.assertEqual(f(4), 8)\n"
    "if __name__ == '__main__':\n    unittest.main()",
    "subtests": "import unittest\nclass FTest(unittest.TestCase):\n    def test_all(self):\n"
    "        for x in (1, 4):\n            with self.subTest(x=x):\n"
    "                self.assertEqual(f(x), 2 * x)",
    "parametrized": "import pytest\n@pytest.mark.parametrize('x, y', [(1, 2), (4, 8)])\n"
    "def test_f(x, y):\n    assert f(x) == y",
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_of_tests_tell_right_from_wrong(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = run_tests(monkeypatch, with_tests(DOUBLE, FORMS[form]))
    assert (right.verdict, right.flags) == (OK, ()), right
    # Wrong in the first case only, and in the last only.
    for source in ("def f(x): return 2 * x + (x == 1)", "def f(x): return 2 * x - (x == 4)"):
        wrong = run_tests(monkeypatch, with_tests(source, FORMS[form]))
        assert (wrong.verdict, wrong.flags) == (WA, ()), wrong
    gone = run_tests(monkeypatch, with_tests("def g(x): return 2 * x", FORMS[form]))
    assert (gone.verdict, gone.flags) == (RE, ("missing_entry_point",))
    raising = run_tests(monkeypatch, with_tests("def f(x): return 1 / 0", FORMS[form]))
    assert (raising.verdict, raising.flags) == (RE, ())


@pytest.mark.parametrize(
    ("code", "flag"),
    [
        ("assert f(1) = 2", "tests_invalid:SyntaxError"),
        ("assert True", "tests_invalid:no_call"),
        ("assert False", "tests_invalid:no_call"),
        ("1 / 0", "tests_invalid:no_call"),
        ("", "tests_invalid:no_call"),
        ("f(1)", "tests_invalid:no_assert"),
        ("assert f(1) == two", "tests_invalid:NameError"),
        ("import nonesuch", "tests_invalid:ModuleNotFoundError"),
        ("import sys\nassert f(1) == 2\nsys.exit(0)", "tests_invalid:SystemExit"),
        ("import unittest\nraise unittest.SkipTest", "tests_invalid:skipped"),
        ("import pytest\nassert f(1) == 2\npytest.skip('x')", "tests_invalid:Skipped"),
        (
            "import unittest\n@unittest.skip('x')\nclass T(unittest.TestCase):\n"
            "    def test_f(self): self.assertEqual(f(1), 2)",
            "tests_invalid:skipped",
        ),
        (
            "import unittest\nclass T(unittest.TestCase):\n    @unittest.expectedFailure\n"
            "    def test_f(self): self.assertEqual(f(1), 3)",
            "tests_invalid:skipped",
        ),
        (
            "import pytest\n@pytest.mark.xfail\ndef test_f(): assert f(1) == 3",
            "tests_invalid:marked xfail",
        ),
        ("def test_f(tmp_path, x): assert f(1) == 2", "tests_invalid:needs tmp_path"),
        ("assert f(lambda x: x) == 2", "tests_invalid:unsendable:function"),
    ],
)
def test_tests_that_test_nothing_are_no_label(
    code: str, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judgement = run_tests(monkeypatch, with_tests(DOUBLE, code))
    assert (judgement.verdict, judgement.flags) == (NR, (flag,)), judgement
    # A test that proves the solution wrong still does.
    judgement = run_tests(monkeypatch, with_tests(DOUBLE, code, "assert f(1) == 3"))
    assert judgement.verdict is WA and flag in judgement.flags


def test_support_is_there_for_every_test_and_nothing_else_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    codes = ("left = limit\nassert f(limit) == 6", "assert 'left' not in globals() and f(1) == 2")
    job = FunctionTests("t", DOUBLE, ("f",), codes, support="limit = 3\ndef f(x):\n    'doc'\n")
    assert run_tests(monkeypatch, job).verdict is OK
    broken = FunctionTests("t", DOUBLE, ("f",), codes, support="1 / 0")
    judgement = run_tests(monkeypatch, broken)
    assert (judgement.verdict, judgement.flags) == (
        NR,
        ("tests_invalid:support: ZeroDivisionError",),
    )


YES = (
    "class Yes:\n"
    "    def __getattr__(s, n): return lambda *a: True\n"
    "    def __eq__(s, o): return True\n"
    "    __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __eq__\n"
    "    def __sub__(s, o): return s\n"
    "    __rsub__ = __abs__ = __round__ = __sub__\n"
    "    def __hash__(s): return 1\n"
    "    def __len__(s): return 1\n"
    "    def __iter__(s): return iter(())\n"
    "def f(*a): return "
)


@pytest.mark.parametrize(
    "code",
    [
        "assert f(1) == 2",
        "assert 2 == f(1)",
        "assert f(1) != 3",
        "assert f(1) is not None",
        "assert f(1)",
        "assert 2 in f(1)",
        "assert f(1) in [2]",
        "assert abs(f(1) - 2) < 1e-6",
        "assert f(1).startswith('x')",
        "assert all(x == 2 for x in f(1))",
        "try:\n    f(1)\nexcept BaseException:\n    pass\nassert True",
        "import pytest\nwith pytest.raises(BaseException):\n    f(1)",
        "import unittest\nclass T(unittest.TestCase):\n    def test_f(self):\n"
        "        with self.assertRaises(Exception): f(1)",
    ],
)
@pytest.mark.parametrize("result", ["Yes()", "[Yes()]", "{1: Yes()}"])
def test_no_test_passes_with_an_object_that_says_yes(
    code: str, result: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judgement = run_tests(monkeypatch, with_tests(YES + result, code))
    assert judgement.verdict is WA, judgement


@pytest.mark.parametrize(
    ("raised", "code", "verdict"),
    [
        ("ValueError('no')", "with pytest.raises(ValueError, match='no'): f(1)", OK),
        (
            "KeyError('k')",
            "with pytest.raises(KeyError) as e: f(1)\nassert e.value.args == ('k',)",
            OK,
        ),
        ("ValueError", "with pytest.raises(TypeError): f(1)", RE),
        ("E('x')", "with pytest.raises(ValueError): f(1)", OK),
        ("FileNotFoundError(2, 'x')", "with pytest.raises(OSError): f(1)", OK),
        ("UnicodeDecodeError('a', b'', 0, 1, 'x')", "with pytest.raises(UnicodeError): f(1)", OK),
        ("ExceptionGroup('x', [ValueError()])", "with pytest.raises(Exception): f(1)", OK),
        ("AssertionError", "f(1)\nassert True", RE),
        ("SystemExit(0)", "f(1)\nassert True", EE),
        ("KeyboardInterrupt", "f(1)\nassert True", RE),
        ("GeneratorExit", "f(1)\nassert True", RE),
        ("StopIteration", "assert all(map(f, [1, 2]))", RE),
        ("StopIteration", "assert all(f(x) for x in [1])", RE),
        ("StopAsyncIteration", "assert all(map(f, [1]))", RE),
        ("__import__('unittest').SkipTest('x')", "f(1)\nassert True", RE),
        ("__import__('pytest').skip.Exception('x')", "f(1)\nassert True", RE),
        ("type('StopIteration', (Exception,), {})()", "assert all(map(f, [1]))", RE),
        ("type('\\ud800', (Exception,), {})()", "f(1)\nassert True", RE),
        ("E('x' * 10**7)", "f(1)\nassert True", RE),
    ],
)
def test_exceptions_cross_as_what_they_are_and_no_more(
    raised: str, code: str, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = f"class E(ValueError): pass\ndef f(x): raise {raised}"
    judgement = run_tests(monkeypatch, with_tests(source, "import pytest\n" + code))
    assert judgement.verdict is verdict, judgement


def test_a_changed_argument_is_passed_on_only_where_nothing_is_returned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_place = "def f(x): x.sort()"
    code = "x = [3, 1]\nalias = x\nf(x)\nassert alias == [1, 3]"
    assert run_tests(monkeypatch, with_tests(in_place, code)).verdict is OK
    nested = "grid = [[0], [1]]\nrow = grid[0]\nf(grid)\nassert row == [5] and grid == [[5], [1]]"
    assert run_tests(monkeypatch, with_tests("def f(g): g[0][0] = 5", nested)).verdict is OK
    # Else `assert f(x) == sorted(x)` is true for a function that empties what it gets.
    for cheat in ("def f(x):\n  x.clear()\n  return []", "def f(x):\n  x.clear()\n  return x"):
        for code in (
            "x = [3, 1]\nassert f(x) == sorted(x)",
            "x = [3, 1]\ny = f(x)\nassert y == sorted(x)",
            "want = x = [3, 1]\nassert f(x) == want",
        ):
            judgement = run_tests(monkeypatch, with_tests(cheat, code))
            assert judgement.verdict is WA
            assert "changes of arguments" in judgement.results[0].note


STACK = """
class Empty(LookupError): pass
class Stack:
    LIMIT = 3
    def __init__(self, items=()): self.items = list(items)
    def push(self, x): self.items.append(x); return self
    def pop(self):
        if not self.items: raise Empty("empty")
        return self.items.pop()
    @property
    def size(self): return len(self.items)
    def __len__(self): return len(self.items)
    def __iter__(self): return iter(self.items)
    def __getitem__(self, i): return self.items[i]
    def __setitem__(self, i, x): self.items[i] = x
    def __contains__(self, x): return x in self.items
    def __add__(self, other): return Stack(self.items + other.items)
    def __str__(self): return f"Stack{self.items}"
    def __enter__(self): return self
    def __exit__(self, *error): self.items.clear()
    def __eq__(self, other): return True
    def __lt__(self, other): return True
    @classmethod
    def of(cls, *items): return cls(items)
def total(stack): return sum(stack.items)
def lazy():
    n = 0
    while True:
        yield n
        n += 1
def adder(n): return lambda x: x + n
"""


@pytest.mark.parametrize(
    "code",
    [
        "s = Stack()\ns.push(1).push(2)\nassert s.pop() == 2 and s.size == 1 and len(s) == 1",
        "s = Stack([1, 2])\nassert list(s) == [1, 2] and s[0] == 1 and 2 in s",
        "assert str(Stack([1, 2])) == 'Stack[1, 2]'",
        "s = Stack([1])\ns[0] = 5\ns.items = s.items + [6]\nassert s.items == [5, 6]",
        "assert (Stack([1]) + Stack([2])).items == [1, 2] and Stack.of(1, 2).size == 2",
        "with Stack([1]) as s: assert s.size == 1\nassert s.size == 0",
        "assert isinstance(Stack(), Stack) and not isinstance(3, Stack) and Stack.LIMIT == 3",
        "assert total(Stack([1, 2])) == 3",
        "s = Stack()\nassert s == s and s != 3 and not s == [] and s in [s] and hash(s) == hash(s)",
        "try: Stack().pop()\nexcept Empty as e: assert str(e) == 'empty'\nelse: assert 0",
        "try: Stack().pop()\nexcept LookupError: assert True\nelse: assert 0",
        "import itertools\nassert list(itertools.islice(lazy(), 3)) == [0, 1, 2]",
        "g = lazy()\nassert next(g) == 0 and next(g) == 1",
        "assert adder(2)(3) == 5",
        "assert not hasattr(Stack(), 'nope') and hasattr(Stack(), 'push')",
        "from solution import Stack as S\nassert S([4]).pop() == 4",
    ],
)
def test_classes_and_closures_can_be_tested(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("Stack", "Empty", "total", "lazy", "adder")
    job = replace(with_tests(STACK, code, entry_points=names), classes=("Stack",))
    judgement = run_tests(monkeypatch, job)
    assert judgement.verdict is OK, judgement


@pytest.mark.parametrize(
    ("code", "verdict", "flag"),
    [
        ("assert Stack([1]) == Stack([2])", NR, "tests_invalid:compares_objects"),
        ("assert Stack([1]) < Stack([2])", NR, "tests_invalid:compares_objects"),
        ("assert Stack([1]) == [1]", WA, None),
        ("assert Stack([1]) < 5", WA, "test_exception:TypeError"),
        ("assert adder(1) == 5", WA, None),
        ("assert 3 in lazy.__call__() and False", WA, None),
    ],
)
def test_an_object_of_the_solution_is_never_believed_to_be_equal(
    code: str, verdict: Verdict, flag: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("Stack", "adder", "lazy")
    job = replace(with_tests(STACK, code, entry_points=names), classes=("Stack",))
    judgement = run_tests(monkeypatch, job)
    assert judgement.verdict is verdict, judgement
    assert flag is None or flag in judgement.flags


def test_names_of_exceptions_do_not_hide_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    source = "class f(Exception):\n  def __eq__(self, other): return True"
    judgement = run_tests(monkeypatch, with_tests(source, "assert f(1) == 2"))
    assert judgement.verdict is WA


def test_an_odd_value_that_breaks_a_test_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    judgement = run_tests(monkeypatch, with_tests("def f(x): return None", "assert len(f(1)) == 2"))
    assert (judgement.verdict, judgement.flags) == (WA, ("test_exception:TypeError",))


def says(
    exchange: TestsExchange, kind: RecordKind, number: int, body: bytes
) -> list[tuple[Side, bytes]]:
    return exchange.take(Side.EXAMINER, Record(NONCE, kind, number, body))


CALL = encode(("call", "f", (1,), {}))
PASSED = encode({"outcome": "passed", "note": "", "asserts": 1})


def test_a_solution_that_ends_early_is_never_passed() -> None:
    exchange = TestsExchange(with_tests(DOUBLE, "...", "..."))
    [(side, data)] = says(exchange, RecordKind.CALL, 1, CALL)
    message = unpack(data)
    assert side is Side.SOLUTION and message.body == CALL
    exchange.take(Side.SOLUTION, Record(message.nonce, RecordKind.REPLY, 1, RIGHT))
    assert says(exchange, RecordKind.TEST, 0, PASSED) == []
    says(exchange, RecordKind.CALL, 2, CALL)
    [(side, data)] = exchange.done(Side.SOLUTION, outcome((RecordKind.STARTED,)))
    assert side is Side.EXAMINER and unpack(data).number == 2
    # Whatever the tests say now.
    says(exchange, RecordKind.TEST, 1, PASSED)
    exchange.done(Side.EXAMINER, outcome())
    judgement = exchange.judge(LIMITS)
    assert (judgement.verdict, [r.verdict for r in judgement.results]) == (EE, [OK, EE])


@pytest.mark.parametrize(
    ("kind", "number", "body"),
    [
        (RecordKind.CALL, 2, CALL),
        (RecordKind.CALL, 1, b"x"),
        (RecordKind.CALL, 1, encode(("call",))),
        (RecordKind.CALL, 1, encode(("eval", "f", (), {}))),
        (RecordKind.REPLY, 1, RIGHT),
        (RecordKind.TEST, 1, PASSED),
        (RecordKind.TEST, -1, PASSED),
        (RecordKind.TEST, 0, b""),
        (RecordKind.TEST, 0, encode({"outcome": "passed"})),
        (RecordKind.TEST, 0, encode({"outcome": "passed", "note": "", "asserts": True})),
    ],
)
def test_tests_that_speak_out_of_turn_are_no_label(
    kind: RecordKind, number: int, body: bytes
) -> None:
    exchange = TestsExchange(with_tests(DOUBLE, "..."))
    assert (Side.EXAMINER, b"") in says(exchange, kind, number, body)
    exchange.done(Side.EXAMINER, outcome())
    exchange.done(Side.SOLUTION, outcome())
    judgement = exchange.judge(LIMITS)
    assert (judgement.verdict, judgement.flags) == (NR, ("tests_invalid:protocol",))


def test_who_is_to_blame_for_the_time() -> None:
    def judged(waiting: bool, solution: Any, examiner: Any, first: Side) -> Verdict:
        exchange = TestsExchange(with_tests(DOUBLE, "..."))
        if waiting:
            says(exchange, RecordKind.CALL, 1, CALL)
        ends = {Side.SOLUTION: solution, Side.EXAMINER: examiner}
        for side in sorted(ends, key=lambda side: side is not first):
            exchange.done(side, ends[side])
        return exchange.judge(LIMITS).verdict

    start = (RecordKind.STARTED,)
    slow = outcome(start, killed=Killed.WALL, wall_ms=3000)
    spun = outcome(start, killed=Killed.CPU, wall_ms=1000, cpu_ms=1000)
    calm = outcome(wall_ms=3100, cpu_ms=5)
    assert judged(True, slow, calm, Side.SOLUTION) is Verdict.WALL_TIMEOUT
    assert judged(False, slow, calm, Side.SOLUTION) is NR
    assert judged(True, outcome(), slow, Side.EXAMINER) is Verdict.WALL_TIMEOUT
    assert judged(True, spun, calm, Side.SOLUTION) is Verdict.CPU_TIMEOUT
    assert judged(False, outcome(), spun, Side.EXAMINER) is NR
    assert judged(False, outcome(), slow, Side.EXAMINER) is NR
    assert judged(False, slow, slow, Side.EXAMINER) is Verdict.WALL_TIMEOUT
    assert judged(False, outcome(()), calm, Side.SOLUTION) is Verdict.SANDBOX_FAULT
    assert judged(False, outcome(), outcome(()), Side.EXAMINER) is Verdict.SANDBOX_FAULT
