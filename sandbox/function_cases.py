"""Judges a function by what it returns: the expected values never leave this process."""

import json
import math
import os
from collections.abc import Callable

from sandbox.cell.decoding import decode
from sandbox.cell.encoding import ITERATORS, encode
from sandbox.cell.frames import Message, Mode, Record, RecordKind, pack_message
from sandbox.cell.values import TooLargeError, UnencodableError
from sandbox.equality import EQUALITIES
from sandbox.errors import SandboxUsageError
from sandbox.exchange import Order, Side
from sandbox.judging import Judgement, Outcome
from sandbox.limits import Limits
from sandbox.programs import CaseResult, FunctionCases, Verdict
from sandbox.replies import (
    Reply,
    encode_source,
    failure,
    judge_process,
    put_together,
    read_reply,
    show,
    shuffled,
    unanswered,
)

NonceSource = Callable[[int], bytes]

_NONCE_BYTES = 16


def _refuse_iterators(value: object) -> None:
    """A job may be sent twice, and an iterator can be read once."""
    if type(value) in ITERATORS:
        raise UnencodableError(type(value).__name__)


class CasesExchange:
    """One attempt at a job with cases. All calls are queued at once, in an order of their own.

    Args:
        job: What to judge.
        nonce_source: Returns random bytes; one nonce per call has to come back with its reply.

    Raises:
        SandboxUsageError: There is nothing to call, or a value is not plain.
    """

    def __init__(self, job: FunctionCases, nonce_source: NonceSource = os.urandom) -> None:
        if not job.cases or job.equality not in EQUALITIES or not 0 <= job.tolerance < math.inf:
            raise SandboxUsageError(
                f"FunctionCases {job.id!r}: {len(job.cases)} cases, equality={job.equality!r}, "
                f"tolerance={job.tolerance!r}; expected at least one case, one of "
                f"{sorted(EQUALITIES)}, and a finite number from 0"
            )
        self._job = job
        requests = [
            self._encode(number, ("call", job.entry_point, case.args, dict(case.kwargs)))
            for number, case in enumerate(job.cases)
        ]
        expected = [self._encode(number, case.expected) for number, case in enumerate(job.cases)]
        self._expected = [decode(data) for data in expected]
        parts = [*map(bytes.__add__, requests, expected)]
        self._order = shuffled(job.source, parts)
        self._nonces = [nonce_source(_NONCE_BYTES) for _ in self._order]
        # Numbered by their place in the queue: their place in the job would help a program that
        # knows the answers but not the questions.
        self._messages = tuple(
            pack_message(Message(nonce, place, requests[number]))
            for place, (nonce, number) in enumerate(zip(self._nonces, self._order, strict=True))
        )
        self._replies: dict[int, Reply] = {}
        self._forged = False
        self._outcome: Outcome | None = None

    def _encode(self, number: int, value: object) -> bytes:
        try:
            return encode(value, _refuse_iterators)
        except (UnencodableError, TooLargeError) as error:
            raise SandboxUsageError(
                f"FunctionCases {self._job.id!r}, case {number}: {error}; arguments and expected "
                "values must be plain"
            ) from None

    def orders(self) -> dict[Side, Order]:
        """Return the program and all calls."""
        told = {"entry_points": [self._job.entry_point], "talks": False, "classes": []}
        rest = json.dumps(told).encode()
        inputs = (*self._messages, b"")
        return {Side.SOLUTION: Order(Mode.SERVE, encode_source(self._job.source), rest, inputs)}

    def take(self, side: Side, record: Record) -> list[tuple[Side, bytes]]:
        """Take in a reply."""
        place = record.number
        asked = record.kind == RecordKind.REPLY and 0 <= place < len(self._order)
        if self._forged or not asked or record.nonce != self._nonces[place]:
            self._forged = True
            return []
        reply = read_reply(record.body) if place not in self._replies else None
        if reply is None:
            self._forged = True
        else:
            self._replies[place] = reply
        return []

    def done(self, side: Side, outcome: Outcome) -> list[tuple[Side, bytes]]:
        """Keep the outcome."""
        self._outcome = outcome
        return []

    def judge(self, limits: Limits) -> Judgement:
        """Return the verdict, with one result per case in the job's order."""
        assert self._outcome is not None
        plain = judge_process(self._outcome, limits)
        flags: list[str] = []
        by_number: dict[int, CaseResult] = {}
        for place, number in enumerate(self._order):
            result, more = self._result(number, self._replies.get(place), plain.verdict)
            by_number[number] = result
            flags += more
        results = [by_number[number] for number in range(len(self._order))]
        verdict = plain.verdict
        if self._forged:
            verdict = Verdict.TAMPERING
            flags.append("forged_record")
        elif verdict is Verdict.ACCEPTED:
            verdict = next((r.verdict for r in results if r.verdict is not verdict), verdict)
        return put_together(verdict, plain, flags, results)

    def _result(
        self, number: int, reply: Reply | None, process: Verdict
    ) -> tuple[CaseResult, list[str]]:
        if reply is None:
            return CaseResult(unanswered(process), note="no answer"), []
        if (failed := failure(reply)) is not None:
            return failed
        equal = EQUALITIES[self._job.equality]
        right = equal(self._expected[number], reply.value, self._job.tolerance)
        verdict = Verdict.ACCEPTED if right else Verdict.WRONG_ANSWER
        return CaseResult(verdict, got=show(reply.value)), []
