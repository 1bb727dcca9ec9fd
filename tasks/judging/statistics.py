"""How far a judge can be believed, round by round (`statistics.sql`)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from storage import Warehouse
from tasks.judging.judges import MetaJudge, PairJudge, RubricJudge
from tasks.sql_script import connect, load_script

_STATISTICS = load_script(Path(__file__).parent / "statistics.sql")


class JudgeStatistic(NamedTuple):
    """One measure of a judge; `level` is 'all' or a difficulty, `n` what it is counted over."""

    level: str
    measure: str
    value: float
    n: int


def judge_statistics(
    warehouse: Warehouse, judge: RubricJudge | PairJudge | MetaJudge, *, run: str, round: int
) -> list[JudgeStatistic]:
    """The measures of a judge in a round: entropy, swap consistency, agreement with references, ….

    Args:
        warehouse: Holds the judge's scores.
        judge: The judge.
        run: The run.
        round: Its round.
    """
    given = {"run": run, "round": round, "judge": judge.name, "judged_by": judge.judged_by}
    with connect(warehouse) as connection:
        query = _STATISTICS.bind(connection, given)
        return [JudgeStatistic(*row) for row in connection.execute(query).fetchall()]


def nested(statistics: Iterable[JudgeStatistic]) -> dict[str, dict[str, float]]:
    """The values as `rounds.metrics` keeps them: by level, then by measure."""
    found: dict[str, dict[str, float]] = {}
    for one in statistics:
        found.setdefault(one.level, {})[one.measure] = one.value
    return found
