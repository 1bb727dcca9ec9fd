"""Carries out a job in this process: the code of both cells and of the parent, without the walls.

For what that code says. What the walls hold is tested with real cells.
"""

import json
import sys
import types
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from sandbox import Limits
from sandbox.cell import frames
from sandbox.cell.calls import Server
from sandbox.cell.examine import Examiner
from sandbox.cell.frames import Done, Killed, Message, Record, RecordKind, Seen
from sandbox.examination import CasesExchange, TestsExchange
from sandbox.exchange import Side
from sandbox.judging import Judgement, Outcome
from sandbox.programs import Case, FunctionCases, FunctionTests

NONCE = b"n" * 16
LIMITS = Limits(cpu_s=1, wall_s=3)
END = (RecordKind.STARTED, RecordKind.END)


def outcome(
    kinds: tuple[RecordKind, ...] = END,
    *,
    status: int = 0,
    killed: Killed = Killed.NO,
    wall_ms: int = 1,
    cpu_ms: int = 1,
) -> Outcome:
    """What is left of a process that wrote these records and ended like this."""
    done = Done(status, killed, Seen.NOTHING, 0, wall_ms * 1_000_000, cpu_ms * 1_000_000, 1024)
    records = [Record(NONCE, kind, 0, b"") for kind in kinds]
    return Outcome(NONCE, done, b"", b"", records, None, None)


def unpack(data: bytes) -> Message:
    """A message as a cell reads it."""
    nonce, number, length = frames.MESSAGE_HEADER.unpack_from(data)
    body = data[frames.MESSAGE_HEADER.size :]
    assert len(body) == length
    return Message(nonce, number, body)


def server(source: str, told: dict[str, Any]) -> Server:
    module = types.ModuleType("solution")
    exec(source, module.__dict__)
    return Server(module, told)


class RelayChannel:
    """The examiner's channel, with the parent and the solution right behind it."""

    def __init__(self, exchange: TestsExchange, answer: Callable[[Message], list[Record]]) -> None:
        self.exchange = exchange
        self.answer = answer
        self.waiting: deque[bytes] = deque()

    def send(self, kind: RecordKind, number: int, body: bytes = b"") -> None:
        self._pass_on(self.exchange.take(Side.EXAMINER, Record(NONCE, kind, number, body)))

    def _pass_on(self, inputs: list[tuple[Side, bytes]]) -> None:
        for side, data in inputs:
            if side is Side.EXAMINER:
                self.waiting.append(data)
            elif data:
                for record in self.answer(unpack(data)):
                    self._pass_on(self.exchange.take(Side.SOLUTION, record))

    def receive(self) -> Message | None:
        data = self.waiting.popleft()
        return unpack(data) if data else None


def run_tests(
    monkeypatch: pytest.MonkeyPatch,
    job: FunctionTests,
    meddle: Callable[[Message, bytes], list[Record]] | None = None,
) -> Judgement:
    """Judge a job with tests; `meddle` writes the records that answer a message instead."""
    exchange = TestsExchange(job)
    orders = exchange.orders()
    told = parse(orders[Side.SOLUTION].rest)
    # Registered here, so that they are gone again after the test.
    for name in ("tests", "solution"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    solution = server(orders[Side.SOLUTION].source.decode(), told)

    def answer(message: Message) -> list[Record]:
        reply = solution.answer(message.body)
        if meddle is not None:
            return meddle(message, reply)
        return [Record(message.nonce, RecordKind.REPLY, message.number, reply)]

    channel: Any = RelayChannel(exchange, answer)
    Examiner(parse(orders[Side.EXAMINER].rest), channel).run()
    exchange.done(Side.EXAMINER, outcome())
    exchange.done(Side.SOLUTION, outcome())
    return exchange.judge(LIMITS)


def parse(data: bytes) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(data)
    return told


def with_tests(source: str, *codes: str, entry_points: tuple[str, ...] = ("f",)) -> FunctionTests:
    return FunctionTests("t", source, entry_points, codes)


def with_cases(
    source: str, *pairs: tuple[tuple[object, ...], object], entry_point: str = "f", **more: Any
) -> FunctionCases:
    return FunctionCases("c", source, entry_point, tuple(Case(*pair) for pair in pairs), **more)


def run_cases(
    job: FunctionCases,
    meddle: Callable[[Message, bytes], list[Record]] | None = None,
    end: Outcome | None = None,
) -> Judgement:
    """Judge a job with cases, like `run_tests`."""
    exchange = CasesExchange(job)
    [order] = exchange.orders().values()
    solution = server(order.source.decode(), parse(order.rest))
    assert order.inputs[-1] == b""
    for data in order.inputs[:-1]:
        message = unpack(data)
        reply = solution.answer(message.body)
        honest = [Record(message.nonce, RecordKind.REPLY, message.number, reply)]
        for record in meddle(message, reply) if meddle else honest:
            assert exchange.take(Side.SOLUTION, record) == []
    exchange.done(Side.SOLUTION, end or outcome())
    return exchange.judge(LIMITS)
