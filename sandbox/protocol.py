"""The parent's side of the conversation with one cell: sends a job, collects what comes back.

Never blocks and never trusts a length without a bound.
"""

import os
from collections import deque
from enum import Enum

from sandbox.backends.base import Cell
from sandbox.backends.cgroups import Usage
from sandbox.cell import frames
from sandbox.cell.frames import Done, Kind, MalformedRecordError, Mode, Record, RecordKind
from sandbox.exchange import Order
from sandbox.judging import Outcome
from sandbox.limits import Limits

_TALK = frozenset({RecordKind.REPLY, RecordKind.CALL, RecordKind.TEST})
# A start and an ending; one more shows that there was more.
_MAX_PLAIN_RECORDS = 3


class State(Enum):
    """Where a conversation stands."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    BROKEN = "broken"


class Conversation:
    """One cell and the job it has.

    Args:
        cell: A cell that was just started.
    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.state = State.STARTING
        self.reason = ""
        self.talk: deque[Record] = deque()
        """Records that came since they were last taken away."""
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._captured: dict[int, bytearray] = {}
        self._report = bytearray()
        self._records: list[Record] | None = []
        self._mode = Mode.RUN
        self._room = 0
        self._nonce = b""
        self._before: Usage | None = None

    @property
    def wants_to_write(self) -> bool:
        """Whether something is still to be sent."""
        return bool(self._outgoing)

    def send(self, order: Order, limits: Limits) -> None:
        """Give the idle cell a job."""
        assert self.state is State.IDLE, self.state
        self._nonce = os.urandom(16)
        self._mode = order.mode
        self._captured = {kind: bytearray() for kind in (Kind.STDOUT, Kind.STDERR)}
        self._report.clear()
        self._records = []
        self.talk.clear()
        plain = order.mode is Mode.RUN
        records_kib = frames.PLAIN_RECORDS_KIB if plain else frames.TALK_RECORDS_KIB
        self._room = (limits.stdout_kib + limits.stderr_kib + records_kib + 64) << 10
        payload = frames.pack_payload(self._nonce, order.mode, order.source, order.rest)
        self._outgoing += frames.HEADER.pack(frames.JOB_MAGIC, len(payload))
        self._outgoing += frames.JOB_LIMITS.pack(
            order.mode,
            limits.wall_s,
            limits.cpu_s,
            limits.memory_mib,
            limits.stdout_kib,
            limits.stderr_kib,
            records_kib,
        )
        self._outgoing += payload
        for data in order.inputs:
            self._outgoing += frames.pack_input(data)
        self.cell.reset_peak()
        self._before = self._before or self.cell.usage()
        self.state = State.BUSY
        self.write_some()

    def send_input(self, data: bytes) -> None:
        """Pass more on to the running job, b"" to close its channel."""
        if self.state is State.BUSY:
            self._outgoing += frames.pack_input(data)
            self.write_some()

    def write_some(self) -> None:
        """Send as much as the channel takes now."""
        try:
            while self._outgoing:
                # A copy: a view would keep the buffer from growing.
                written = self.cell.write(memoryview(bytes(self._outgoing[: 1 << 18])))
                del self._outgoing[:written]
        except BlockingIOError:
            return
        except OSError as error:
            self._break(f"the cell closed its channel ({error.strerror})")

    def read_some(self) -> Outcome | None:
        """Take in what the cell sent; return the outcome when its job is done."""
        try:
            data = self.cell.read(1 << 18)
        except BlockingIOError:
            return None
        except OSError as error:
            self._break(f"the cell's channel failed ({error.strerror})")
            return None
        if not data:
            self._break("the cell ended")
            return None
        self._incoming += data
        outcome = None
        header = frames.FRAME_HEADER
        while len(self._incoming) >= header.size:
            kind, length = header.unpack_from(self._incoming)
            if length > frames.MAX_FRAME:
                self._break(f"a frame of {length} bytes")
                return None
            if len(self._incoming) < header.size + length:
                break
            body = bytes(self._incoming[header.size : header.size + length])
            del self._incoming[: header.size + length]
            outcome = self._take(kind, body)
        return outcome

    def _take(self, kind: int, body: bytes) -> Outcome | None:
        if kind == Kind.READY and self.state is State.STARTING:
            self.state = State.IDLE
        elif kind in (Kind.STDOUT, Kind.STDERR, Kind.RECORD) and self.state is State.BUSY:
            self._room -= len(body)
            if self._room < 0:
                self._break("more output than the cell may pass on")
            elif kind == Kind.RECORD:
                self._take_report(body)
            else:
                self._captured[kind] += body
        elif kind == Kind.DONE and self.state is State.BUSY and len(body) == frames.DONE_BODY.size:
            return self._finish(Done(*frames.DONE_BODY.unpack(body)))
        elif kind == Kind.FATAL:
            self._break(body.decode("utf-8", "replace"))
        else:
            self._break(f"an unexpected frame of kind {kind} while {self.state.value}")
        return None

    def _take_report(self, body: bytes) -> None:
        """Cut what came through the report pipe into records; None stands for malformed ones."""
        if self._records is None:
            return
        self._report += body
        try:
            while (record := frames.take_record(self._report)) is not None:
                if record.kind not in _TALK:
                    self._records.append(record)
                    if len(self._records) > _MAX_PLAIN_RECORDS:
                        raise MalformedRecordError("too many records")
                elif self._mode is Mode.RUN:
                    raise MalformedRecordError("a plain program has nothing to say")
                else:
                    self.talk.append(record)
        except MalformedRecordError:
            self._records = None
            self._report.clear()

    @property
    def is_malformed(self) -> bool:
        """Whether something else than records came through the report pipe of a talk."""
        return self._records is None and self._mode is not Mode.RUN

    def _finish(self, done: Done) -> Outcome:
        self.state = State.IDLE
        # The cell sleeps between jobs, so this run's counters start where the last one ended.
        before, self._before = self._before, self.cell.usage()
        return Outcome(
            nonce=self._nonce,
            done=done,
            stdout=bytes(self._captured[Kind.STDOUT]),
            stderr=bytes(self._captured[Kind.STDERR]),
            records=self._records if self._is_whole(done) else None,
            before=before,
            after=self._before,
        )

    def _is_whole(self, done: Done) -> bool:
        """Whether nothing but records came; a process that is killed may leave part of one."""
        return not self._report or bool(done.killed) or os.WIFSIGNALED(done.status)

    def _break(self, reason: str) -> None:
        self.state = State.BROKEN
        if not self.reason:
            self.reason = "\n".join(part for part in (reason, self.cell.complaint()) if part)
