"""A fixed number of cells, and the loop that feeds programs to whichever is free."""

import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Self

from sandbox.backends.base import Backend, Cell
from sandbox.errors import SandboxClosedError, SandboxUnavailableError, SandboxUsageError
from sandbox.judging import Comparator, Judgement, Outcome, judge
from sandbox.limits import Limits
from sandbox.programs import Execution, Program, Verdict
from sandbox.protocol import Conversation, State

# A cell is replaced after this many programs, whatever its state: small leaks stay small.
PROGRAMS_PER_CELL = 2000
MAX_ATTEMPTS = 2
_START_TIMEOUT_S = 30.0
# Beyond the longest patience of process 1 before a silent cell counts as hung: it may be sweeping.
_ANSWER_TIMEOUT_S = 10.0
_FAILED_STARTS = 3
# Tells a program that destroys cells from a machine on which cells die.
_PROBE = Program(id="probe", source="print(1 + 1)", expected_stdout="2")


@dataclass(slots=True)
class _Task:
    index: int
    program: Program
    attempts: int = 0
    probe_for: "_Task | None" = None


@dataclass(slots=True)
class _Slot:
    number: int
    conversation: Conversation
    deadline: float
    task: _Task | None = None
    served: int = 0


class Sandbox:
    """A running pool of cells; made by `open_sandbox`.

    Args:
        backend: Builds the cells.
        workers: Number of cells, each running one program at a time.
        limits: Limits of every program.
        comparator: Compares output where a program carries an expected one.
        programs_per_cell: How many programs a cell runs before it is replaced.

    Raises:
        SandboxUnavailableError: A cell does not start; nothing was run.
    """

    def __init__(
        self,
        backend: Backend,
        workers: int,
        limits: Limits,
        comparator: Comparator,
        programs_per_cell: int = PROGRAMS_PER_CELL,
    ) -> None:
        self._backend = backend
        self._limits = limits
        self._comparator = comparator
        self._programs_per_cell = programs_per_cell
        self._selector = selectors.DefaultSelector()
        # `close` may come from another thread while `run` waits: it wakes it by this.
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._lock = threading.RLock()
        self._dying: list[Cell] = []
        self._slots: list[_Slot] = []
        self._pending: deque[_Task] = deque()
        self._done: dict[int, Execution] = {}
        self._failed_starts = 0
        self._running = False
        self._closed = False
        try:
            for number in range(workers):
                self._slots.append(self._start(number))
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all cells and wait until nothing of them is left; may be repeated.

        A `run` that waits in another thread raises SandboxClosedError.
        """
        if self._closed:
            return
        self._closed = True
        os.eventfd_write(self._wake, 1)
        with self._lock:
            for slot in self._slots:
                self._retire(slot)
            for cell in self._dying:
                cell.wait(10.0)
            self._selector.close()
            os.close(self._wake)

    def describe(self) -> dict[str, object]:
        """Return what this sandbox is, as plain JSON values: backend, isolation, limits."""
        limits = {name: getattr(self._limits, name) for name in Limits.__dataclass_fields__}
        return {**self._backend.describe(), "workers": len(self._slots), "limits": limits}

    def run(self, programs: Iterable[Program]) -> Iterator[Execution]:
        """Run programs and return what happened, lazily and in input order.

        Args:
            programs: Read only as fast as cells become free.

        Returns:
            One `Execution` per program.

        Raises:
            SandboxClosedError: The sandbox was closed.
            SandboxUsageError: Another `run` of this sandbox is still going on, or something that
                is not a usable `Program` was given.
            SandboxUnavailableError: Cells stopped starting; executions returned so far stand.
        """
        self._refuse_if_closed()
        return self._run(iter(programs))

    def _run(self, programs: Iterator[Program]) -> Iterator[Execution]:
        if self._running:
            raise SandboxUsageError(
                "run() while another run() of this sandbox is unfinished; exhaust or close() the "
                "first iterator, or open a second sandbox"
            )
        self._running = True
        self._pending.clear()
        self._done.clear()
        numbers = count()
        next_index = 0
        exhausted = False
        try:
            while True:
                with self._lock:
                    self._refuse_if_closed()
                    for slot in self._slots:
                        if slot.task is None and slot.conversation.state is State.IDLE:
                            exhausted = exhausted or not self._fill(programs, numbers)
                            if self._pending:
                                self._give(slot, self._pending.popleft())
                    if exhausted and not self._pending and not any(s.task for s in self._slots):
                        break
                    self._step()
                while next_index in self._done:
                    yield self._done.pop(next_index)
                    next_index += 1
            while next_index in self._done:
                yield self._done.pop(next_index)
                next_index += 1
        finally:
            self._running = False
            self._abandon()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise SandboxClosedError("run() on a closed sandbox; open a new one")

    def _fill(self, programs: Iterator[Program], numbers: Iterator[int]) -> bool:
        """Queue the next program unless something waits; return whether more may follow."""
        # Results wait for earlier ones; the bound keeps one slow program from buffering the rest.
        window = 64 + 16 * len(self._slots)
        while not self._pending and len(self._done) + len(self._slots) < window:
            program = next(programs, None)
            if program is None:
                return False
            self._check(program)
            task = _Task(next(numbers), program)
            if len(program.source) > self._limits.source_kib << 10:
                self._done[task.index] = self._unrun(
                    task, Verdict.COMPILE_ERROR, ("source_too_large",)
                )
            else:
                self._pending.append(task)
        return True

    def _check(self, program: Program) -> None:
        if not isinstance(program, Program):
            raise SandboxUsageError(
                f"run() got {type(program).__name__}; expected sandbox.Program objects"
            )
        if not isinstance(program.source, str) or not isinstance(program.stdin, str):
            raise SandboxUsageError(f"Program {program.id!r}: source and stdin must be str")
        if len(program.stdin) > self._limits.stdin_kib << 10:
            raise SandboxUsageError(
                f"Program {program.id!r}: stdin has {len(program.stdin)} characters, the limit is "
                f"{self._limits.stdin_kib} KiB; raise Limits(stdin_kib=...)"
            )

    # --- cells ---------------------------------------------------------------------------------

    def _start(self, number: int) -> _Slot:
        cell = self._backend.start_cell(number)
        # Output, error output, records and their overhead.
        capture = (self._limits.stdout_kib + self._limits.stderr_kib + 64) << 10
        slot = _Slot(number, Conversation(cell, capture), time.monotonic() + _START_TIMEOUT_S)
        self._selector.register(cell.read_fd, selectors.EVENT_READ, slot)
        return slot

    def _retire(self, slot: _Slot) -> None:
        cell = slot.conversation.cell
        for fd in (cell.read_fd, cell.write_fd):
            if fd in self._selector.get_map():
                self._selector.unregister(fd)
        cell.stop()
        self._dying.append(cell)

    def _replace(self, slot: _Slot) -> None:
        self._retire(slot)
        self._dying = [cell for cell in self._dying if not cell.wait(0)]
        self._slots[slot.number] = self._start(slot.number)

    def _wait_until_ready(self) -> None:
        while any(slot.conversation.state is State.STARTING for slot in self._slots):
            self._step()

    def _abandon(self) -> None:
        for slot in list(self._slots):
            if slot.task is not None and not self._closed:
                self._replace(slot)

    # --- one step of the loop ------------------------------------------------------------------

    def _give(self, slot: _Slot, task: _Task) -> None:
        task.attempts += 1
        slot.task = task
        slot.deadline = time.monotonic() + 4 * self._limits.wall_s + _ANSWER_TIMEOUT_S
        slot.conversation.send(task.program)
        self._watch_writing(slot)

    def _watch_writing(self, slot: _Slot) -> None:
        fd = slot.conversation.cell.write_fd
        watched = fd in self._selector.get_map()
        wanted = slot.conversation.wants_to_write
        if wanted and not watched:
            self._selector.register(fd, selectors.EVENT_WRITE, slot)
        elif watched and not wanted:
            self._selector.unregister(fd)

    def _step(self) -> None:
        """Wait until something happens and deal with it."""
        waiting = [slot.deadline for slot in self._slots if self._is_waiting(slot)]
        timeout = max(0.0, min(waiting) - time.monotonic()) if waiting else 0.0
        events = self._selector.select(timeout)
        self._refuse_if_closed()
        for key, event in events:
            slot: _Slot = key.data
            if self._slots and self._slots[slot.number] is not slot:
                continue  # Replaced a moment ago; its descriptors may be another cell's by now.
            if event & selectors.EVENT_WRITE:
                slot.conversation.write_some()
                self._watch_writing(slot)
                continue
            # A cell that talks is not hung, however late we listen.
            slot.deadline = max(slot.deadline, time.monotonic() + _ANSWER_TIMEOUT_S)
            if (outcome := slot.conversation.read_some()) is not None:
                self._finish(slot, outcome)
        for slot in list(self._slots):
            if slot.conversation.state is State.BROKEN:
                self._bury(slot, slot.conversation.reason, died=True)
            elif self._is_waiting(slot) and time.monotonic() > slot.deadline:
                self._bury(slot, "the cell does not answer", died=False)

    def _is_waiting(self, slot: _Slot) -> bool:
        return slot.conversation.state in (State.STARTING, State.BUSY)

    def _finish(self, slot: _Slot, outcome: Outcome) -> None:
        task, slot.task = slot.task, None
        assert task is not None
        slot.served += 1
        self._failed_starts = 0
        judgement = judge(task.program, outcome, self._limits, self._comparator)
        suspect = judgement.verdict in (Verdict.TAMPERING, Verdict.SANDBOX_FAULT)
        if suspect or outcome.dirty or slot.served >= self._programs_per_cell:
            self._replace(slot)
        if task.probe_for is not None:
            self._convict(task.probe_for, guilty=judgement.verdict is Verdict.ACCEPTED)
        elif judgement.verdict is Verdict.SANDBOX_FAULT and task.attempts < MAX_ATTEMPTS:
            self._pending.appendleft(task)
        else:
            self._done[task.index] = self._execution(task, outcome, judgement)

    def _bury(self, slot: _Slot, reason: str, *, died: bool) -> None:
        """Replace a broken cell; decide what becomes of the program that it had."""
        task, slot.task = slot.task, None
        if task is None and slot.served == 0:
            self._failed_starts += 1
            if self._failed_starts >= _FAILED_STARTS or not self._running:
                raise SandboxUnavailableError(
                    f"a cell of the {self._backend.name} backend does not start: {reason}"
                )
        self._replace(slot)
        if task is None:
            return
        if task.probe_for is not None:
            self._convict(task.probe_for, guilty=False)
        elif task.attempts < MAX_ATTEMPTS:
            self._pending.appendleft(task)
        elif died:
            self._pending.appendleft(_Task(-1, _PROBE, probe_for=task))
        else:
            flags = ("cell_unresponsive",)
            self._done[task.index] = self._unrun(task, Verdict.SANDBOX_FAULT, flags)

    def _convict(self, task: _Task, *, guilty: bool) -> None:
        """Judge a program under which two cells died, by whether cells otherwise live."""
        verdict = Verdict.TAMPERING if guilty else Verdict.SANDBOX_FAULT
        self._done[task.index] = self._unrun(task, verdict, ("cell_killer",))

    # --- rows ----------------------------------------------------------------------------------

    def _execution(self, task: _Task, outcome: Outcome, judgement: Judgement) -> Execution:
        return Execution(
            id=task.program.id,
            verdict=judgement.verdict,
            exit_code=judgement.exit_code,
            signal=judgement.signal,
            stdout=outcome.stdout.decode("utf-8", "backslashreplace"),
            stderr=outcome.stderr.decode("utf-8", "backslashreplace"),
            stdout_truncated=outcome.stdout_truncated,
            stderr_truncated=outcome.stderr_truncated,
            wall_ms=outcome.wall_ms,
            cpu_ms=outcome.cpu_ms,
            peak_memory_mib=outcome.peak_memory_mib,
            backend=self._backend.name,
            isolation=self._backend.isolation,
            limits_enforced_by=self._backend.limits_enforced_by,
            image_digest=self._backend.image_digest,
            flags=judgement.flags,
            attempts=task.attempts,
        )

    def _unrun(self, task: _Task, verdict: Verdict, flags: tuple[str, ...]) -> Execution:
        return Execution(
            id=task.program.id,
            verdict=verdict,
            exit_code=None,
            signal=None,
            stdout="",
            stderr="",
            stdout_truncated=False,
            stderr_truncated=False,
            wall_ms=0.0,
            cpu_ms=0.0,
            peak_memory_mib=None,
            backend=self._backend.name,
            isolation=self._backend.isolation,
            limits_enforced_by=self._backend.limits_enforced_by,
            image_digest=self._backend.image_digest,
            flags=flags,
            attempts=task.attempts,
        )
