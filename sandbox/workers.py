"""A worker: the cells that one job needs, started, watched and replaced together."""

import os
import selectors
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from sandbox.backends.base import Backend, Cell
from sandbox.errors import SandboxUnavailableError
from sandbox.exchange import Side
from sandbox.protocol import Conversation, State

_START_TIMEOUT_S = 30.0
# Seconds to wait before the next try when cells do not start: an engine that restarts comes back.
_PAUSES_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0)


@dataclass(slots=True)
class Worker:
    """Up to two cells that work on one job.

    Attributes:
        number: Which one of the pool.
        cells: The conversations by side; the examiner's is started when a job first needs it.
        deadline: When a cell that starts or works counts as hung, by the monotonic clock.
        served: Jobs since its cells were started.
        failures: Times in a row that its cells did not start.
        start_at: When to try again to start them; None while they are there.
    """

    number: int
    cells: dict[Side, Conversation] = field(default_factory=dict)
    deadline: float = 0.0
    served: int = 0
    failures: int = 0
    start_at: float | None = None

    def is_idle(self) -> bool:
        """Whether a job can be given to it."""
        return Side.SOLUTION in self.cells and self.all_in(State.IDLE)

    def all_in(self, state: State) -> bool:
        """Whether all its cells are in this state."""
        return all(cell.state is state for cell in self.cells.values())

    def is_waiting(self) -> bool:
        """Whether one of its cells owes an answer."""
        return any(cell.state in (State.STARTING, State.BUSY) for cell in self.cells.values())


class Crew:
    """All workers of a pool, and what wakes it up.

    Args:
        backend: Builds the cells.
        size: Number of workers.
    """

    def __init__(self, backend: Backend, size: int) -> None:
        self._backend = backend
        self._dying: list[Cell] = []
        self._selector = selectors.DefaultSelector()
        # Another thread may have something to say while one waits.
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self.workers = [Worker(number, start_at=0.0) for number in range(size)]

    def wake(self) -> None:
        """End a `wait` that another thread is in, and every later one."""
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """End all cells and wait until nothing of them is left."""
        for worker in self.workers:
            self.dismiss(worker)
        for cell in self._dying:
            cell.wait(10.0)
        self._selector.close()
        os.close(self._wake)

    def start(self, worker: Worker, side: Side) -> None:
        """Start a cell of a worker.

        Raises:
            SandboxUnavailableError: The backend could not.
        """
        cell = self._backend.start_cell(worker.number)
        conversation = Conversation(cell)
        worker.cells[side] = conversation
        worker.deadline = time.monotonic() + _START_TIMEOUT_S
        self._selector.register(cell.read_fd, selectors.EVENT_READ, (worker, side, conversation))

    def start_due(self) -> Iterator[tuple[Worker, str]]:
        """Start workers whose time has come; yield those that did not start, and why."""
        for worker in self.workers:
            if worker.start_at is None or time.monotonic() < worker.start_at:
                continue
            worker.start_at = None
            try:
                self.start(worker, Side.SOLUTION)
            except (SandboxUnavailableError, OSError) as error:
                # Out of processes, descriptors or memory: that passes, and no program is to blame.
                yield worker, str(error)

    def try_later(self, worker: Worker) -> bool:
        """Plan another start of a worker whose cells did not; return False when none is left."""
        worker.failures += 1
        last = len(_PAUSES_S) - 1
        if worker.failures > last and not any(other.cells for other in self.workers):
            return False
        worker.start_at = time.monotonic() + _PAUSES_S[min(worker.failures, last)]
        return True

    def start_again(self) -> None:
        """Forget that workers did not start."""
        for worker in self.workers:
            worker.failures = 0
            if not worker.cells:
                worker.start_at = time.monotonic()

    def dismiss(self, worker: Worker) -> None:
        """End the cells of a worker."""
        for conversation in worker.cells.values():
            cell = conversation.cell
            for fd in {cell.read_fd, cell.write_fd}:
                if fd in self._selector.get_map():
                    self._selector.unregister(fd)
            cell.stop()
            self._dying.append(cell)
        worker.cells.clear()
        worker.served = 0
        self._dying = [cell for cell in self._dying if not cell.wait(0)]

    def replace(self, worker: Worker) -> None:
        """End the cells of a worker and plan new ones."""
        self.dismiss(worker)
        worker.start_at = time.monotonic() + _PAUSES_S[min(worker.failures, len(_PAUSES_S) - 1)]

    def watch_writing(self, worker: Worker, side: Side) -> None:
        """Wake up when a cell takes more, as long as there is more for it."""
        conversation = worker.cells[side]
        read_fd, write_fd = conversation.cell.read_fd, conversation.cell.write_fd
        data = (worker, side, conversation)
        if read_fd == write_fd:
            both = selectors.EVENT_READ | selectors.EVENT_WRITE
            events = both if conversation.wants_to_write else selectors.EVENT_READ
            if self._selector.get_key(read_fd).events != events:
                self._selector.modify(read_fd, events, data)
            return
        watched = write_fd in self._selector.get_map()
        if conversation.wants_to_write and not watched:
            self._selector.register(write_fd, selectors.EVENT_WRITE, data)
        elif watched and not conversation.wants_to_write:
            self._selector.unregister(write_fd)

    def wait(self) -> Iterator[tuple[Worker, Side, int]]:
        """Wait until cells have something to say or to take, or a deadline passes.

        Yields:
            Worker, side and `selectors.EVENT_*` of every cell that is still the worker's.
        """
        now = time.monotonic()
        times = [w.deadline for w in self.workers if w.is_waiting()]
        times += [w.start_at for w in self.workers if w.start_at is not None]
        timeout = max(0.0, min(times) - now) if times else 0.0
        for key, event in self._selector.select(timeout):
            if key.data is None:
                continue
            worker, side, conversation = key.data
            # Replaced a moment ago, its descriptors may be another cell's by now.
            if worker.cells.get(side) is conversation:
                yield worker, side, event
