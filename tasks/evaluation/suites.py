"""Evaluated models as the metrics and the gate need them, read from the warehouse."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import duckdb

from tasks.evaluation.metrics import ProblemResult
from tasks.evaluation.paired import PairedSuite, pair_outcomes

_QUERY = (Path(__file__).parent / "suite_results.sql").read_text(encoding="utf-8")


def suite_results(
    con: duckdb.DuckDBPyConnection, run: str, model_id: str, suite: str | None = None
) -> list[ProblemResult]:
    """What a model did on a suite of a run, one result per problem, sorted by id.

    Args:
        con: A connection from `Warehouse.connect()`.
        run: The run.
        model_id: The model, evaluated in any round of the run.
        suite: Name of the suite; None for the held-out problems of the run's environment.
    """
    values = {"run": run, "policy_id": model_id, "suite": suite}
    rows = con.execute(_QUERY, values).fetchall()
    results = []
    for (prompt_id, difficulty), group in groupby(rows, key=lambda row: (row[0], row[1])):
        marks = list(group)
        greedy = [bool(correct) for _, _, is_greedy, _, correct in marks if is_greedy]
        drawn = [
            (answer, bool(correct)) for _, _, is_greedy, answer, correct in marks if not is_greedy
        ]
        results.append(
            ProblemResult(
                prompt_id=prompt_id,
                difficulty=difficulty,
                greedy_correct=greedy[0] if greedy else None,
                answers=tuple(answer for answer, _ in drawn),
                correct=tuple(correct for _, correct in drawn),
            )
        )
    return results


def paired_suite(
    name: str,
    incumbent: list[ProblemResult],
    candidate: list[ProblemResult],
    num_samples: int | None = None,
) -> PairedSuite:
    """Outcomes of two models on the problems that both answered.

    Args:
        name: Name of the suite.
        incumbent: Results of the promoted model.
        candidate: Results of the model that wants to replace it.
        num_samples: Count the right ones of so many samples per problem; None: the greedy answer.

    Raises:
        EvaluationError: If no problem was answered by both.
    """
    before, after = (
        {r.prompt_id: num for r in results if (num := _num_right(r, num_samples)) is not None}
        for results in (incumbent, candidate)
    )
    levels = {r.prompt_id: r.difficulty for r in incumbent}
    return pair_outcomes(name, before, after, levels, num_samples or 1)


def _num_right(result: ProblemResult, num_samples: int | None) -> int | None:
    """Right answers of a problem; None where an outage left too few to count."""
    if num_samples is None:
        return result.greedy_correct
    if len(result.correct) < num_samples:
        return None
    return sum(result.correct[:num_samples])
