"""The forms that a job can have: what is wrong with one, and how one is carried out."""

from dataclasses import fields

from sandbox.errors import SandboxUsageError
from sandbox.examination import CasesExchange, TestsExchange, check_function_job
from sandbox.exchange import Exchange, ProgramExchange
from sandbox.judging import Comparator
from sandbox.limits import Limits
from sandbox.programs import FunctionCases, FunctionTests, Job, Program

# Set when a cell is made, for all that it runs.
_OF_THE_CELL = ("processes", "file_mib", "tmp_mib", "tmp_inodes", "open_files")


def check_job(job: Job, limits: Limits) -> Limits:
    """Return the limits that a job runs under.

    Args:
        job: Anything that was given to `Sandbox.run`.
        limits: Those of the sandbox.

    Raises:
        SandboxUsageError: It is no job, or one that cannot be run as it is; names the field.
    """
    if not isinstance(job, Program | FunctionCases | FunctionTests):
        raise SandboxUsageError(
            f"run() got {type(job).__name__}; expected sandbox.Program, FunctionCases or "
            "FunctionTests objects"
        )
    if not isinstance(job.source, str):
        raise SandboxUsageError(
            f"{type(job).__name__} {job.id!r}: source must be str, not {type(job.source).__name__}"
        )
    chosen = _own_limits(job, limits)
    if isinstance(job, Program):
        _check_stdin(job, chosen)
    else:
        check_function_job(job)
    return chosen


def _own_limits(job: Job, limits: Limits) -> Limits:
    own = job.limits
    if own is None or own == limits:
        return limits
    for field in fields(Limits):
        wanted, given = getattr(own, field.name), getattr(limits, field.name)
        if field.name in _OF_THE_CELL and wanted != given:
            raise SandboxUsageError(
                f"{type(job).__name__} {job.id!r}: limits.{field.name}={wanted}, but cells were "
                f"made with {given}; open a sandbox with Limits({field.name}={wanted})"
            )
    if own.memory_mib > limits.memory_mib:
        raise SandboxUsageError(
            f"{type(job).__name__} {job.id!r}: limits.memory_mib={own.memory_mib} is more than the "
            f"cells have ({limits.memory_mib}); open a sandbox with "
            f"Limits(memory_mib={own.memory_mib})"
        )
    return own


def _check_stdin(program: Program, limits: Limits) -> None:
    if not isinstance(program.stdin, str):
        raise SandboxUsageError(f"Program {program.id!r}: stdin must be str")
    if len(program.stdin) > limits.stdin_kib << 10:
        raise SandboxUsageError(
            f"Program {program.id!r}: stdin has {len(program.stdin)} characters, the limit is "
            f"{limits.stdin_kib} KiB; raise Limits(stdin_kib=...)"
        )


def open_exchange(job: Job, comparator: Comparator) -> Exchange:
    """Return what carries out one attempt at a job.

    Args:
        job: A checked job.
        comparator: Compares the output of whole programs.
    """
    if isinstance(job, Program):
        return ProgramExchange(job, comparator)
    if isinstance(job, FunctionCases):
        return CasesExchange(job)
    return TestsExchange(job)
