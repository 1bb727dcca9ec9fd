"""Runs every program against every test, and says which passes which.

All tests of a program run in one process as long as that changes nothing: when a test ends the
process or runs into a limit, that test and those that were to follow run again, each in a process
of its own.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from sandbox.cache import Box, run_cached
from sandbox.errors import SandboxUsageError
from sandbox.limits import Limits
from sandbox.programs import (
    Case,
    CaseResult,
    Execution,
    FunctionCases,
    FunctionTests,
    Runner,
    Verdict,
)
from sandbox.result_cache import ResultCache

Progress = Callable[[int, int], None]
"""Gets the number of decided cells and the number of all cells."""

_NOT_ENDED = "the test did not end"
_NOT_DEFINED = "sandbox_asks_whether_the_program_loads"
# Tests of one process share its limits.
_OF_ALL = frozenset(
    {Verdict.CPU_TIMEOUT, Verdict.WALL_TIMEOUT, Verdict.MEMORY_LIMIT, Verdict.OUTPUT_LIMIT}
)
# Reasons for which a test says nothing of one program, and may say something of another: what it
# was given decided what it did.
_OF_THE_PROGRAM = ("no_call", "no_assert", "skipped", _NOT_ENDED)


@dataclass(frozen=True, slots=True)
class PassMatrix:
    """Which programs pass which tests.

    Beside the usual verdicts, `NOT_RUN` is that of a test that says nothing of this program, and
    `SANDBOX_FAULT` that of every failure of ours.

    Attributes:
        program_ids: One per row.
        test_ids: One per column.
        results: `results[i][j]` is what became of program i under test j; None in the columns of
            tests that are invalid.
        invalid_tests: Reasons by the id of the test.
        executions: As `results`: the run of the process that decided. Tests that shared a process
            have the same one, with the time and the output of all of them.
    """

    program_ids: tuple[str, ...]
    test_ids: tuple[str, ...]
    results: list[list[CaseResult | None]]
    invalid_tests: dict[str, str]
    executions: list[list[Execution | None]] = field(default_factory=list, compare=False)

    def passed(self) -> list[list[bool | None]]:
        """Return whether each program passes each test.

        Returns:
            Rows as in `results`; None where nothing is known: the test is invalid, it said nothing
            of this program, or the sandbox failed.
        """
        return [[_passed(result) for result in row] for row in self.results]


def _passed(result: CaseResult | None) -> bool | None:
    if result is None or not result.verdict.is_label:
        return None
    return result.verdict is Verdict.ACCEPTED


def cross_execute(
    box: Box | Runner,
    programs: Mapping[str, str],
    tests: Mapping[str, str],
    entry_points: Sequence[str],
    *,
    support: str = "",
    limits: Limits | None = None,
    fresh_process_per_test: bool = False,
    cache: ResultCache | None = None,
    progress: Progress | None = None,
) -> PassMatrix:
    """Return what becomes of each of N programs under each of M tests.

    A test is invalid, and its column None, when it is wrong by itself (it does not compile, uses a
    name that is not there, cannot be imported), or when it says nothing of any program. Where it
    says nothing of a single program (for example, it loops over what that one returned, which is
    empty, and asserts nothing), only that cell has the verdict `NOT_RUN`.

    Args:
        box: Runs them; with a cache, a sandbox.
        programs: Sources by id; each defines the entry points.
        tests: Sources of test code by id, see `FunctionTests`.
        entry_points: Names that the tests use, at least one.
        support: Code of the problem that tests may use.
        limits: Of one test; also of all tests of a program that run in one process, so that tests
            that are slow together run once more alone.
        fresh_process_per_test: Whether each test gets a process of its own from the start. Without
            it a program can carry something from one test to the next, by mistake or to cheat.
        cache: Where results are looked up and kept, if anywhere.
        progress: Called as cells are decided.

    Raises:
        SandboxClosedError: The sandbox was closed.
        SandboxUsageError: There is no program, test or entry point, or one cannot be run.
    """
    for name, given in (("programs", programs), ("tests", tests), ("entry_points", entry_points)):
        if not given or isinstance(given, str):
            raise SandboxUsageError(f"cross_execute() got {name}={given!r}; give at least one")
    rows = [
        _Row(name, source, [None] * len(tests), [None] * len(tests))
        for name, source in programs.items()
    ]
    run = box.run
    if cache is not None:
        run = functools.partial(run_cached, cast(Box, box), cache=cache)
    crossing = _Crossing(run, rows, tuple(tests.values()), tuple(entry_points), support, limits)
    crossing.progress = progress
    if fresh_process_per_test:
        crossing.run_alone()
    else:
        crossing.run_together()
        crossing.run_loads()
        crossing.run_alone()
    return _matrix(rows, tuple(tests))


@dataclass(slots=True)
class _Row:
    """A program and what is known of it, None where it is not yet."""

    name: str
    source: str
    results: list[CaseResult | None]
    executions: list[Execution | None]
    may_not_load: bool = False

    def undecided(self) -> list[int]:
        return [i for i, result in enumerate(self.results) if result is None]

    def set(self, index: int, result: CaseResult, execution: Execution) -> None:
        self.results[index], self.executions[index] = result, execution

    def decide(self, result: CaseResult, execution: Execution) -> None:
        for index in self.undecided():
            self.set(index, result, execution)


@dataclass(slots=True)
class _Crossing:
    run: Callable[[Iterable[FunctionTests | FunctionCases]], Iterator[Execution]]
    rows: list[_Row]
    tests: tuple[str, ...]
    entry_points: tuple[str, ...]
    support: str
    limits: Limits | None
    progress: Progress | None = None
    num_decided: int = field(default=0)

    def run_together(self) -> None:
        """Run all tests of each program in one process; keep what another process would say too."""
        jobs = (self._job(row, self.tests) for row in self.rows)
        for row, execution in zip(self.rows, self.run(jobs), strict=True):
            if execution.results:
                self._keep_what_stands(row, execution)
            else:
                row.decide(_whole(execution), execution)
            self._report(row.results)

    def run_loads(self) -> None:
        """Decide the programs that end or hang before any test comes to them."""
        rows = [row for row in self.rows if row.may_not_load and row.undecided()]
        jobs = (
            FunctionCases(row.name, row.source, _NOT_DEFINED, (Case((), None),), limits=self.limits)
            for row in rows
        )
        for row, execution in zip(rows, self.run(jobs), strict=True):
            if "missing_entry_point" not in execution.flags and execution.verdict.is_label:
                before = len(row.undecided())
                result = CaseResult(execution.verdict, note="the program does not load")
                row.decide(result, execution)
                self._report_more(before)

    def run_alone(self) -> None:
        """Run what is not decided, each test in a process of its own."""
        cells = [(row, index) for row in self.rows for index in row.undecided()]
        jobs = (self._job(row, (self.tests[index],)) for row, index in cells)
        for (row, index), execution in zip(cells, self.run(jobs), strict=True):
            row.set(index, _alone(execution), execution)
            self._report_more(1)

    def _job(self, row: _Row, tests: tuple[str, ...]) -> FunctionTests:
        return FunctionTests(
            row.name, row.source, self.entry_points, tests, self.support, self.limits
        )

    def _keep_what_stands(self, row: _Row, execution: Execution) -> None:
        ended = [result.note != _NOT_ENDED for result in execution.results]
        failed = (r.verdict for r in execution.results if _passed(r) is False)
        explained = (next(failed, Verdict.ACCEPTED), Verdict.NOT_RUN)
        if all(ended) and execution.verdict not in explained:
            # The process did something wrong after its last answer; nobody knows for which test.
            return
        row.may_not_load = not any(ended) and execution.verdict.is_label
        for index, result in enumerate(execution.results):
            # Of those that did not end, one ended the process. In what order they ran is not known.
            if ended[index] and result.verdict not in _OF_ALL:
                row.set(index, result, execution)

    def _report(self, results: list[CaseResult | None]) -> None:
        self._report_more(sum(result is not None for result in results))

    def _report_more(self, number: int) -> None:
        self.num_decided += number
        if self.progress is not None and number:
            self.progress(self.num_decided, len(self.rows) * len(self.tests))


def _whole(execution: Execution) -> CaseResult:
    """Return what an execution without results says about every test."""
    verdict = execution.verdict
    if verdict is Verdict.NOT_RUN:
        verdict = Verdict.SANDBOX_FAULT  # Beside a result, NOT_RUN blames the test.
    return CaseResult(verdict, note=" ".join(execution.flags))


def _alone(execution: Execution) -> CaseResult:
    """Return what became of the only test of a process."""
    if not execution.results:
        return _whole(execution)
    result = execution.results[0]
    if result.note == _NOT_ENDED and execution.verdict is Verdict.NOT_RUN:
        reasons = [flag for flag in execution.flags if flag.startswith("tests_invalid:")]
        return CaseResult(Verdict.NOT_RUN, note=" ".join((_NOT_ENDED, *reasons)))
    if execution.verdict not in (result.verdict, Verdict.NOT_RUN):
        return CaseResult(execution.verdict, result.got, "the process ended by itself")
    return result


def _matrix(rows: list[_Row], test_ids: tuple[str, ...]) -> PassMatrix:
    invalid: dict[str, str] = {}
    for column, name in enumerate(test_ids):
        reason = _why_invalid([row.results[column] for row in rows])
        if reason is not None:
            invalid[name] = reason
            for row in rows:
                row.results[column] = row.executions[column] = None
    results, executions = [row.results for row in rows], [row.executions for row in rows]
    return PassMatrix(tuple(row.name for row in rows), test_ids, results, invalid, executions)


def _why_invalid(column: list[CaseResult | None]) -> str | None:
    """Return why a test is wrong by itself or of no use; None for a usable one."""
    decided = [result for result in column if result is not None]
    reasons = [result.note for result in decided if result.verdict is Verdict.NOT_RUN]
    for reason in reasons:
        if not reason.startswith(_OF_THE_PROGRAM):
            return reason
    # Other verdicts may come from programs that end whatever the test is.
    says_something = any(
        result.verdict in (Verdict.ACCEPTED, Verdict.WRONG_ANSWER) for result in decided
    )
    return None if says_something or not reasons else reasons[0]
