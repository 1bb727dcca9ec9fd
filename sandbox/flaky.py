"""Finds programs that do not do the same twice, by running a share of them once more.

The second run is in a sandbox with another seed, hence with other string hashes, other random
numbers, another layout of memory, at another time. It is evidence about the first run and never a
second sample: whoever votes counts the first run only.
"""

import dataclasses
import hashlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import cast

from sandbox.cache import Box
from sandbox.errors import SandboxUsageError
from sandbox.identity import job_digest
from sandbox.programs import Execution, Job, Verdict

NONDETERMINISTIC = "nondeterministic"
"""Flag of an execution whose second run had another verdict, output or result."""

RECHECKED = "rechecked"
"""Flag of an execution that was compared with a second run."""

# Rechecks are run together, so that the second sandbox uses all its workers.
_MAX_RECHECKS = 64
_MAX_WAITING = 1000
_STOPPED = frozenset(
    {
        Verdict.CPU_TIMEOUT,
        Verdict.WALL_TIMEOUT,
        Verdict.MEMORY_LIMIT,
        Verdict.OUTPUT_LIMIT,
    }
)


def is_rechecked(digest: bytes, share: float, seed: int) -> bool:
    """Whether a job belongs to the share that runs twice.

    Depends on what the job is, not on its place in a batch: the same job is always or never in it.

    Args:
        digest: From `sandbox.identity.job_digest`.
        share: Of all jobs, in [0, 1].
        seed: Chooses another share of the same size.

    Example:
        >>> [is_rechecked(bytes([i]) * 32, 0.5, seed=0) for i in range(4)]
        [False, True, False, False]
    """
    drawn = hashlib.sha256(f"{seed} ".encode() + digest).digest()[:8]
    return int.from_bytes(drawn, "big") < share * 2**64


def run_rechecked(
    box: Box, other_box: Box, jobs: Iterable[Job], share: float, seed: int
) -> Iterator[Execution]:
    """Run jobs, and a share of them once more; return the first runs, in input order.

    Args:
        box: Runs all jobs.
        other_box: Runs the share again; opened with another seed.
        jobs: Read as fast as results are taken, within bounds.
        share: Of all jobs, from 0 to 1; 1 checks all.
        seed: Of the choice of jobs.

    Returns:
        One execution per job, as `box.run` gives it. One that was compared with a second run has
        the flag `rechecked`, and `nondeterministic` where verdict, results or standard output were
        not exactly the same; the output of a program that ran into a limit is not compared. Where
        either run is a fault of the sandbox, nothing is compared.

    Raises:
        SandboxUsageError: The share is none, or both sandboxes have the same seed, so that the
            second run could not show what hangs on it.
    """
    if not 0 <= share <= 1:
        raise SandboxUsageError(f"share={share!r}; expected a number from 0 to 1")
    if box.environment is None or other_box.environment is None:
        raise SandboxUsageError("run_rechecked() needs sandboxes made with open_sandbox()")
    if box.environment.seed == other_box.environment.seed:
        raise SandboxUsageError(
            f"both sandboxes have seed={box.environment.seed}; open the second one with another, "
            f"for example open_sandbox(seed={box.environment.seed + 1})"
        )
    return _run(box, other_box, iter(jobs), share, seed)


@dataclass(frozen=True, slots=True)
class Rechecker:
    """Runs jobs like a sandbox, a share of them twice; see `run_rechecked`."""

    box: Box
    other_box: Box
    share: float
    seed: int

    def run(self, jobs: Iterable[Job]) -> Iterator[Execution]:
        """Run jobs; return the first runs, in input order."""
        return run_rechecked(self.box, self.other_box, jobs, self.share, self.seed)


@dataclass(slots=True)
class _First:
    """A first run, and its job where it is to run again."""

    execution: Execution
    job: Job | None


def _run(
    box: Box, other_box: Box, jobs: Iterator[Job], share: float, seed: int
) -> Generator[Execution]:
    read: deque[Job] = deque()

    def reading() -> Iterator[Job]:
        for job in jobs:
            read.append(job)
            yield job

    waiting: list[_First] = []
    num_chosen = 0
    with closing(cast(Generator[Execution], box.run(reading()))) as run:
        for execution in run:
            job = read.popleft()
            chosen = execution.verdict.is_label and is_rechecked(
                job_digest(job, box.limits), share, seed
            )
            num_chosen += chosen
            waiting.append(_First(execution, job if chosen else None))
            if not num_chosen or num_chosen == _MAX_RECHECKS or len(waiting) == _MAX_WAITING:
                yield from _recheck(other_box, waiting)
                waiting, num_chosen = [], 0
    yield from _recheck(other_box, waiting)


def _recheck(other_box: Box, waiting: list[_First]) -> Iterator[Execution]:
    jobs = [first.job for first in waiting if first.job is not None]
    second_runs = iter(list(other_box.run(jobs)) if jobs else [])
    for first in waiting:
        if first.job is None:
            yield first.execution
        else:
            yield _compared(first.execution, next(second_runs))


def _compared(first: Execution, second: Execution) -> Execution:
    if not second.verdict.is_label:
        return first
    same = (first.verdict, first.results) == (second.verdict, second.results)
    # How far a program came before it was stopped is the machine's doing, not its own.
    if first.verdict not in _STOPPED:
        same = same and first.stdout == second.stdout
    flags = (RECHECKED,) if same else (RECHECKED, NONDETERMINISTIC)
    return dataclasses.replace(first, flags=(*first.flags, *flags))
