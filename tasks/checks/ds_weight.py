"""How far answers are from the distribution of valid solutions, as SQL (`ds_weight.sql`)."""

from __future__ import annotations

from pathlib import Path

from storage import Warehouse
from tasks.sql_script import connect, load_script, write_query

DS_WEIGHT = load_script(Path(__file__).parent / "ds_weight.sql")


def ds_weights(
    warehouse: Warehouse,
    *,
    run: str,
    round: int,
    check: str = "likelihood",
    valid_role: str = "solution",
    memory_gib: float | None = None,
) -> int:
    """Write the check `ds_weight` of every answer into `scores`; returns the number of rows.

    1 is an answer that is as likely as valid solutions are on average; the more or the less likely
    it is, the higher the value. Doing it again writes the same rows.

    Args:
        warehouse: Holds the round's samples, valid solutions among them, and their likelihoods.
        run: The run.
        round: Its round.
        check: The check that holds mean log-probabilities.
        valid_role: Role of the valid solutions.
        memory_gib: Memory that DuckDB may use before it spills to disk; None for its default.

    Source: IWSI, arXiv 2408.09849, section 3.
    """
    values = {"run": run, "round": round, "check_name": check, "valid_role": valid_role}
    with connect(warehouse, memory_gib) as connection:
        query = DS_WEIGHT.bind(connection, values)
        return write_query(
            warehouse, connection, query, "scores", run=run, round=round, part="ds_weight-results"
        )
