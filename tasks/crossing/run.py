"""Cross the programs and tests of a shard of prompts: rows of `executions` and `scores`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from sandbox import Runner
from storage import Warehouse, content_id
from tasks.checks.execution import execution_row
from tasks.checks.function_tests import HiddenTests
from tasks.crossing.contest import Contest, Outcome
from tasks.crossing.spec import PASSED, RANK, TIMED, CrossSpec
from tasks.engines import OnProgress

_SAMPLES = """
SELECT prompt_id, role = $test_role AS is_test, id, text, parent_ids[-1] AS parent
FROM samples
WHERE run = $run AND round = $round AND purpose = 'train' AND status = 'ok'
  AND role IN ($program_role, $test_role)
"""
_PROMPTS = f"""
SELECT prompt_id
FROM ({_SAMPLES})
GROUP BY prompt_id
HAVING bool_or(is_test) AND NOT bool_and(is_test)
ORDER BY prompt_id
"""
_OWN = f"""
SELECT s.prompt_id, is_test, s.id, s.text, s.parent, p.reference
FROM ({_SAMPLES}) AS s
LEFT JOIN prompts AS p ON p.run = $run AND p.round = $round AND p.id = s.prompt_id
WHERE list_contains($prompts, s.prompt_id)
ORDER BY s.prompt_id, s.id
"""


def contested_prompts(
    warehouse: Warehouse, *, run: str, round: int, program_role: str, test_role: str
) -> list[str]:
    """The prompts of a round that have programs and tests, in order."""
    given = {
        "run": run,
        "round": round,
        "program_role": program_role,
        "test_role": test_role,
    }
    with warehouse.connect() as connection:
        return [str(row[0]) for row in connection.execute(_PROMPTS, given).fetchall()]


def cross_shard(
    warehouse: Warehouse,
    box: Runner,
    spec: CrossSpec,
    prompts: Sequence[str],
    *,
    run: str,
    round: int,
    part: str,
    program_role: str = "program",
    test_role: str = "test",
    on_progress: OnProgress | None = None,
) -> None:
    """Run the programs of some prompts against their tests, and write what came of it as shards.

    `executions` gets a row for every program and test, and one for every timing; `scores` the
    checks `cross_rank`, of programs and tests, and `cross_passed`, of programs. Scores are written
    last: their shard says that all is done.

    Args:
        warehouse: Holds the samples.
        box: An open sandbox.
        spec: How programs and tests are run and ranked.
        prompts: Ids, of `contested_prompts`.
        run: The run.
        round: Its round.
        part: Name of the shard in both tables.
        program_role: Role of the samples that are programs.
        test_role: Role of the samples that are tests.
        on_progress: Called with (done, all): prompts, or programs where each has tests of its own.

    Raises:
        SandboxUnavailableError: The sandbox cannot run programs any more; nothing is written.
    """
    executions: list[dict[str, object]] = []
    scores: list[dict[str, object]] = []
    given = {"run": run, "round": round, "program_role": program_role, "test_role": test_role}
    contests = list(_contests(warehouse, spec, prompts, given))
    for number, contest in enumerate(contests, 1):
        outcome = contest.run(box, spec)
        executions += _execution_rows(outcome, run, round)
        scores += _score_rows(outcome, spec, run, round)
        if on_progress is not None:
            on_progress(number, len(contests))
    warehouse.write_shard("executions", executions, run=run, round=round, part=part)
    warehouse.write_shard("scores", scores, run=run, round=round, part=part)


class _Sample(NamedTuple):
    prompt_id: str
    is_test: bool
    id: str
    text: str
    parent: str | None
    reference: str | None


def _contests(
    warehouse: Warehouse, spec: CrossSpec, prompts: Sequence[str], given: dict[str, object]
) -> Iterator[Contest]:
    with warehouse.connect() as connection:
        found = connection.execute(_OWN, {**given, "prompts": list(prompts)}).fetchall()
    for _, group in groupby(map(_Sample._make, found), key=lambda one: one.prompt_id):
        own = list(group)
        reference = own[0].reference
        hidden = None if reference is None else HiddenTests.from_json(reference)
        programs = {one.id: one.text for one in own if not one.is_test}
        if spec.tests_of == "prompt":
            tests = {one.id: one.text for one in own if one.is_test}
            yield Contest.of(programs, tests, hidden)
            continue
        for id, text in programs.items():
            tests = {one.id: one.text for one in own if one.is_test and one.parent == id}
            if tests:
                yield Contest.of({id: text}, tests, hidden)


def _execution_rows(outcome: Outcome, run: str, round: int) -> Iterator[dict[str, object]]:
    for program in outcome.contest.programs:
        for test, verdict, execution in outcome.cells(program):
            told = replace(execution, verdict=verdict)
            yield execution_row(told, run, round, test_ids=[test])
    credible = outcome.credible()
    for number, execution in outcome.timed:
        told = replace(execution, flags=(*execution.flags, TIMED))
        yield execution_row(told, run, round, test_ids=credible, key=f"{TIMED}-{number}")


def _score_rows(
    outcome: Outcome, spec: CrossSpec, run: str, round: int
) -> Iterator[dict[str, object]]:
    def row(sample: str, check: str, value: float | None, **more: object) -> dict[str, object]:
        return {
            "id": content_id("score", run, round, sample, check, spec.version),
            "sample_id": sample,
            "check": check,
            "version": spec.version,
            "value": value,
            "label": None,
            "detail": {},
            "status": "ok",
            "error": None,
        } | more

    passed = {id: outcome.passed(id) for id in outcome.contest.programs}
    for program, own in passed.items():
        if outcome.has_fault(program):
            failed = {"status": "error", "error": "the sandbox did not judge it on every test"}
            yield row(program, RANK, None, **failed)
            yield row(program, PASSED, None, **failed)
            continue
        num = sum(value is True for value in own.values())
        detail: dict[str, object] = {"passed": num, "tests": len(own)}
        if not own:
            detail["failure"] = "no_usable_test"
        yield row(program, RANK, outcome.ranks.get(program), detail=detail)
        yield row(program, PASSED, num / len(own) if own else None, detail=detail)
    credible = set(outcome.credible())
    for test in outcome.contest.tests:
        if test in outcome.invalid:
            reason = outcome.invalid[test]
            yield row(test, RANK, None, label="invalid", detail={"failure": reason})
            continue
        num = sum(own[test] is True for own in passed.values())
        label = "credible" if test in credible else "other"
        detail = {"passed": num, "programs": len(passed)}
        yield row(test, RANK, outcome.ranks.get(test), label=label, detail=detail)
