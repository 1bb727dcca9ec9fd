"""What the pool and a job say to each other, whatever form the job has.

A job is judged from one or two cells: its own, and for test code a second one in which the tests
run. An exchange holds what is known about one attempt. It does no input or output of its own.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from sandbox.cell.frames import Mode, Record
from sandbox.judging import Comparator, Judgement, Outcome, judge
from sandbox.limits import Limits
from sandbox.programs import Program


class Side(Enum):
    """A cell by its part in a job."""

    SOLUTION = "solution"
    EXAMINER = "examiner"


@dataclass(frozen=True, slots=True)
class Order:
    """What one cell is told at the start of a job.

    Attributes:
        mode: What to do with the source.
        source: Python source, encoded.
        rest: Standard input, or JSON for the modes that talk.
        inputs: Messages to queue at once; an empty one closes the channel.
    """

    mode: Mode
    source: bytes
    rest: bytes = b""
    inputs: tuple[bytes, ...] = ()


class Exchange(Protocol):
    """One attempt at one job."""

    def orders(self) -> dict[Side, Order]:
        """Return what each cell that takes part is told; at least the solution's."""

    def take(self, side: Side, record: Record) -> list[tuple[Side, bytes]]:
        """Take in a reply, call or test record; return what to send to whom, b"" to close."""

    def done(self, side: Side, outcome: Outcome) -> list[tuple[Side, bytes]]:
        """Take in that a cell is done with its part; return what to send to the other."""

    def judge(self, limits: Limits) -> Judgement:
        """Return the verdict; every side is done."""


class ProgramExchange:
    """A whole program: told once, judged by what it printed.

    Args:
        program: What to run.
        comparator: Compares the output where one is expected.
    """

    def __init__(self, program: Program, comparator: Comparator) -> None:
        self._program = program
        self._comparator = comparator
        self._outcome: Outcome | None = None

    def orders(self) -> dict[Side, Order]:
        """Return the program and its input."""
        # Surrogates cannot be encoded; passed on, they become a compile error in the cell.
        source = self._program.source.encode("utf-8", "surrogatepass")
        stdin = self._program.stdin.encode("utf-8", "surrogatepass")
        return {Side.SOLUTION: Order(Mode.RUN, source, stdin)}

    def take(self, side: Side, record: Record) -> list[tuple[Side, bytes]]:
        """Never called: a program that sends such records is malformed."""
        raise AssertionError(f"a {record.kind.name} record from a plain program")

    def done(self, side: Side, outcome: Outcome) -> list[tuple[Side, bytes]]:
        """Keep the outcome."""
        self._outcome = outcome
        return []

    def judge(self, limits: Limits) -> Judgement:
        """Return the verdict on the run."""
        assert self._outcome is not None
        return judge(self._program, self._outcome, limits, self._comparator)
