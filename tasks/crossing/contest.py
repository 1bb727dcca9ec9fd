"""One prompt's programs and tests: what is run, and what came of it."""

from __future__ import annotations

import ast
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sandbox import (
    Execution,
    FunctionTests,
    PassMatrix,
    Runner,
    SandboxUnavailableError,
    Verdict,
    cross_execute,
)
from tasks.checks.execution import SANDBOX_GONE, extract_program
from tasks.checks.function_tests import HiddenTests
from tasks.crossing.rank import Ranks, rank
from tasks.crossing.spec import CrossSpec


@dataclass(frozen=True)
class Contest:
    """The programs and tests of a prompt; those that say the same are run once.

    Attributes:
        programs: Source by sample id, in order.
        tests: Source by sample id, in order.
        function: Name of the function that is tested; None where no test uses what is defined.
        support: What the problem gives before a program; tests may use it too.
    """

    programs: Mapping[str, str]
    tests: Mapping[str, str]
    function: str | None
    support: str = ""

    @classmethod
    def of(
        cls, programs: Mapping[str, str], tests: Mapping[str, str], hidden: HiddenTests | None
    ) -> Contest:
        """The contest of completions.

        Args:
            programs: Completions by sample id.
            tests: Completions by sample id.
            hidden: The problem's own tests, where it has some. Only what its question says as well
                is read: the function's name, and the code that it begins with.
        """
        sources = {id: extract_program(text) for id, text in programs.items()}
        checks = {id: extract_program(text) for id, text in tests.items()}
        if hidden is None:
            return cls(sources, checks, entry_point(sources.values(), checks.values()))
        whole = {id: hidden.whole(source) for id, source in sources.items()}
        return cls(whole, checks, hidden.entry_point, hidden.prelude)

    def run(self, box: Runner, spec: CrossSpec) -> Outcome:
        """Run every program against every test, rank both, and time the best programs.

        Raises:
            SandboxUnavailableError: The sandbox cannot run programs any more.
        """
        if self.function is None:
            return Outcome(self, None, dict.fromkeys(self.tests, "no_entry_point"))
        programs, tests = _first_of(self.programs), _first_of(self.tests)
        matrix = cross_execute(
            box,
            {id: self.programs[id] for id in programs.values()},
            {id: self.tests[id] for id in tests.values()},
            [self.function],
            support=self.support,
            fresh_process_per_test=spec.process_per_test,
        )
        for row in matrix.executions:
            _check_there(row)
        outcome = Outcome(self, matrix, {})
        for id, source in self.tests.items():
            if tests[source] in matrix.invalid_tests:
                outcome.invalid[id] = matrix.invalid_tests[tests[source]]
        outcome.ranks = _ranks(outcome, spec)
        outcome.timed = list(_times(outcome, box, spec.num_timings))
        return outcome


@dataclass
class Outcome:
    """What came of a contest.

    Attributes:
        contest: The contest.
        matrix: Of distinct programs and tests, under the ids of the first that say so; None where
            nothing could be run.
        invalid: Why tests are of no use, by their ids.
        ranks: Ranks by id, of programs that were judged and of tests that are of use.
        timed: (number of the timing, execution), of programs that pass all credible tests.
    """

    contest: Contest
    matrix: PassMatrix | None
    invalid: dict[str, str]
    ranks: dict[str, float] = field(default_factory=dict)
    timed: list[tuple[int, Execution]] = field(default_factory=list)

    def cells(self, program: str) -> Iterator[tuple[str, Verdict, Execution]]:
        """(test, verdict, execution) of a program; shared processes as `shared` says.

        Args:
            program: Its id.
        """
        if self.matrix is None:
            return
        first = _first_of(self.contest.programs)[self.contest.programs[program]]
        row = self.matrix.program_ids.index(first)
        columns = {id: column for column, id in enumerate(self.matrix.test_ids)}
        executions = self.matrix.executions[row]
        sizes = Counter(id(one) for one in executions)
        tests = _first_of(self.contest.tests)
        for test, source in self.contest.tests.items():
            column = columns[tests[source]]
            result, execution = self.matrix.results[row][column], executions[column]
            if result is None or execution is None:
                continue
            is_copy = first != program or tests[source] != test
            yield test, result.verdict, _shared(execution, program, sizes[id(execution)], is_copy)

    def passed(self, program: str) -> dict[str, bool | None]:
        """Whether a program passes each test that is of use; None where nothing is known."""
        found: dict[str, bool | None] = dict.fromkeys(
            test for test in self.contest.tests if test not in self.invalid
        )
        for test, verdict, _ in self.cells(program):
            if test in found and verdict.is_label:
                found[test] = verdict is Verdict.ACCEPTED
        return found

    def has_fault(self, program: str) -> bool:
        """Whether the sandbox failed on a program: nothing is said of it then."""
        return any(verdict is Verdict.SANDBOX_FAULT for _, verdict, _ in self.cells(program))

    def credible(self) -> list[str]:
        """The tests that the best ranked program passes."""
        programs = [id for id in self.contest.programs if id in self.ranks]
        if not programs:
            return []
        best = max(programs, key=lambda id: self.ranks[id])  # the first of several
        return [test for test, passes in self.passed(best).items() if passes]


def entry_point(programs: Iterable[str], tests: Iterable[str]) -> str | None:
    """The function that tests are about: of those that they name, the one most programs define.

    Example:
        >>> entry_point(["def a(): pass", "def a(): pass\\ndef b(): pass"], ["assert a() is b()"])
        'a'
    """
    used = {
        node.id for test in tests for node in ast.walk(_parsed(test)) if isinstance(node, ast.Name)
    }
    defined = Counter(
        node.name
        for program in programs
        for node in _parsed(program).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in used
    )
    return min(defined, key=lambda name: (-defined[name], name), default=None)


def _parsed(source: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def _first_of(sources: Mapping[str, str]) -> dict[str, str]:
    """The first id of every source."""
    found: dict[str, str] = {}
    for id, source in sources.items():
        found.setdefault(source, id)
    return found


def _shared(execution: Execution, program: str, size: int, is_copy: bool) -> Execution:
    """The execution of one test: its part of the process that ran `size` of them."""
    flags = [*execution.flags, *(["cached"] if is_copy else [])]
    if size == 1:
        return replace(execution, id=program, flags=tuple(flags))
    return replace(
        execution,
        id=program,
        cpu_ms=execution.cpu_ms / size,
        wall_ms=execution.wall_ms / size,
        stdout="",  # of all tests: nobody knows which one made the program print what
        stderr="",
        stdout_truncated=False,
        stderr_truncated=False,
        flags=(*flags, f"shared_process:{size}"),
    )


def _ranks(outcome: Outcome, spec: CrossSpec) -> dict[str, float]:
    contest = outcome.contest
    tests = [id for id in contest.tests if id not in outcome.invalid]
    judged = [id for id in contest.programs if not outcome.has_fault(id)]
    if not tests or not judged or spec.tests_of == "program":
        return {}  # nobody to compare with
    passed = [list(outcome.passed(id).values()) for id in judged]
    ranks: Ranks = rank(passed, damping=spec.damping, iterations=spec.iterations)
    return dict(zip([*judged, *tests], [*ranks.programs, *ranks.tests], strict=True))


def _times(outcome: Outcome, box: Runner, num: int) -> Iterator[tuple[int, Execution]]:
    """Run the programs that pass all credible tests against these, `num` times in turn."""
    contest, credible = outcome.contest, outcome.credible()
    if not credible or not num or contest.function is None:
        return
    tests = tuple(contest.tests[id] for id in credible)
    trusted = [
        id
        for id in contest.programs
        if id in outcome.ranks and all(map(outcome.passed(id).get, credible))
    ]
    first = _first_of({id: contest.programs[id] for id in trusted})
    for number in range(num):
        jobs = [
            FunctionTests(id, source, (contest.function,), tests, contest.support)
            for source, id in first.items()
        ]
        ran = {execution.id: execution for execution in box.run(jobs)}
        _check_there(list(ran.values()))
        for id in trusted:
            found = first[contest.programs[id]]
            yield number, _shared(ran[found], id, 1, is_copy=found != id)


def _check_there(executions: Sequence[Execution | None]) -> None:
    if any(one is not None and "sandbox_unavailable" in one.flags for one in executions):
        raise SandboxUnavailableError(SANDBOX_GONE)
