"""How alike samples and the labelled answers of their prompts are, as SQL (`similarity.sql`)."""

from __future__ import annotations

from pathlib import Path

from storage import Warehouse
from tasks.sql_script import connect, load_script, write_query

SIMILARITY = load_script(Path(__file__).parent / "similarity.sql")


def similarities(
    warehouse: Warehouse, *, run: str, round: int, memory_gib: float | None = None
) -> int:
    """Write the check `similarity` of every sample into `scores`; returns the number of rows.

    A value is the cosine, 0 to 1, of TF-IDF vectors over character trigrams. Doing it again writes
    the same rows.

    Args:
        warehouse: Holds the round's samples, labelled answers among them.
        run: The run.
        round: Its round.
        memory_gib: Memory that DuckDB may use before it spills to disk; None for its default.
    """
    with connect(warehouse, memory_gib) as connection:
        query = SIMILARITY.bind(connection, {"run": run, "round": round})
        return write_query(
            warehouse, connection, query, "scores", run=run, round=round, part="similarity-results"
        )
