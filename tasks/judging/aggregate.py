"""Put single judgements together: means, both orders of a pair, ratings of judgements."""

from __future__ import annotations

from pathlib import Path

from storage import Warehouse, content_id
from tasks.judging.elo import Battle, elo_ratings
from tasks.judging.judges import MetaJudge, PairJudge, RubricJudge
from tasks.sql_script import connect, load_script, write_query

_FOLDER = Path(__file__).parent
_RUBRIC, _PAIR = load_script(_FOLDER / "rubric.sql"), load_script(_FOLDER / "pair.sql")

# Every judgement that was compared, with the answer that it is about.
_BATTLES = """
SELECT j.parent_ids[1] AS answer_id, s.version, s.sample_id AS first,
       json_extract_string(s.detail, '$.others[0]') AS second, s.label = 'A' AS is_first_better
FROM scores AS s
JOIN samples AS j ON j.run = s.run AND j.round = s.round AND j.id = s.sample_id
WHERE s.run = $run AND s.round = $round AND s."check" = $judged_by AND s.label IN ('A', 'B')
ORDER BY answer_id, first, second, s.id
"""


def aggregate(
    warehouse: Warehouse,
    judge: RubricJudge | PairJudge | MetaJudge,
    *,
    run: str,
    round: int,
    memory_gib: float | None = None,
) -> int:
    """Write the `scores` that follow from a judge's judgements of a round.

    Doing it again writes the same rows.

    Args:
        warehouse: Holds the judgements' scores.
        judge: The judge.
        run: The run.
        round: Its round.
        memory_gib: Memory that DuckDB may use before it spills to disk; None for its default.

    Returns:
        How many rows were written.
    """
    given: dict[str, object] = {
        "run": run,
        "round": round,
        "judge": judge.name,
        "judged_by": judge.judged_by,
    }
    script = _RUBRIC
    if not isinstance(judge, RubricJudge):
        script, given["inconsistent"] = _PAIR, judge.inconsistent
    part = f"{judge.name}-results"
    with connect(warehouse, memory_gib) as connection:
        query = script.bind(connection, given)
        written = write_query(
            warehouse, connection, query, "scores", run=run, round=round, part=part
        )
    return written + (_rate(warehouse, judge, run, round) if isinstance(judge, MetaJudge) else 0)


def _rate(warehouse: Warehouse, judge: MetaJudge, run: str, round: int) -> int:
    """Write the check <name>_elo: ratings of judgements among those of the same answer."""
    with warehouse.connect() as connection:
        found = connection.execute(
            _BATTLES, {"run": run, "round": round, "judged_by": judge.judged_by}
        ).fetchall()
    check = f"{judge.name}_elo"
    rows: list[dict[str, object]] = []
    version = max((own[1] for own in found), default="")
    battles = [
        Battle(first, second, is_first_better, answer_id)
        for answer_id, own, first, second, is_first_better in found
        if own == version
    ]
    for judgement, rating in sorted(elo_ratings(battles).items()):
        rows.append(
            {
                "id": content_id("score", run, round, judgement, check, version),
                "sample_id": judgement,
                "check": check,
                "version": version,
                "value": rating,
                "label": None,
                "detail": {},
                "status": "ok",
            }
        )
    warehouse.write("scores", rows, run=run, round=round, part=f"{judge.name}-elo")
    return len(rows)
