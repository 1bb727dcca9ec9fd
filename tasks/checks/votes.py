"""Majority votes over the answers of a round, as SQL (`votes.sql`)."""

from __future__ import annotations

from pathlib import Path

from storage import Warehouse
from tasks.sql_script import connect, load_script, write_query

VOTES = load_script(Path(__file__).parent / "votes.sql")


def vote(
    warehouse: Warehouse,
    *,
    run: str,
    round: int,
    part: str = "votes",
    memory_gib: float | None = None,
) -> int:
    """Count the votes of a round into the `votes` table and return the number of its rows.

    One row per (prompt, answer), losers included: count, share of the prompt's samples, rank.
    Samples without an answer count in `num_samples` only; failed samples and failed checks don't
    count at all. Equal counts are ranked by the answer's text. The same answers give the same
    rows in whatever order they were written.

    Args:
        warehouse: Holds `samples` and `scores` of the round, `check` 'answer' among them.
        run: The run.
        round: Its round.
        part: The prefix of the written parts' names.
        memory_gib: Memory that DuckDB may use before it spills to disk; None for its default.

    Source: self-consistency, Wang et al. 2022, arXiv 2203.11171; V(a)/k of ScPO, 2411.04109.
    """
    with connect(warehouse, memory_gib) as connection:
        query = VOTES.bind(connection, {"run": run, "round": round})
        return write_query(warehouse, connection, query, "votes", run=run, round=round, part=part)
