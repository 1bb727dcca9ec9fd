"""Judges a function by test code, which runs in a cell that the function cannot reach.

Nothing but validated plain values passes between the two cells, through here. What the tests' cell
reports is believed only as far as the calls agree with it that were seen on the way.
"""

import ast
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from sandbox.cell.decoding import decode
from sandbox.cell.encoding import encode
from sandbox.cell.frames import Message, Mode, Record, RecordKind, pack_message
from sandbox.cell.values import MalformedValueError
from sandbox.errors import SandboxUsageError
from sandbox.exchange import Order, Side
from sandbox.function_cases import NonceSource
from sandbox.judging import Judgement, Outcome
from sandbox.limits import Limits
from sandbox.programs import CaseResult, FunctionTests, Verdict
from sandbox.replies import (
    Reply,
    clean,
    encode_source,
    failure,
    judge_process,
    put_together,
    read_reply,
    shuffled,
)

_NONCE_BYTES = 16
_VERBS = frozenset({"call", "operate", "get", "set", "describe"})


@dataclass(slots=True)
class _Seen:
    """What passed between the two cells during one test.

    Attributes:
        calls: Number of times that the solution was used.
        failed: The first reply that no test can pass with.
        raised: The last exception.
    """

    calls: int = 0
    failed: Reply | None = None
    raised: Reply | None = None


@dataclass(slots=True)
class _Report:
    """One test's report and what was seen meanwhile."""

    outcome: str
    note: str
    asserts: int
    seen: _Seen = field(default_factory=_Seen)

    def judge(self) -> tuple[CaseResult, list[str]]:
        """Return what the test says about the solution, and flags."""
        if self.seen.failed is not None:
            failed = failure(self.seen.failed)
            assert failed is not None
            return failed
        if self.outcome in ("passed", "failed", "error") and not self.seen.calls:
            return self._invalid("no_call")
        if self.outcome == "passed":
            return (
                (CaseResult(Verdict.ACCEPTED), []) if self.asserts else self._invalid("no_assert")
            )
        if self.outcome == "failed":
            return CaseResult(Verdict.WRONG_ANSWER, note=self.note), []
        if self.outcome == "error":
            name = clean(self.note.partition(":")[0], 80)
            return CaseResult(Verdict.WRONG_ANSWER, note=self.note), [f"test_exception:{name}"]
        if self.outcome == "raised" and self.seen.raised is not None:
            failed = failure(self.seen.raised)
            assert failed is not None
            return failed
        return self._invalid(self.note)

    def _invalid(self, reason: str) -> tuple[CaseResult, list[str]]:
        name = clean(reason or self.outcome, 80)
        return CaseResult(Verdict.NOT_RUN, note=name), [f"tests_invalid:{name}"]


def used_as_classes(job: FunctionTests) -> tuple[str, ...]:
    """Return the capitalised entry points that the tests use as classes.

    Read from the tests, which the solution has no part in. In doubt a name is no class: the objects
    of a class are asked questions, and a result that is asked whether it is near 2.5 says yes.
    """
    found: set[str] = set()
    if not any(name[:1].isupper() for name in job.entry_points):
        return ()
    for test in job.tests:
        try:
            nodes = list(ast.walk(ast.parse(test)))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        holders = {name: set(_held_by(nodes, name)) for name in job.entry_points}
        used = {ast.unparse(node.value) for node in nodes if isinstance(node, ast.Attribute)}
        for name, held in holders.items():
            if any(_shows_class(node, name) for node in nodes) or held & used:
                found.add(name)
    return tuple(name for name in job.entry_points if name in found and name[:1].isupper())


def _calls(node: ast.AST, name: str) -> bool:
    """Whether an expression is a call of the entry point, by its name or one of a module's."""
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    return getattr(function, "id", None) == name or getattr(function, "attr", None) == name


def _shows_class(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.withitem):
        return _calls(node.context_expr, name)
    if isinstance(node, ast.Attribute):
        return _calls(node.value, name) or getattr(node.value, "id", None) == name
    if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "isinstance":
        return any(getattr(part, "id", None) == name for part in node.args[1:])
    return False


def _held_by(nodes: list[ast.AST], name: str) -> Iterator[str]:
    """Yield what the result of a call of the entry point is kept in."""
    for node in nodes:
        if isinstance(node, ast.Assign) and _calls(node.value, name):
            yield from (ast.unparse(target) for target in node.targets)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and _calls(node.value or node, name):
            yield ast.unparse(node.target)


class TestsExchange:
    """One attempt at a job with test code: passes calls and replies between two cells.

    Args:
        job: What to judge.
        nonce_source: Returns random bytes; one nonce per call has to come back with its reply.

    Raises:
        SandboxUsageError: There is nothing to test or nothing to test it with.
    """

    __test__ = False

    def __init__(self, job: FunctionTests, nonce_source: NonceSource = os.urandom) -> None:
        if not job.tests or not job.entry_points:
            raise SandboxUsageError(
                f"FunctionTests {job.id!r}: tests and entry_points need at least one element each"
            )
        self._job = job
        self._nonce_source = nonce_source
        self._order = shuffled(job.source, [encode_source(test) for test in job.tests])
        self._classes = used_as_classes(job) if job.classes is None else job.classes
        self._waiting: Message | None = None
        self._serial = 0
        self._seen = _Seen()
        self._reports: list[_Report] = []
        self._claimed_nonces: set[bytes] = set()
        self._outcomes: dict[Side, Outcome] = {}
        self._forged = False
        self._broken = False
        self._left_early = False
        self._told_gone = False

    def orders(self) -> dict[Side, Order]:
        """Return the program, and the tests for another cell."""
        job = self._job
        entry_points = list(job.entry_points)
        classes = list(self._classes)
        serve = {"entry_points": entry_points, "talks": True, "classes": classes}
        tests = [job.tests[number] for number in self._order]
        examine = {
            "entry_points": entry_points,
            "classes": classes,
            "support": job.support,
            "tests": tests,
        }
        return {
            Side.SOLUTION: Order(Mode.SERVE, encode_source(job.source), json.dumps(serve).encode()),
            Side.EXAMINER: Order(Mode.EXAMINE, b"", json.dumps(examine).encode()),
        }

    def take(self, side: Side, record: Record) -> list[tuple[Side, bytes]]:
        """Take in a call or report of the tests or a reply of the solution; pass it on."""
        if self._forged or self._broken:
            return []
        if side is Side.SOLUTION:
            return self._take_reply(record)
        self._claimed_nonces.add(record.nonce)
        if record.kind == RecordKind.CALL:
            return self._take_call(record)
        if record.kind == RecordKind.TEST:
            return self._take_report(record)
        return self._break()

    def _take_call(self, record: Record) -> list[tuple[Side, bytes]]:
        try:
            request = decode(record.body, lambda reference: reference)
        except MalformedValueError:
            return self._break()
        proper = type(request) is tuple and len(request) == 4 and request[0] in _VERBS
        if not proper or self._waiting is not None or record.number != self._serial + 1:
            return self._break()
        self._serial += 1
        self._seen.calls += request[0] != "describe"  # type: ignore[index]
        self._waiting = Message(self._nonce_source(_NONCE_BYTES), self._serial, record.body)
        if Side.SOLUTION in self._outcomes:
            return self._say_gone()
        return [(Side.SOLUTION, pack_message(self._waiting))]

    def _take_reply(self, record: Record) -> list[tuple[Side, bytes]]:
        asked, self._waiting = self._waiting, None
        answers = asked is not None and record.kind == RecordKind.REPLY
        if not answers or (record.nonce, record.number) != asked[:2]:  # type: ignore[index]
            return self._forge()
        kinds = ("iterator", "callable", "object") if self._classes else ("iterator", "callable")
        reply = read_reply(record.body, kinds=kinds)
        if reply is None:
            return self._forge()
        if reply.kind == "raised":
            self._seen.raised = reply
        elif failure(reply) is not None:
            self._seen.failed = self._seen.failed or reply
        return [(Side.EXAMINER, self._answer(record.body))]

    def _answer(self, body: bytes) -> bytes:
        return pack_message(Message(bytes(_NONCE_BYTES), self._serial, body))

    def _take_report(self, record: Record) -> list[tuple[Side, bytes]]:
        try:
            report = decode(record.body)
        except MalformedValueError:
            return self._break()
        kinds = {"outcome": str, "note": str, "asserts": int}
        proper = type(report) is dict and {key: type(part) for key, part in report.items()} == kinds
        in_order = record.number == len(self._reports) < len(self._job.tests)
        if not proper or not in_order or self._waiting is not None or self._told_gone:
            return self._break()
        assert isinstance(report, dict)
        note = clean(report["note"])
        self._reports.append(_Report(report["outcome"], note, report["asserts"], self._seen))
        self._seen = _Seen()
        return []

    def _break(self) -> list[tuple[Side, bytes]]:
        """The tests said something that test code as we run it never says."""
        self._broken = True
        return self._close()

    def _forge(self) -> list[tuple[Side, bytes]]:
        """The solution's process said something that it was not asked."""
        self._forged = True
        return self._close()

    @staticmethod
    def _close() -> list[tuple[Side, bytes]]:
        return [(Side.SOLUTION, b""), (Side.EXAMINER, b"")]

    def _say_gone(self) -> list[tuple[Side, bytes]]:
        self._told_gone = True
        return [(Side.EXAMINER, self._answer(encode(("gone", "the solution ended"))))]

    def done(self, side: Side, outcome: Outcome) -> list[tuple[Side, bytes]]:
        """Take in that a cell is done; end the other one's part."""
        self._outcomes[side] = outcome
        if side is Side.EXAMINER:
            return [(Side.SOLUTION, b"")]
        self._left_early = Side.EXAMINER not in self._outcomes
        return self._say_gone() if self._waiting is not None and self._left_early else []

    def judge(self, limits: Limits) -> Judgement:
        """Return the verdict, with one result per test in the job's order."""
        solution = judge_process(self._outcomes[Side.SOLUTION], limits)
        tests = judge_process(self._outcomes[Side.EXAMINER], limits)
        flags: list[str] = []
        fault = self._fault(solution.verdict, tests.verdict)
        missing = len(self._reports) < len(self._order)
        rest = CaseResult(fault or Verdict.NOT_RUN, note="the test did not end")
        results = [rest] * len(self._order)
        for number, report in zip(self._order, self._reports, strict=False):
            results[number], more = report.judge()
            flags += more
        if not fault and (missing or self._broken or tests.verdict is not Verdict.ACCEPTED):
            ended = "incomplete" if tests.verdict is Verdict.ACCEPTED else tests.verdict.value
            reason = "protocol" if self._broken else ended
            flags.append(f"tests_invalid:{reason}")
        if self._forged:
            flags.append("forged_record")
        return put_together(self._verdict(fault, results, flags), solution, flags, results)

    def _fault(self, solution: Verdict, tests: Verdict) -> Verdict | None:
        """Return how the solution's process failed the tests, None if it did not."""
        if self._forged or solution is Verdict.TAMPERING:
            return Verdict.TAMPERING
        if Verdict.SANDBOX_FAULT in (solution, tests):
            return Verdict.SANDBOX_FAULT
        idle = self._left_early and self._waiting is None
        if solution is Verdict.WALL_TIMEOUT and idle:
            return None  # It had answered everything: the tests let its time pass.
        if solution is not Verdict.ACCEPTED:
            return solution
        if self._left_early and not self._broken:
            return Verdict.EARLY_EXIT
        waited = self._waiting is not None and tests is Verdict.WALL_TIMEOUT
        return Verdict.WALL_TIMEOUT if waited else None

    def _verdict(
        self, fault: Verdict | None, results: list[CaseResult], flags: list[str]
    ) -> Verdict:
        if fault is not None:
            return fault
        for result in results:
            if result.verdict.is_label and result.verdict is not Verdict.ACCEPTED:
                return result.verdict
        invalid = any(flag.startswith("tests_invalid:") for flag in flags)
        return Verdict.NOT_RUN if invalid else Verdict.ACCEPTED
