"""How near judgements are to where they should be: what trains a judge (`agreement.sql`)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from storage import Warehouse
from tasks.judging.judges import RubricJudge
from tasks.sql_script import connect, hide_references, load_script, write_query

_SCRIPT = load_script(Path(__file__).parent / "agreement.sql")

Target = Literal["majority", "mean", "reference"]


def judgement_agreement(
    warehouse: Warehouse,
    judge: RubricJudge,
    target: Target,
    *,
    run: str,
    round: int,
    allow_references: bool = False,
    memory_gib: float | None = None,
) -> int:
    """Write the check `<judge>_agreement` about a round's judgements; returns how many rows.

    Doing it again writes the same rows.

    Args:
        warehouse: Holds the judge's scores.
        judge: The judge; with target `reference` its scale says what a right answer deserves.
        target: Where scores should be; see `agreement.sql`.
        run: The run.
        round: Its round.
        allow_references: Whether scores against references may be read.
        memory_gib: Memory that DuckDB may use before it spills to disk; None for its default.
    """
    given = {"run": run, "round": round, "judge": judge.name, "judged_by": judge.judged_by}
    scale = {"target": target, "low": judge.low, "high": judge.high}
    with connect(warehouse, memory_gib) as connection:
        if not allow_references:
            hide_references(connection)
        query = _SCRIPT.bind(connection, {**given, **scale})
        part = f"{judge.name}-agreement"
        return write_query(warehouse, connection, query, "scores", run=run, round=round, part=part)
