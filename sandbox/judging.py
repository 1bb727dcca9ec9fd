"""Turns what was measured about a run into a verdict, in the calling process.

Inputs are the kernel's wait status and counters, captured bytes and the expected output; the
program's own end record only tells a finished program from one that left early. That record can be
imitated by a program that goes looking for it, so it never turns wrong output into right output.
"""

import os
import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sandbox.backends.cgroups import Usage
from sandbox.cell.frames import Done, Killed, Record, RecordKind, Seen
from sandbox.limits import Limits
from sandbox.programs import CaseResult, Program, Verdict

Comparator = Callable[[bytes, bytes], bool]

_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_NEAR = 0.8
_IDLE = 0.1
# Counters of the whole cell include a little of process 1's own time.
_CPU_SLACK = 1.2


def compare_exact(expected: bytes, actual: bytes) -> bool:
    r"""Whether the output is the expected one, byte for byte.

    Example:
        >>> compare_exact(b"1\n", b"1")
        False
    """
    return expected == actual


def compare_lines(expected: bytes, actual: bytes) -> bool:
    r"""Whether all lines agree, apart from blanks at line ends and empty lines at the end.

    Numbers are not interpreted: `1.0` is not `1`.

    Example:
        >>> compare_lines(b"1\n2\n", b"1 \r\n2")
        True
        >>> compare_lines(b"1\n2\n", b"1\n")
        False
    """
    return _lines(expected) == _lines(actual)


def _lines(output: bytes) -> list[bytes]:
    lines = [line.rstrip(b" \t\r") for line in output.split(b"\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


COMPARATORS: Mapping[str, Comparator] = MappingProxyType(
    {"exact": compare_exact, "lines": compare_lines}
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that was captured about one run.

    Attributes:
        nonce: What the job was sent with; must come back in its records.
        done: The kernel's facts, from process 1.
        stdout: Captured bytes, at most the limit.
        stderr: Like `stdout`.
        records: The start and the ending that came through the program's report pipe; None when
            something else came.
        before: Counters of the cell before the run.
        after: Counters after it.
    """

    nonce: bytes
    done: Done
    stdout: bytes
    stderr: bytes
    records: list[Record] | None
    before: Usage | None
    after: Usage | None

    @property
    def cpu_ms(self) -> float:
        """CPU time in milliseconds: of the whole cell where it is counted."""
        if self.before and self.after and self.before.cpu_ns is not None and self.after.cpu_ns:
            return max(0, self.after.cpu_ns - self.before.cpu_ns) / 1e6
        return self.done.cpu_ns / 1e6

    @property
    def wall_ms(self) -> float:
        """Wall time in milliseconds."""
        return self.done.wall_ns / 1e6

    @property
    def peak_memory_mib(self) -> float:
        """Highest memory use in MiB."""
        if self.after and self.after.peak_bytes is not None:
            return self.after.peak_bytes / (1 << 20)
        return self.done.peak_kib / 1024

    @property
    def stdout_truncated(self) -> bool:
        """Whether standard output was cut."""
        return bool(self.done.seen & Seen.STDOUT_CUT)

    @property
    def stderr_truncated(self) -> bool:
        """Whether standard error was cut."""
        return bool(self.done.seen & Seen.STDERR_CUT)

    @property
    def dirty(self) -> bool:
        """Whether the cell could not be swept and must not run another program."""
        return bool(self.done.seen & Seen.DIRTY)

    @property
    def oom_kills(self) -> int:
        """Processes that the kernel killed for memory during the run."""
        return self.after.oom_kills - self.before.oom_kills if self.after and self.before else 0

    @property
    def refused_forks(self) -> int:
        """Forks that the limit of processes refused during the run."""
        if not (self.after and self.before):
            return 0
        return self.after.refused_forks - self.before.refused_forks


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on an outcome, and what goes beside it."""

    verdict: Verdict
    exit_code: int | None
    signal: int | None
    flags: tuple[str, ...]
    results: tuple[CaseResult, ...] = ()


def judge(program: Program, outcome: Outcome, limits: Limits, comparator: Comparator) -> Judgement:
    """Return the verdict on one run.

    Args:
        program: What ran; its expected output is compared here and nowhere else.
        outcome: What was captured.
        limits: The limits it ran under.
        comparator: `(expected, actual) -> bool` over the whole output.

    Returns:
        Exactly one verdict, `SANDBOX_FAULT` when the program never started.
    """
    status = outcome.done.status
    signaled = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    exit_code = os.WEXITSTATUS(status) if signaled is None else None
    verdict = _limit_verdict(outcome, limits, signaled)
    flags: list[str] = []
    if verdict is None:
        verdict, flags = _record_verdict(program, outcome, signaled, exit_code, comparator)
    elif outcome.records == []:
        # Stopped before its first line: slow machine or full memory, not the program.
        verdict = Verdict.SANDBOX_FAULT
    flags += _flags(outcome, limits, verdict)
    return Judgement(verdict, exit_code, signaled, tuple(flags))


def _limit_verdict(outcome: Outcome, limits: Limits, signaled: int | None) -> Verdict | None:
    killed = outcome.done.killed
    if outcome.oom_kills or killed == Killed.MEMORY:
        return Verdict.MEMORY_LIMIT
    if killed == Killed.OUTPUT or outcome.done.seen & Seen.STDOUT_CUT:
        return Verdict.OUTPUT_LIMIT
    # Anybody can send the signal; the kernel sends it only when the time is used up.
    spent = outcome.cpu_ms >= limits.cpu_s * 1000
    if killed == Killed.CPU or (signaled == signal.SIGXCPU and spent):
        return Verdict.CPU_TIMEOUT
    if outcome.cpu_ms > limits.cpu_s * 1000 * _CPU_SLACK + 100:
        return Verdict.CPU_TIMEOUT
    if killed == Killed.WALL:
        # Process 1 does not see the time of children that nobody waited for; the counters do.
        return Verdict.CPU_TIMEOUT if spent else Verdict.WALL_TIMEOUT
    return None


def _record_verdict(
    program: Program,
    outcome: Outcome,
    signaled: int | None,
    exit_code: int | None,
    comparator: Comparator,
) -> tuple[Verdict, list[str]]:
    records = outcome.records
    if records is None or len(records) > 2 or any(r.nonce != outcome.nonce for r in records):
        return Verdict.TAMPERING, ["forged_record"]
    if not records:
        return Verdict.SANDBOX_FAULT, ["not_started"]
    if records[0].kind != RecordKind.STARTED:
        return Verdict.TAMPERING, ["forged_record"]
    if signaled is not None:
        return Verdict.SIGNAL, []
    if len(records) == 1:
        return (Verdict.NONZERO_EXIT if exit_code else Verdict.EARLY_EXIT), []
    end = records[1]
    if end.kind == RecordKind.STARTED or (end.number and not exit_code):
        return Verdict.TAMPERING, ["forged_record"]
    if end.kind == RecordKind.NOT_COMPILED:
        return Verdict.COMPILE_ERROR, []
    if end.kind == RecordKind.EXCEPTION:
        return _exception_verdict(end.note)
    if exit_code:
        return Verdict.NONZERO_EXIT, []
    if end.kind == RecordKind.EXIT:
        return Verdict.EARLY_EXIT, []
    if program.expected_stdout is None:
        return Verdict.ACCEPTED, []
    expected = program.expected_stdout.encode("utf-8", "surrogatepass")
    right = comparator(expected, outcome.stdout)
    return (Verdict.ACCEPTED if right else Verdict.WRONG_ANSWER), []


def _exception_verdict(note: str) -> tuple[Verdict, list[str]]:
    name, _, detail = note.partition(":")
    if name == "MemoryError":
        return Verdict.MEMORY_LIMIT, []
    # The program chose this text; only what can be a module's name may reach tables and terminals.
    named = name == "ModuleNotFoundError" and _MODULE.fullmatch(detail)
    flags = [f"missing_dependency:{detail}"] if named else []
    return Verdict.RUNTIME_ERROR, flags


def _flags(outcome: Outcome, limits: Limits, verdict: Verdict) -> list[str]:
    flags = []
    cpu = outcome.cpu_ms / (limits.cpu_s * 1000)
    wall = outcome.wall_ms / (limits.wall_s * 1000)
    memory = outcome.peak_memory_mib / limits.memory_mib
    if verdict is Verdict.WALL_TIMEOUT and outcome.cpu_ms < _IDLE * outcome.wall_ms:
        flags.append("idle")
    if outcome.refused_forks:
        flags.append("pids_limit")
    if memory >= 1 and verdict is not Verdict.MEMORY_LIMIT:
        flags.append("hit_memory_limit")
    if verdict in (Verdict.ACCEPTED, Verdict.WRONG_ANSWER) and max(cpu, wall) > _NEAR:
        flags.append("near_limit")
    if outcome.done.leftovers:
        flags.append("left_processes")
    if outcome.done.seen & Seen.FILES:
        flags.append("left_files")
    return flags
