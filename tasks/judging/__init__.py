"""Judges: models that judge answers, and judgements. A judge is samples, a parser, and SQL.

`RubricJudge` scores answers, `PairJudge` compares them in both orders, `MetaJudge` compares
judgements. `win_rates` says how often a sample beats the others, `judge_statistics` each round how
far a judge can be believed.
"""

from tasks.judging.aggregate import aggregate
from tasks.judging.agreement import Target, judgement_agreement
from tasks.judging.elo import elo_ratings, position_weights
from tasks.judging.judges import Judge, MetaJudge, PairJudge, RubricJudge
from tasks.judging.statistics import JudgeStatistic, judge_statistics, nested
from tasks.judging.win_rates import WinRateSpec, win_rates

__all__ = [
    "Judge",
    "JudgeStatistic",
    "MetaJudge",
    "PairJudge",
    "RubricJudge",
    "Target",
    "WinRateSpec",
    "aggregate",
    "elo_ratings",
    "judge_statistics",
    "judgement_agreement",
    "nested",
    "position_weights",
    "win_rates",
]
