"""Cases without cells: what the code of both sides makes of odd programs and forged replies."""

from collections.abc import Callable
from typing import Any

import pytest

from sandbox import SandboxUsageError, Verdict
from sandbox.cell.encoding import encode
from sandbox.cell.frames import Killed, Message, Record, RecordKind
from sandbox.examination import CasesExchange
from sandbox.exchange import Side
from sandbox.programs import Case, FunctionCases
from tests.sandbox.relay import (
    NONCE,
    outcome,
    run_cases,
    run_tests,
    unpack,
    with_cases,
    with_tests,
)

OK = Verdict.ACCEPTED
WA = Verdict.WRONG_ANSWER
RE = Verdict.RUNTIME_ERROR
EE = Verdict.EARLY_EXIT
OL = Verdict.OUTPUT_LIMIT
TA = Verdict.TAMPERING
NR = Verdict.NOT_RUN
DOUBLE = "def f(x): return 2 * x"


@pytest.mark.parametrize(
    ("source", "verdict", "flag"),
    [
        (DOUBLE, OK, None),
        ("def f(x): return 2.0 * x", OK, None),
        ("def f(x): return x", WA, None),
        ("def f(x): return 1 / 0", RE, None),
        ("def f(x): raise SystemExit(0)", EE, None),
        ("def f(x): raise MemoryError", Verdict.MEMORY_LIMIT, None),
        ("def f(x): import nonesuch", RE, "missing_dependency:nonesuch"),
        ("def g(x): return 2 * x", RE, "missing_entry_point"),
        ("def f(): return 2", RE, None),
        ("def f(x): return [2 * x][0:1]", WA, None),
        (
            "class Yes(int):\n  def __eq__(s, o): return True\ndef f(x): return Yes()",
            WA,
            "unencodable:Yes",
        ),
        ("def f(x):\n  while True: yield 2 * x", OL, "result_too_large"),
        ("def f(x): yield 2 * x", WA, None),
        ("def f(x): return range(10**18)", WA, None),
        ("def f(x): return [0] * 10**6", OL, "result_too_large"),
        (
            "class E(Exception):\n  def __str__(s): raise SystemExit\ndef f(x): raise E(object())",
            RE,
            None,
        ),
        ("def f(x): raise ValueError('x' * 10**7)", RE, None),
        (
            "class M(type):\n  __name__ = property(lambda c: 1 / 0)\n"
            "class A(metaclass=M): pass\ndef f(x): return A()",
            RE,
            None,
        ),
    ],
)
def test_cases_are_judged_by_what_comes_back(
    source: str, verdict: Verdict, flag: str | None
) -> None:
    judgement = run_cases(with_cases(source, ((1,), 2), ((4,), 8)))
    assert judgement.verdict is verdict, judgement
    assert [result.verdict for result in judgement.results] == [verdict] * 2
    assert flag is None or flag in judgement.flags
    assert all(len(r.got) <= 500 and len(r.note) <= 500 for r in judgement.results)


def test_results_stand_in_the_order_of_the_cases() -> None:
    job = with_cases("def f(x): return x if x != 7 else 0", *(((i,), i) for i in range(12)))
    results = run_cases(job).results
    assert [r.got for r in results] == [str(i if i != 7 else 0) for i in range(12)]
    assert [r.verdict for r in results] == [WA if i == 7 else OK for i in range(12)]


def test_the_order_of_calls_is_no_order_and_always_the_same() -> None:
    job = with_cases(
        "calls = []\ndef f(x):\n  calls.append(x)\n  return len(calls) - 1",
        *(((i,), i) for i in range(20)),
    )
    first, second = run_cases(job), run_cases(job)
    assert first.verdict is WA and first == second
    messages = [unpack(data) for data in CasesExchange(job).orders()[Side.SOLUTION].inputs[:-1]]
    assert [message.number for message in messages] == list(range(20))
    assert len({message.nonce for message in messages}) == 20
    other = FunctionCases(job.id, job.source + "\n", job.entry_point, job.cases)
    bodies = [unpack(d).body for d in CasesExchange(other).orders()[Side.SOLUTION].inputs[:-1]]
    assert bodies != [message.body for message in messages]
    assert sorted(bodies) == sorted(message.body for message in messages)


def test_every_call_of_a_method_gets_a_fresh_object() -> None:
    source = (
        "class S:\n  def __init__(self): self.n = 0\n"
        "  def f(self, x): self.n += x; return self.n\n"
        "  @staticmethod\n  def g(x): return x\n"
    )
    assert run_cases(with_cases(source, ((1,), 1), ((2,), 2), entry_point="S.f")).verdict is OK
    assert run_cases(with_cases(source, ((1,), 1), entry_point="S.g")).verdict is OK
    missing = run_cases(with_cases(source, ((1,), 1), entry_point="S.h"))
    assert (missing.verdict, missing.flags) == (RE, ("missing_entry_point",))


def test_arguments_by_name_and_no_change_of_them_reach_the_parent() -> None:
    source = "def f(x, *, scale=1):\n  x.append(4)\n  return [scale * i for i in x]"
    arguments = [1, 2]
    job = FunctionCases("c", source, "f", (Case((arguments,), [3, 6, 12], {"scale": 3}),))
    assert run_cases(job).verdict is OK
    assert arguments == [1, 2]


def reply(message: Message, body: bytes, **changed: Any) -> Record:
    return Record(message.nonce, RecordKind.REPLY, message.number, body)._replace(**changed)


RIGHT = encode(("value", 2, {}))
FORGERIES: dict[str, Callable[[Message, bytes], list[Record]]] = {
    "twice": lambda m, b: [reply(m, b), reply(m, b)],
    "another nonce": lambda m, b: [reply(m, b, nonce=bytes(16))],
    "the job's nonce": lambda m, b: [reply(m, b, nonce=NONCE)],
    "a number that is not there": lambda m, b: [reply(m, b, number=99)],
    "a negative number": lambda m, b: [reply(m, b, number=-1)],
    "another kind": lambda m, b: [reply(m, b, kind=RecordKind.TEST)],
    "a call": lambda m, b: [reply(m, b, kind=RecordKind.CALL)],
    "no value": lambda m, b: [reply(m, b"x")],
    "nested deep": lambda m, b: [reply(m, b"[" * 10**6)],
    "no reply": lambda m, b: [reply(m, encode(2))],
    "half a reply": lambda m, b: [reply(m, encode(("value", 2)))],
    "a list": lambda m, b: [reply(m, encode(["value", 2, {}]))],
    "an unknown reply": lambda m, b: [reply(m, encode(("passed",)))],
    "gone": lambda m, b: [reply(m, encode(("gone", "x")))],
    "raised nothing": lambda m, b: [reply(m, encode(("raised", [], (), "")))],
    "raised numbers": lambda m, b: [reply(m, encode(("raised", [1], (), "")))],
    "an object": lambda m, b: [reply(m, b'{"t":["value",{"h":[-1,"f","entry"]},{"d":[]}]}')],
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_reply_that_was_not_asked_for_is_tampering(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judgement = run_cases(with_cases("def f(x): return 2", ((1,), 2)), FORGERIES[name])
    assert (judgement.verdict, judgement.flags) == (TA, ("forged_record",))
    judgement = run_tests(
        monkeypatch, with_tests("def f(x): return 2", "assert f(1) == 2"), FORGERIES[name]
    )
    assert (judgement.verdict, judgement.flags) == (TA, ("forged_record",))
    assert [result.verdict for result in judgement.results] == [TA]


@pytest.mark.parametrize(
    ("end", "verdict"),
    [
        (outcome(), EE),
        (outcome((RecordKind.STARTED,)), EE),
        (outcome((RecordKind.STARTED, RecordKind.EXIT)), EE),
        (outcome((RecordKind.STARTED,), status=3 << 8), Verdict.NONZERO_EXIT),
        (outcome((RecordKind.STARTED,), status=9), Verdict.SIGNAL),
        (outcome((RecordKind.STARTED,), killed=Killed.CPU), Verdict.CPU_TIMEOUT),
        (outcome((RecordKind.STARTED,), killed=Killed.WALL), Verdict.WALL_TIMEOUT),
        (outcome((RecordKind.STARTED,), killed=Killed.MEMORY), Verdict.MEMORY_LIMIT),
        (outcome((RecordKind.STARTED, RecordKind.NOT_COMPILED), status=256), Verdict.COMPILE_ERROR),
        (outcome((RecordKind.STARTED, RecordKind.EXCEPTION), status=256), RE),
        (outcome((RecordKind.END,)), TA),
        (outcome(()), Verdict.SANDBOX_FAULT),
    ],
)
def test_a_missing_reply_is_how_the_process_ended(end: Any, verdict: Verdict) -> None:
    answered: list[int] = []

    def only_one(message: Message, body: bytes) -> list[Record]:
        answered.append(message.number)
        return [reply(message, body)] if len(answered) == 1 else []

    job = with_cases(DOUBLE, ((1,), 2), ((2,), 4))
    judgement = run_cases(job, only_one, end)
    assert judgement.verdict is verdict
    unanswered = NR if verdict is Verdict.SANDBOX_FAULT else verdict
    assert sorted(r.verdict for r in judgement.results) == sorted([OK, unanswered])
    # All answers right and no regular end is not enough either.
    bad_end = run_cases(job, None, end).verdict
    assert bad_end is (OK if end == outcome() else verdict)


@pytest.mark.parametrize(
    "job",
    [
        FunctionCases("x", "", "f", ()),
        with_cases("", ((object(),), 1)),
        with_cases("", ((1,), object())),
        with_cases("", ((1,), "x" * (2 << 20))),
        with_cases("", ((1,), 1), equality="luck"),
        with_cases("", ((1,), 1), tolerance=float("nan")),
        with_cases("", ((1,), 1), tolerance=-1.0),
    ],
)
def test_a_job_that_cannot_be_asked_is_refused(job: FunctionCases) -> None:
    with pytest.raises(SandboxUsageError, match=r"FunctionCases '[xc]'"):
        CasesExchange(job)
