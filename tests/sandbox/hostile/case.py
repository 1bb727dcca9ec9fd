"""A program that misbehaves and what has to become of it; the short names of verdicts."""

from collections.abc import Container
from dataclasses import replace
from textwrap import dedent
from typing import Any, NamedTuple

from sandbox import Limits, Program, Verdict

OK = Verdict.ACCEPTED
WA = Verdict.WRONG_ANSWER
RE = Verdict.RUNTIME_ERROR
NZ = Verdict.NONZERO_EXIT
EE = Verdict.EARLY_EXIT
SG = Verdict.SIGNAL
CT = Verdict.CPU_TIMEOUT
WT = Verdict.WALL_TIMEOUT
ML = Verdict.MEMORY_LIMIT
OL = Verdict.OUTPUT_LIMIT
CE = Verdict.COMPILE_ERROR
TA = Verdict.TAMPERING

_PATIENT_CPU_S, _PATIENT_WALL_S = 4.0, 6.0

# Bare system calls: `call` returns the result or raises OSError; a number of None does not exist.
CALL = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(x86_64, aarch64, *arguments):
    number = {"x86_64": x86_64, "aarch64": aarch64}[os.uname().machine]
    if number is None:
        raise OSError(38, "Function not implemented")
    arguments = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
"""


def patient(limits: Limits, verdicts: Container[Verdict]) -> Limits:
    """Return more time for what has to end otherwise: no verdict hangs on a busy machine."""
    if CT not in verdicts:
        limits = replace(limits, cpu_s=_PATIENT_CPU_S)
    return limits if WT in verdicts else replace(limits, wall_s=_PATIENT_WALL_S)


class Hostile(NamedTuple):
    """A program and what has to become of it.

    Attributes:
        name: Case number of the threat list, `X` where it is not in the list, and a few words.
        source: The program.
        verdicts: Verdicts that are right; one, except where machines differ.
        stdout: Exact standard output, None when it does not matter.
        expected: The expected output that the program is judged by.
        stderr: Something that standard error must contain.
        flag: A flag that the execution must carry.
        stdin: What the program can read.
        limits: Limits in which it differs from the others, as `(name, value)`.
    """

    name: str
    source: str
    verdicts: tuple[Verdict, ...]
    stdout: str | None = None
    expected: str | None = None
    stderr: str = ""
    flag: str | None = None
    stdin: str = ""
    limits: tuple[tuple[str, int], ...] = ()

    def program(self, limits: Limits) -> Program:
        """Return what is to be run; `limits` are those of the sandbox."""
        changes: dict[str, Any] = dict(self.limits)
        return Program(
            id=self.name,
            source=self.source,
            stdin=self.stdin,
            expected_stdout=self.expected,
            limits=replace(patient(limits, self.verdicts), **changes),
        )


def case(
    name: str,
    source: str,
    *verdicts: Verdict,
    stdout: str | None = None,
    expected: str | None = None,
    stderr: str = "",
    flag: str | None = None,
    stdin: str = "",
    limits: tuple[tuple[str, int], ...] = (),
) -> Hostile:
    """Return a case; a source that starts with a new line is unindented."""
    if source.startswith("\n"):
        source = dedent(source).strip() + "\n"
    return Hostile(name, source, verdicts, stdout, expected, stderr, flag, stdin, limits)


def refused(name: str, source: str, stderr: str = "Operation not permitted") -> Hostile:
    """Return a case that must end with an uncaught error which names the refusal."""
    return case(name, source, RE, stderr=stderr)


def refused_call(name: str, arguments: str, stderr: str = "Operation not permitted") -> Hostile:
    """Return a case in which one bare system call must be refused."""
    return refused(name, f"{CALL}\ncall({arguments})\n", stderr)
