"""What goes into the sandbox and what comes out: programs, functions to judge, `Execution`."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from sandbox.limits import Limits


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
        limits: Its own limits of time, memory and output; None for those of the sandbox.
    """

    id: str
    source: str
    stdin: str = ""
    expected_stdout: str | None = None
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One call of a function and what it has to return.

    Attributes:
        args: Positional arguments, plain values.
        expected: The right return value. Stays in the calling process.
        kwargs: Arguments by name.
    """

    args: tuple[object, ...]
    expected: object
    kwargs: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FunctionCases:
    """A function judged by what it returns; all cases are called in one process.

    Attributes:
        id: The caller's name for it.
        source: Python source that defines the function.
        entry_point: Its name, or `Class.method` for a fresh instance per call.
        cases: At least one.
        equality: How values are compared; one of `sandbox.equality.EQUALITIES`.
        tolerance: Relative and absolute tolerance where the equality takes one.
        limits: Limits of all cases together; None for those of the sandbox.
    """

    id: str
    source: str
    entry_point: str
    cases: tuple[Case, ...]
    equality: str = "python"
    tolerance: float = 1e-9
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class FunctionTests:
    """A function judged by test code, which runs in another cell than the function.

    Attributes:
        id: The caller's name for it.
        source: Python source that defines the function.
        entry_points: Names that the tests use; each call of one crosses to the function's cell.
        tests: Sources of test code: asserts, a `check(candidate)`, `test_` functions or
            `unittest` classes. One result each.
        support: Code of the problem, not of the solution, that tests may use.
        limits: Limits of all tests together; None for those of the sandbox.
        classes: Those entry points that are classes whose objects the tests use. No other object
            ever takes part in a test. None for what the tests show: capitalised entry points whose
            attributes, or those of their results, are used.
    """

    id: str
    source: str
    entry_points: tuple[str, ...]
    tests: tuple[str, ...]
    support: str = ""
    limits: Limits | None = None
    classes: tuple[str, ...] | None = None


Job = Program | FunctionCases | FunctionTests
"""Anything that a sandbox runs."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of one case or test.

    Attributes:
        verdict: Like that of an execution; `NOT_RUN` where the program ended before it.
        got: What the function returned, as bounded text; empty for tests.
        note: Why it did not pass, or empty.
    """

    verdict: Verdict
    got: str = ""
    note: str = ""


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
        results: One per case or test, in their order; empty for a whole program.
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
    results: tuple[CaseResult, ...] = ()


class Runner(Protocol):
    """Anything that runs jobs as a sandbox does."""

    def run(self, jobs: Iterable[Job]) -> Iterator[Execution]:
        """Run jobs; return one execution each, in input order."""
