"""A fixed number of workers, and the loop that feeds jobs to whichever is free."""

import dataclasses
import selectors
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Self

from sandbox.backends.base import Backend
from sandbox.environment import Environment
from sandbox.errors import SandboxClosedError, SandboxUnavailableError
from sandbox.exchange import Exchange, Order, Side
from sandbox.executions import executed, not_executed
from sandbox.forms import check_job, open_exchange
from sandbox.judging import Comparator, Outcome
from sandbox.limits import Limits
from sandbox.programs import Execution, Job, Program, Verdict
from sandbox.protocol import State
from sandbox.turns import Turns
from sandbox.workers import Crew, Worker

# A cell is replaced after this many jobs, whatever its state: small leaks stay small.
PROGRAMS_PER_CELL = 2000
MAX_ATTEMPTS = 2
# Beyond the longest patience of process 1 before a silent cell counts as hung: it may be sweeping.
_ANSWER_TIMEOUT_S = 10.0
# Tells a program that destroys cells from a machine on which cells die.
_PROBE = Program(id="probe", source="print(1 + 1)", expected_stdout="2")


@dataclass(slots=True, eq=False)
class _Run:
    """One caller's jobs: what was read of them, what waits, what is done."""

    jobs: Iterator[Job]
    numbers: Iterator[int] = field(default_factory=count)
    pending: "deque[_Task]" = field(default_factory=deque)
    done: dict[int, Execution] = field(default_factory=dict)
    next_index: int = 0
    unfinished: int = 0
    exhausted: bool = False


@dataclass(slots=True, eq=False)
class _Task:
    run: _Run
    index: int
    job: Job
    limits: Limits
    attempts: int = 0
    suspect: bool = False
    probe_for: "_Task | None" = None


@dataclass(slots=True, eq=False)
class _Attempt:
    """A task at a worker."""

    task: _Task
    exchange: Exchange
    orders: dict[Side, Order]
    begun: bool = False
    outcomes: dict[Side, Outcome] = field(default_factory=dict)


class Sandbox:
    """A running pool of cells; made by `open_sandbox`. Any number of threads may use it at once.

    Args:
        backend: Builds the cells.
        workers: Number of jobs at once.
        limits: Limits of every job that brings none.
        comparator: Compares output where a program carries an expected one.
        programs_per_cell: How many jobs a cell runs before it is replaced.

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
        self._turns = Turns()
        self._runs: deque[_Run] = deque()
        self._attempts: dict[int, _Attempt] = {}
        self.environment: Environment | None = None
        """What programs find around them; set by `open_sandbox`."""
        self._closed = False
        self._unavailable: str | None = None
        self._crew = Crew(backend, workers)
        self._opening = True
        try:
            while not all(worker.is_idle() for worker in self._crew.workers):
                self._step()
        except BaseException:
            self.close()
            raise
        self._opening = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def limits(self) -> Limits:
        """Limits of every job that brings none."""
        return self._limits

    def close(self) -> None:
        """End all cells and wait until nothing of them is left; may be repeated.

        A `run` that waits in another thread raises SandboxClosedError.
        """
        if self._closed:
            return
        self._closed = True
        self._crew.wake()
        with self._turns:
            self._crew.close()
            self._backend.close()

    def describe(self) -> dict[str, object]:
        """Return what this sandbox is, as plain JSON values: backend, isolation, limits."""
        limits = dataclasses.asdict(self._limits)
        return {
            **self._backend.describe(),
            "workers": len(self._crew.workers),
            "limits": limits,
            "comparator": self._comparator.__name__,
            "environment": self.environment.describe() if self.environment else None,
        }

    def run(self, jobs: Iterable[Job]) -> Iterator[Execution]:
        """Run programs and judge functions; return what happened, lazily and in input order.

        Closing the returned iterator stops what is still running of it.

        Args:
            jobs: Read only as fast as workers become free, and in the calling thread.

        Returns:
            One `Execution` per job. When cells can no longer be started, in spite of retries, the
            rest are `NOT_RUN` with the flag `sandbox_unavailable`.

        Raises:
            SandboxClosedError: The sandbox was closed.
            SandboxUsageError: Something that is not a usable job was given.
        """
        self._refuse_if_closed()
        return self._run(_Run(iter(jobs)))

    def _run(self, run: _Run) -> Iterator[Execution]:
        with self._turns:
            self._refuse_if_closed()
            if self._unavailable is not None and not self._runs:
                # What was wrong may have been put right since.
                self._unavailable = None
                self._crew.start_again()
            self._runs.append(run)
        try:
            while True:
                with self._turns:
                    self._refuse_if_closed()
                    self._fill(run)
                    self._hand_out()
                    if run.next_index not in run.done:
                        if run.exhausted and not run.unfinished:
                            return
                        self._step()
                while run.next_index in run.done:
                    yield run.done.pop(run.next_index)
                    run.next_index += 1
        finally:
            with self._turns:
                self._abandon(run)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise SandboxClosedError("run() on a closed sandbox; open a new one")

    def _abandon(self, run: _Run) -> None:
        self._runs.remove(run)
        for number, attempt in list(self._attempts.items()):
            if attempt.task.run is run and not self._closed:
                del self._attempts[number]
                self._crew.replace(self._crew.workers[number])

    # --- jobs to workers -----------------------------------------------------------------------

    def _fill(self, run: _Run) -> None:
        """Read jobs until every worker has the next one waiting."""
        # Results wait for earlier ones; the bound keeps one slow job from buffering the rest.
        size = len(self._crew.workers)
        window = 64 + 16 * size
        while (
            not run.exhausted
            and len(run.pending) < size
            and len(run.done) + run.unfinished < window
        ):
            job = next(run.jobs, None)
            if job is None:
                run.exhausted = True
                return
            limits = check_job(job, self._limits)
            task = _Task(run, next(run.numbers), job, limits)
            run.unfinished += 1
            if self._unavailable is not None:
                self._give_up(task, Verdict.NOT_RUN, "sandbox_unavailable")
            elif len(job.source) > limits.source_kib << 10:
                self._give_up(task, Verdict.COMPILE_ERROR, "source_too_large")
            else:
                run.pending.append(task)

    def _hand_out(self) -> None:
        """Give waiting jobs to idle workers, callers in turn."""
        for worker in self._crew.workers:
            if worker.number in self._attempts or not worker.is_idle():
                continue
            for _ in range(len(self._runs)):
                self._runs.rotate(-1)
                if self._runs[-1].pending:
                    self._give(worker, self._runs[-1].pending.popleft())
                    break

    def _give(self, worker: Worker, task: _Task) -> None:
        task.attempts += 1
        exchange = open_exchange(task.job, self._comparator)
        attempt = _Attempt(task, exchange, exchange.orders())
        self._attempts[worker.number] = attempt
        if Side.EXAMINER in attempt.orders and Side.EXAMINER not in worker.cells:
            try:
                self._crew.start(worker, Side.EXAMINER)
            except (SandboxUnavailableError, OSError) as error:
                self._bury(worker, str(error), died=False)
                return
        self._begin_if_ready(worker, attempt)

    def _begin_if_ready(self, worker: Worker, attempt: _Attempt) -> None:
        if attempt.begun or not worker.is_idle():
            return
        attempt.begun = True
        limits = attempt.task.limits
        worker.deadline = time.monotonic() + 8 * limits.wall_s + _ANSWER_TIMEOUT_S
        for side, order in attempt.orders.items():
            if side is Side.EXAMINER:
                # It mostly waits for the solution, whose limit has to be the one that counts.
                limits = dataclasses.replace(limits, wall_s=min(3600.0, 2 * limits.wall_s + 1))
            worker.cells[side].send(order, limits)
            self._crew.watch_writing(worker, side)

    # --- one step of the loop ------------------------------------------------------------------

    def _step(self) -> None:
        """Wait until something happens and deal with it."""
        for worker, reason in self._crew.start_due():
            self._retry_or_stop(worker, reason)
        for worker, side, event in self._crew.wait():
            if self._closed:
                break
            if event & selectors.EVENT_WRITE:
                worker.cells[side].write_some()
                self._crew.watch_writing(worker, side)
            if event & selectors.EVENT_READ:
                self._listen(worker, side)
        self._refuse_if_closed()
        for worker in self._crew.workers:
            broken = [c for c in worker.cells.values() if c.state is State.BROKEN]
            if broken:
                self._bury(worker, broken[0].reason, died=True)
            elif worker.is_waiting() and time.monotonic() > worker.deadline:
                self._bury(worker, "the cell does not answer", died=False)

    def _listen(self, worker: Worker, side: Side) -> None:
        conversation = worker.cells[side]
        # A cell that talks is not hung, however late we listen.
        worker.deadline = max(worker.deadline, time.monotonic() + _ANSWER_TIMEOUT_S)
        outcome = conversation.read_some()
        attempt = self._attempts.get(worker.number)
        if attempt is None:
            return
        self._begin_if_ready(worker, attempt)
        while conversation.talk:
            self._pass_on(worker, attempt.exchange.take(side, conversation.talk.popleft()))
        if conversation.is_malformed and side is Side.SOLUTION:
            # Its channel may be stuck for good, and there is nothing more to learn.
            del self._attempts[worker.number]
            self._crew.replace(worker)
            self._give_up(attempt.task, Verdict.TAMPERING, "forged_record")
            return
        if outcome is not None:
            attempt.outcomes[side] = outcome
            self._pass_on(worker, attempt.exchange.done(side, outcome))
            if attempt.outcomes.keys() == attempt.orders.keys():
                self._finish(worker, attempt)

    def _pass_on(self, worker: Worker, inputs: list[tuple[Side, bytes]]) -> None:
        for side, data in inputs:
            worker.cells[side].send_input(data)
            self._crew.watch_writing(worker, side)

    def _finish(self, worker: Worker, attempt: _Attempt) -> None:
        del self._attempts[worker.number]
        task = attempt.task
        worker.served += 1
        worker.failures = 0
        judgement = attempt.exchange.judge(task.limits)
        suspect = judgement.verdict in (Verdict.TAMPERING, Verdict.SANDBOX_FAULT)
        dirty = any(outcome.dirty for outcome in attempt.outcomes.values())
        if suspect or dirty or worker.served >= self._programs_per_cell:
            self._crew.replace(worker)
        if task.probe_for is not None:
            self._convict(task.probe_for, guilty=judgement.verdict is Verdict.ACCEPTED)
        elif judgement.verdict is Verdict.SANDBOX_FAULT and task.attempts < MAX_ATTEMPTS:
            task.run.pending.appendleft(task)
        else:
            outcome = attempt.outcomes[Side.SOLUTION]
            row = executed(task.job, task.attempts, outcome, judgement, self._backend)
            self._complete(task, row)

    def _complete(self, task: _Task, execution: Execution) -> None:
        task.run.done[task.index] = execution
        task.run.unfinished -= 1

    # --- when something breaks -----------------------------------------------------------------

    def _bury(self, worker: Worker, reason: str, *, died: bool) -> None:
        """Replace broken cells; decide what becomes of the job that they had."""
        attempt = self._attempts.pop(worker.number, None)
        if worker.served == 0 and (attempt is None or not attempt.begun):
            self._crew.dismiss(worker)
            self._retry_or_stop(worker, reason)
        else:
            self._crew.replace(worker)
        if attempt is None:
            return
        task = attempt.task
        if self._unavailable is not None:
            self._give_up(task, Verdict.SANDBOX_FAULT, "sandbox_unavailable")
        elif not attempt.begun:
            task.attempts -= 1
            task.run.pending.appendleft(task)
        elif task.probe_for is not None:
            self._convict(task.probe_for, guilty=False)
        elif task.attempts < MAX_ATTEMPTS:
            task.run.pending.appendleft(task)
        elif died and task.suspect:
            self._give_up(task, Verdict.TAMPERING, "cell_killer")
        elif died:
            task.run.pending.appendleft(_Task(task.run, -1, _PROBE, self._limits, probe_for=task))
        else:
            self._give_up(task, Verdict.SANDBOX_FAULT, "cell_unresponsive")

    def _convict(self, task: _Task, *, guilty: bool) -> None:
        """Try a program under which two cells died once more, if cells otherwise live.

        An engine that goes down takes its cells with it one after the other, and a probe in between
        may pass; a program that kills its third cell as well did it itself.
        """
        if guilty:
            task.suspect = True
            task.run.pending.appendleft(task)
        else:
            self._give_up(task, Verdict.SANDBOX_FAULT, "cell_killer")

    def _retry_or_stop(self, worker: Worker, reason: str) -> None:
        """Plan another start; where it is hopeless, what waits will not run."""
        message = f"a cell of the {self._backend.name} backend does not start: {reason}"
        if self._opening:
            raise SandboxUnavailableError(message)
        if self._crew.try_later(worker):
            return
        self._unavailable = message
        for run in self._runs:
            while run.pending:
                self._give_up(run.pending.popleft(), Verdict.NOT_RUN, "sandbox_unavailable")

    def _give_up(self, task: _Task, verdict: Verdict, flag: str) -> None:
        task = task.probe_for or task
        row = not_executed(task.job, task.attempts, verdict, flag, self._backend)
        self._complete(task, row)
