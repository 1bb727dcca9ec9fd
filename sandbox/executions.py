"""Builds `Execution` rows from what the pool knows about a job."""

from sandbox.backends.base import Backend
from sandbox.judging import Judgement, Outcome
from sandbox.programs import CaseResult, Execution, FunctionCases, Job, Program, Verdict


def executed(
    job: Job, attempts: int, outcome: Outcome, judgement: Judgement, backend: Backend
) -> Execution:
    """Return the row of a job that ran.

    Args:
        job: What ran.
        attempts: How many times it was started.
        outcome: What was captured of its own cell.
        judgement: The verdict and what goes with it.
        backend: Where it ran.
    """
    return Execution(
        id=job.id,
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
        backend=backend.name,
        isolation=backend.isolation,
        limits_enforced_by=backend.limits_enforced_by,
        image_digest=backend.image_digest,
        flags=judgement.flags,
        attempts=attempts,
        results=judgement.results,
    )


def not_executed(
    job: Job, attempts: int, verdict: Verdict, flag: str, backend: Backend
) -> Execution:
    """Return the row of a job of which no run was measured; `flag` says why."""
    parts: tuple[object, ...] = ()
    if not isinstance(job, Program):
        parts = job.cases if isinstance(job, FunctionCases) else job.tests
    return Execution(
        id=job.id,
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
        backend=backend.name,
        isolation=backend.isolation,
        limits_enforced_by=backend.limits_enforced_by,
        image_digest=backend.image_digest,
        flags=(flag,),
        attempts=attempts,
        results=(CaseResult(verdict, note=flag),) * len(parts),
    )
