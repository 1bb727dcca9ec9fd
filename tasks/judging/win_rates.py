"""Win rates: how often a sample would beat the policy's other samples, by some preference.

What SPPO, DNO and SPO learn from is the same number; they differ in what they do with it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from storage import Warehouse
from tasks.judging.judges import PairJudge, RubricJudge
from tasks.sql_script import connect, load_script, write_query

WIN_RATES = load_script(Path(__file__).parent / "win_rates.sql")

Preference = Literal["votes", "pair_judge", "rubric_judge", "scores"]


class WinRateSpec(BaseModel):
    """Which preference decides whether one sample beats another.

    Source: SPPO (2405.00675) with PairRM, a reward model whose scores are read by a sigmoid; SPO
    (2401.04056); DNO (2404.03715).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preference: Preference = Field(
        default="votes",
        description="votes: the odds of the answers' vote shares; pair_judge: the model compares "
        "answers; rubric_judge: it scores them, and differences are read by a sigmoid; scores: as "
        "rubric_judge, of a check that is there already, e.g. of a reward model.",
    )
    check_name: str = Field(
        default="reward", description="scores: the check whose values are compared."
    )
    scale: float = Field(
        default=1.0,
        gt=0,
        description="rubric_judge, scores: difference of scores that makes odds of e to 1.",
    )
    with_itself: bool = Field(
        default=True,
        description="Whether a sample also meets itself, as one more draw of the policy (SPPO).",
    )
    pair_judge: PairJudge = Field(default=PairJudge(), description="The judge of pair_judge.")
    rubric_judge: RubricJudge = Field(
        default=RubricJudge(), description="The judge of rubric_judge."
    )

    @property
    def judge(self) -> PairJudge | RubricJudge | None:
        """The judge that has to be asked first; None where the tables hold all there is to know."""
        if self.preference == "pair_judge":
            return self.pair_judge
        return self.rubric_judge if self.preference == "rubric_judge" else None


def win_rates(
    warehouse: Warehouse,
    spec: WinRateSpec,
    *,
    run: str,
    round: int,
    name: str = "win_rate",
    memory_gib: float | None = None,
) -> int:
    """Write the win rate of every sample of a round into `scores`; returns the number of rows.

    The rows' detail has P(this beats that) for every other sample of the prompt. Doing it again
    writes the same rows.

    Args:
        warehouse: Holds samples, and the votes, judgements or scores that decide.
        spec: Where preferences come from; what its judge says must be in the tables.
        run: The run.
        round: Its round.
        name: Name of the check.
        memory_gib: Memory that DuckDB may use before it spills to disk; None for its default.
    """
    judge = spec.judge
    kinds = {"votes": "votes", "pair_judge": "pairs"}
    given: dict[str, object] = {
        "run": run,
        "round": round,
        "name": name,
        "preference": kinds.get(spec.preference, "scores"),
        "check_name": judge.name if judge else spec.check_name,
        "scale": spec.scale,
        "with_itself": spec.with_itself,
        "version": f"1-{hashlib.sha256(spec.model_dump_json().encode()).hexdigest()[:8]}",
    }
    with connect(warehouse, memory_gib) as connection:
        query = WIN_RATES.bind(connection, given)
        return write_query(
            warehouse, connection, query, "scores", run=run, round=round, part=f"{name}-results"
        )
