"""Rank agreement of two reward models over a round's answers, as `scores` (`consistency.sql`)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from storage import Warehouse
from tasks.sql_script import connect, load_script, write_query

_SCRIPT = load_script(Path(__file__).parent / "consistency.sql")


class Consistency(NamedTuple):
    """Rank agreement over a round.

    Attributes:
        mean: Mean over prompts of (tau + 1) / 2; None where no prompt could be ranked.
        tau: The mean of Kendall's tau: 2 * mean - 1.
        num_ranked: Prompts that both models ranked.
        num_skipped: Prompts that lack a reward, or have one answer only.
    """

    mean: float | None
    tau: float | None
    num_ranked: int
    num_skipped: int


def rank_consistency(
    warehouse: Warehouse,
    reward: str,
    other: str,
    *,
    run: str,
    round: int,
    mode: Literal["avg", "dyn"] = "avg",
    name: str = "consistency",
    memory_gib: float | None = None,
) -> Consistency:
    """Write how far two checks rank each prompt's answers alike, as the check `name`.

    Doing it again writes the same rows.

    Args:
        warehouse: Holds the samples and both checks.
        reward: Check with one model's reward.
        other: Check with the other model's.
        run: The run.
        round: Its round.
        mode: Whether every answer has the mean over all prompts as its value, or its prompt's own.
        name: The check that is written; also the name of its part.
        memory_gib: Memory that DuckDB may use before it spills to disk; None for its default.

    Returns:
        The agreement over the round.

    Source: CREAM (2410.12735), section 4.2 and the authors' code, which gives a prompt without a
        ranking the mean as well.
    """
    given = {"run": run, "round": round, "name": name, "reward": reward, "other": other}
    with connect(warehouse, memory_gib) as connection:
        query = _SCRIPT.bind(connection, {**given, "mode": mode})
        write_query(warehouse, connection, query, "scores", run=run, round=round, part=name)
    with warehouse.connect() as connection:
        ((mean, ranked, skipped),) = connection.execute(
            "SELECT any_value((c.detail->>'mean')::DOUBLE), "
            "count(DISTINCT s.prompt_id) FILTER (c.detail->>'failure' IS NULL), "
            "count(DISTINCT s.prompt_id) FILTER (c.detail->>'failure' IS NOT NULL) "
            "FROM scores AS c JOIN samples AS s ON s.id = c.sample_id AND s.run = c.run "
            'AND s.round = c.round WHERE c.run = $run AND c.round = $round AND c."check" = $name',
            {"run": run, "round": round, "name": name},
        ).fetchall()
    return Consistency(mean, None if mean is None else 2 * mean - 1, ranked, skipped)
