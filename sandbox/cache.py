"""Runs jobs only where no earlier run has decided them already.

What is kept is decided by the program alone: verdicts that hang on the clock or on the fate of a
cell are not, and neither are faults of the sandbox.
"""

import dataclasses
import functools
import hashlib
import json
import warnings
from collections import OrderedDict, deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from sandbox.environment import Environment
from sandbox.errors import SandboxCacheError, SandboxUsageError
from sandbox.identity import job_digest
from sandbox.limits import Limits
from sandbox.programs import CaseResult, Execution, Job, Verdict
from sandbox.result_cache import ResultCache

CACHED = "cached"
"""Flag of an execution that is a copy of another one."""

_HANGS_ON_MORE = frozenset({"near_limit", "cell_killer"})
# Rows that wait for an earlier one of their batch are held in memory.
_MAX_HELD_ROWS = 1000
_MAX_HELD_BYTES = 64 << 20
_MAX_REMEMBERED = 256


class Box(Protocol):
    """What is needed of a sandbox."""

    environment: Environment | None

    @property
    def limits(self) -> Limits:
        """Limits of every job that brings none."""

    def describe(self) -> dict[str, object]:
        """Return what it is, as plain JSON values."""

    def run(self, jobs: Iterable[Job]) -> Iterator[Execution]:
        """Run jobs."""


@functools.cache
def judge_version() -> str:
    """Return a digest of all code that decides a verdict: this room's.

    Nobody has to remember to raise a number. A change that decides nothing empties the cache too,
    which costs time only.
    """
    digest = hashlib.sha256()
    room = Path(__file__).parent
    for path in sorted(room.rglob("*.py")):
        digest.update(f"{path.relative_to(room)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def box_digest(box: Box) -> bytes:
    """Return 32 bytes that are the same only for sandboxes that decide the same.

    Args:
        box: Its environment, backend, comparator and way of enforcing limits count.

    Raises:
        SandboxUsageError: Nobody measured its environment.
    """
    if box.environment is None:
        raise SandboxUsageError(
            "a cache needs a sandbox whose environment is known; make it with open_sandbox()"
        )
    described = box.describe()
    names = ("backend", "isolation", "limits_enforced_by", "comparator")
    parts = {
        **{name: described[name] for name in names},
        "environment": box.environment.fingerprint,
        "judge": judge_version(),
        # A row of another shape could not be read back.
        "row": [f.name for kind in (Execution, CaseResult) for f in dataclasses.fields(kind)],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()


def result_key(box: Box, job: Job) -> bytes:
    """Return the key of a job in a cache: everything that decides its verdict.

    Args:
        box: Where it would run.
        job: A job that can be run; its id does not count.

    Raises:
        SandboxUsageError: It is no job, or one that cannot be run as it is.
    """
    return hashlib.sha256(box_digest(box) + job_digest(job, box.limits)).digest()


def may_be_kept(execution: Execution) -> bool:
    """Whether another run of the same job would end in the same verdict, as far as one can know."""
    verdicts = {execution.verdict, *(result.verdict for result in execution.results)}
    if not execution.verdict.is_label or verdicts & {Verdict.WALL_TIMEOUT, Verdict.SANDBOX_FAULT}:
        return False
    return not _HANGS_ON_MORE.intersection(execution.flags)


def run_cached(box: Box, jobs: Iterable[Job], cache: ResultCache) -> Iterator[Execution]:
    """Run jobs that the cache does not know; return what became of all, lazily, in input order.

    Jobs that differ by nothing but their id are run once. A copy has its own id and the flag
    `cached`; its times are those of the run that it is a copy of. Copies of one run are no
    independent samples.

    Args:
        box: Runs what is not known.
        jobs: Read as fast as results are taken, within bounds.
        cache: Gets what may be kept. One that cannot be written (a full disk) is warned about
            once, and the run goes on without it.

    Raises:
        SandboxCacheError: The cache is damaged.
        SandboxClosedError: The sandbox was closed.
        SandboxUsageError: Something that is not a usable job was given.
    """
    return _Batch(box, iter(jobs), cache).executions()


@dataclass(slots=True, eq=False)
class _Row:
    """One job of a batch, in its place."""

    job: Job
    key: bytes
    execution: Execution | None = None
    is_hit: bool = False
    size: int = 0
    copies: "list[_Row]" = field(default_factory=list)


class _Batch:
    def __init__(self, box: Box, jobs: Iterator[Job], cache: ResultCache) -> None:
        self._box = box
        self._jobs = jobs
        self._cache = cache
        self._box_digest = box_digest(box)
        self._order: deque[_Row] = deque()
        self._running: deque[_Row] = deque()
        self._again: deque[_Row] = deque()
        self._first: dict[bytes, _Row] = {}
        # Not for the cache, but good enough for equal jobs of the same batch.
        self._remembered: OrderedDict[bytes, Execution] = OrderedDict()
        self._held_rows = 0
        self._held_bytes = 0
        self._exhausted = False
        self._writable = True

    def executions(self) -> Generator[Execution]:
        while not self._exhausted or self._order:
            run = cast(Generator[Execution], self._box.run(self._unknown()))
            with closing(run):
                for execution in run:
                    self._settle(self._running.popleft(), execution)
                    yield from self._settled()
            yield from self._settled()

    def _settled(self) -> Iterator[Execution]:
        while self._order and (execution := self._order[0].execution) is not None:
            row = self._order.popleft()
            if row.is_hit:
                self._held_rows -= 1
                self._held_bytes -= row.size
            yield execution

    def _unknown(self) -> Iterator[Job]:
        """Yield the jobs that have to run.

        Ends early where many known ones wait for their turn; `executions` then starts anew.
        """
        while True:
            while self._again:
                self._running.append(self._again.popleft())
                yield self._running[-1].job
            if self._held_rows >= _MAX_HELD_ROWS or self._held_bytes >= _MAX_HELD_BYTES:
                return
            job = next(self._jobs, None)
            if job is None:
                self._exhausted = True
                return
            row = self._take_in(job)
            if self._first.get(row.key) is row:
                self._running.append(row)
                yield row.job

    def _take_in(self, job: Job) -> _Row:
        key = hashlib.sha256(self._box_digest + job_digest(job, self._box.limits)).digest()
        row = _Row(job, key)
        self._order.append(row)
        if (first := self._first.get(key)) is not None:
            first.copies.append(row)
        elif (known := self._remembered.get(key) or self._cache.get(key)) is not None:
            self._copy(known, row)
        else:
            self._first[key] = row
        return row

    def _copy(self, known: Execution, row: _Row) -> None:
        row.execution = dataclasses.replace(known, id=row.job.id, flags=(*known.flags, CACHED))
        row.is_hit = True
        row.size = len(known.stdout) + len(known.stderr)
        self._held_rows += 1
        self._held_bytes += row.size

    def _settle(self, row: _Row, execution: Execution) -> None:
        row.execution = execution
        if self._first.get(row.key) is row:
            del self._first[row.key]
        if may_be_kept(execution):
            self._keep(row.key, execution)
        elif execution.verdict.is_label:
            self._remembered[row.key] = execution
            if len(self._remembered) > _MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        for copy in row.copies:
            if execution.verdict.is_label:
                self._copy(execution, copy)
            else:
                # A fault says nothing about the job, and must not multiply.
                self._again.append(copy)
        row.copies.clear()

    def _keep(self, key: bytes, execution: Execution) -> None:
        if not self._writable:
            return
        try:
            self._cache.put(key, execution)
        except SandboxCacheError as error:
            self._writable = False
            warnings.warn(
                f"results of this run are not kept: {error}", RuntimeWarning, stacklevel=2
            )
