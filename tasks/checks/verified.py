"""Verify answers to problems that a model made, where the environment can work them out itself."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from storage import Warehouse, content_id
from tasks.checks.answers import ANSWERS_VERSION
from tasks.environments import Environment, Solver
from tasks.sql_script import connect

CHECK = "verified"
_MADE = """
SELECT id, messages[-1].content FROM prompts
WHERE run = $run AND round = $round AND split = 'train' AND source <> 'seed'
"""
_ANSWERS = """
SELECT s.id, a.label, solved.expected
FROM solved
JOIN samples AS s ON s.prompt_id = solved.prompt_id
JOIN scores AS a ON a.run = s.run AND a.round = s.round AND a.sample_id = s.id
WHERE s.run = $run AND s.round = $round AND s.purpose = 'train'
  AND s.role IN ('answer', 'program') AND a."check" = 'answer' AND a.status = 'ok'
ORDER BY s.id
"""


def verify_answers(
    warehouse: Warehouse, environment: Environment, *, run: str, round: int, part: str = CHECK
) -> int:
    """Write the scores `verified` of a round: 1 for the right answer to a made problem, else 0.

    An environment that can't work out problems (it is no `Solver`) verifies nothing, and neither
    does any environment a text that is no problem of its kind: such answers have no such score, and
    are left to votes. References of given problems are not read.

    Args:
        warehouse: Holds made prompts, their samples, and the scores of the check 'answer'.
        environment: Works out the problems.
        run: The run.
        round: Its round.
        part: Name of the written part; nothing is done if it is there.

    Returns:
        How many answers are verified, right and wrong ones.

    Source: LADDER, 2503.00735: variants are verified by numeric means, not by a known answer.
    """
    if not warehouse.has("scores", run=run, round=round, part=part):
        place: dict[str, object] = {"run": run, "round": round}
        with connect(warehouse) as connection:
            made = connection.execute(_MADE, place).fetchall()
            connection.register("solved", _solved(environment, made))
            answers = connection.execute(_ANSWERS, place).fetchall()
        rows = [_row(run, round, *answer) for answer in answers]
        warehouse.write("scores", rows, run=run, round=round, part=part)
    written = warehouse.read("scores", run=run, round=round, part=part, columns=["id"])
    return int(written.num_rows)


def _solved(environment: Environment, problems: Iterable[tuple[str, str]]) -> pa.Table:
    """The canonical answers of the problems that the environment can work out."""
    found: dict[str, str] = {}
    solve = environment.solve if isinstance(environment, Solver) else lambda _: None
    for prompt_id, problem in problems:
        right = solve(problem)
        expected = None if right is None else environment.canonical(right)
        if expected is not None:
            found[prompt_id] = expected
    columns = {"prompt_id": list(found), "expected": list(found.values())}
    return pa.table(columns, pa.schema([("prompt_id", pa.string()), ("expected", pa.string())]))


def _row(
    run: str, round: int, sample_id: str, label: str | None, expected: str
) -> dict[str, object]:
    return {
        "id": content_id("score", run, round, sample_id, CHECK, ANSWERS_VERSION),
        "sample_id": sample_id,
        "check": CHECK,
        "version": ANSWERS_VERSION,
        "value": float(label == expected),
        "label": None,
        "detail": {"expected": expected},
        "status": "ok",
        "error": None,
    }
