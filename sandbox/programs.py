"""What goes into the sandbox and what comes out: `Program`, `Execution`, `Verdict`."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The one thing the sandbox says about a program.

    Without an expected output, `ACCEPTED` means that the program ran to its own end with
    status 0. `SANDBOX_FAULT` and `NOT_RUN` are ours and must never become a label.
    """

    ACCEPTED = "accepted"
    WRONG_ANSWER = "wrong_answer"
    RUNTIME_ERROR = "runtime_error"
    NONZERO_EXIT = "nonzero_exit"
    EARLY_EXIT = "early_exit"
    SIGNAL = "signal"
    CPU_TIMEOUT = "cpu_timeout"
    WALL_TIMEOUT = "wall_timeout"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    COMPILE_ERROR = "compile_error"
    TAMPERING = "tampering"
    SANDBOX_FAULT = "sandbox_fault"
    NOT_RUN = "not_run"

    @property
    def is_label(self) -> bool:
        """Whether the verdict says something about the program, not about the sandbox."""
        return self not in (Verdict.SANDBOX_FAULT, Verdict.NOT_RUN)


@dataclass(frozen=True, slots=True)
class Program:
    """One Python program to run once.

    Attributes:
        id: The caller's name for it; comes back on the `Execution`.
        source: Python source text.
        stdin: What the program reads from standard input; empty means end of file at once.
        expected_stdout: The right output. Stays in the calling process: nothing that runs the
            program can read it. None means that there is nothing to compare with.
    """

    id: str
    source: str
    stdin: str = ""
    expected_stdout: str | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """What happened when a program ran: one row of the `executions` table.

    Attributes:
        id: The program's id.
        verdict: Exactly one verdict.
        exit_code: Exit status, None when a signal ended the program or it never ran.
        signal: Signal number that ended the program, else None.
        stdout: Decoded as UTF-8, undecodable bytes as `\\xNN`; cut at the limit.
        stderr: Like `stdout`.
        stdout_truncated: Whether output was lost at the limit.
        stderr_truncated: Like `stdout_truncated`.
        wall_ms: By the clock of the cell's first process, which the program cannot set.
        cpu_ms: Kernel CPU time of all processes of the program.
        peak_memory_mib: Highest memory use; of the whole cell where a cgroup measures it.
        backend: Name of the backend, for example `namespaces`.
        isolation: `vm`, `container`, `jail`; how strong the wall was.
        limits_enforced_by: What enforced memory and process limits.
        image_digest: Container image, None where there is none.
        flags: What else was seen, for example `idle` or `missing_dependency:numpy`.
        attempts: How many times the program was started.
    """

    id: str
    verdict: Verdict
    exit_code: int | None
    signal: int | None
    stdout: str
    stderr: str
    stdout_truncated: bool
    stderr_truncated: bool
    wall_ms: float
    cpu_ms: float
    peak_memory_mib: float | None
    backend: str
    isolation: str
    limits_enforced_by: str
    image_digest: str | None
    flags: tuple[str, ...]
    attempts: int
