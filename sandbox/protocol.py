"""The parent's side of the conversation with one cell: sends a job, collects its frames.

Never blocks and never trusts a length without a bound.
"""

import os
from enum import Enum

from sandbox.backends.base import Cell
from sandbox.backends.cgroups import Usage
from sandbox.cell import frames
from sandbox.cell.frames import Done, Kind
from sandbox.judging import Outcome
from sandbox.programs import Program


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
        max_capture: Bytes of captured output that one job may send; more means a broken cell.
    """

    def __init__(self, cell: Cell, max_capture: int) -> None:
        self.cell = cell
        self.state = State.STARTING
        self.reason = ""
        self._max_capture = max_capture
        self._incoming = bytearray()
        self._outgoing = memoryview(b"")
        self._captured: dict[int, bytearray] = {}
        self._nonce = b""
        self._before: Usage | None = None

    @property
    def wants_to_write(self) -> bool:
        """Whether a part of the job is still to be sent."""
        return bool(self._outgoing)

    def send(self, program: Program) -> None:
        """Give the idle cell a job."""
        assert self.state is State.IDLE, self.state
        self._nonce = os.urandom(16)
        self._captured = {kind: bytearray() for kind in (Kind.STDOUT, Kind.STDERR, Kind.RECORD)}
        # Surrogates cannot be encoded; passed on, they become a compile error in the cell.
        source = program.source.encode("utf-8", "surrogatepass")
        stdin = program.stdin.encode("utf-8", "surrogatepass")
        self._outgoing = memoryview(frames.pack_job(self._nonce, source, stdin))
        self.cell.reset_peak()
        self._before = self._before or self.cell.usage()
        self.state = State.BUSY
        self.write_some()

    def write_some(self) -> None:
        """Send as much of the job as the channel takes now."""
        try:
            while self._outgoing:
                written = os.write(self.cell.write_fd, self._outgoing)
                self._outgoing = self._outgoing[written:]
        except BlockingIOError:
            return
        except OSError as error:
            self._break(f"the cell closed its channel ({error.strerror})")

    def read_some(self) -> Outcome | None:
        """Take in what the cell sent; return the outcome when its job is done."""
        try:
            data = os.read(self.cell.read_fd, 1 << 18)
        except BlockingIOError:
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
        elif kind in self._captured and self.state is State.BUSY:
            self._captured[kind] += body
            if sum(map(len, self._captured.values())) > self._max_capture:
                self._break("more output than the cell may pass on")
        elif kind == Kind.DONE and self.state is State.BUSY and len(body) == frames.DONE_BODY.size:
            self.state = State.IDLE
            # The cell sleeps between jobs, so this run's counters start where the last one ended.
            before, self._before = self._before, self.cell.usage()
            return Outcome(
                nonce=self._nonce,
                done=Done(*frames.DONE_BODY.unpack(body)),
                stdout=bytes(self._captured[Kind.STDOUT]),
                stderr=bytes(self._captured[Kind.STDERR]),
                records=bytes(self._captured[Kind.RECORD]),
                before=before,
                after=self._before,
            )
        elif kind == Kind.FATAL:
            self._break(body.decode("utf-8", "replace"))
        else:
            self._break(f"an unexpected frame of kind {kind} while {self.state.value}")
        return None

    def _break(self, reason: str) -> None:
        self.state = State.BROKEN
        if not self.reason:
            self.reason = "\n".join(part for part in (reason, self.cell.complaint()) if part)
