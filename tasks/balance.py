"""Which temperature and threshold give a round many right answers and few wrong ones (B-STaR)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import duckdb
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from storage import Warehouse
from tasks.sql_script import connect, load_script, write_query

CHECK = "balanced"
SCORES = load_script(Path(__file__).parent / "sql" / "balanced_scores.sql")
GIVEN_SCORE = 1.0  # of a solution that the environment has: right, and nothing said of its steps
_EPSILON = 1e-9  # keeps 0.3 on the right side of 0.1 + 0.2
_TRIALS = """
SELECT
    (s.sampling->>'temperature')::DOUBLE AS temperature,
    s.prompt_id,
    max(b.value) AS score,
    max(r.value) AS is_right
FROM samples AS s
LEFT JOIN scores AS b
    ON b.run = s.run AND b.round = s.round AND b.sample_id = s.id AND b."check" = 'balanced'
LEFT JOIN scores AS r
    ON r.run = s.run AND r.round = s.round AND r.sample_id = s.id AND r."check" = 'reference'
WHERE s.run = $run AND s.round = $round AND s.role = $role
GROUP BY s.sampling, s.prompt_id, trim(s.text)
ORDER BY temperature, s.prompt_id, score DESC, is_right DESC
"""


class BalanceSpec(BaseModel):
    """What is tried before a round, and what its answers are to be like."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperatures: list[float] = Field(
        default=[round(0.5 + 0.05 * step, 2) for step in range(15)],
        min_length=1,
        description="Temperatures that are tried, 0 to 5.",
    )
    min_threshold: float = Field(default=-1.0, description="Lowest score threshold that is tried.")
    max_threshold: float = Field(default=1.0, description="Highest score threshold that is tried.")
    threshold_step: float = Field(default=0.01, gt=0, description="Step between thresholds.")
    num_problems: int = Field(default=1000, ge=1, description="Problems that are tried.")
    num_samples: int = Field(
        default=64, ge=1, le=4096, description="Samples of each, at each temperature."
    )
    rows_per_problem: float = Field(
        default=3.55, gt=0, description="Training rows per problem that a round is to have."
    )
    enough: int = Field(
        default=8, ge=1, description="Right answers of a problem from which more don't count."
    )
    step_reward: Literal["confidence", "none"] = Field(
        default="confidence",
        description="What adds to a right answer's 1: the probability of the least likely token, "
        "or nothing.",
    )
    reward_scale: float = Field(
        default=0.2, ge=0, le=1, description="Weight of the steps' reward, which is -1 to 1."
    )

    @model_validator(mode="after")
    def _check_ranges(self) -> Self:
        wrong = [value for value in self.temperatures if not 0 < value <= 5]
        if wrong:
            raise ValueError(f"temperatures: {wrong[0]} is not above 0 and at most 5")
        if self.min_threshold > self.max_threshold:
            raise ValueError(
                f"min_threshold={self.min_threshold} is above max_threshold={self.max_threshold}"
            )
        return self

    def thresholds(self) -> NDArray[np.float64]:
        """All thresholds that are tried, lowest first."""
        num = int((self.max_threshold - self.min_threshold) / self.threshold_step + 1e-6)
        found = self.min_threshold + self.threshold_step * np.arange(num + 1, dtype=np.float64)
        return np.round(found, 9)


class Candidate(NamedTuple):
    """A temperature and a threshold, and what they give.

    Attributes:
        temperature: The temperature.
        threshold: Scores above it are kept.
        per_problem: Most rows of a problem: the fewest that give enough rows in all.
        num_kept: Rows of all problems.
        balance: The mean balance score, 0 to 1.
    """

    temperature: float
    threshold: float
    per_problem: int
    num_kept: int
    balance: float


class Search(NamedTuple):
    """What a search found.

    Attributes:
        chosen: The candidate of the highest balance; of equal ones the first.
        candidates: The best one of every temperature.
        thresholds: Those of the chosen temperature, without those that keep the same as the one
            before.
    """

    chosen: Candidate
    candidates: list[Candidate]
    thresholds: list[Candidate]

    def to_dict(self) -> dict[str, Any]:
        """The search as rows for `rounds.metrics`."""
        tables = {"candidates": self.candidates, "thresholds": self.thresholds}
        rows = {name: [one._asdict() for one in table] for name, table in tables.items()}
        return {"chosen": self.chosen._asdict(), **rows}


def balance_scores(
    num_right: NDArray[np.int64], num_kept: NDArray[np.int64], enough: int
) -> NDArray[np.float64]:
    """How many and how few wrong answers each problem has: min(k / enough, 1) * k / m.

    Args:
        num_right: (num_problems,) k: right ones of the kept answers.
        num_kept: (num_problems,) m: kept answers; a problem without any has the score 0.
        enough: Right answers from which more don't count.

    Source: B-STaR, arXiv 2412.17256, equation 3.

    Example:
        >>> balance_scores(np.array([4, 8, 0, 0]), np.array([4, 16, 3, 0]), 8).tolist()
        [0.5, 0.5, 0.0, 0.0]
    """
    share = num_right / np.maximum(num_kept, 1)
    scores: NDArray[np.float64] = np.minimum(num_right / enough, 1) * share
    return scores


def write_balanced(
    warehouse: Warehouse, spec: BalanceSpec, *, run: str, round: int, role: str = ""
) -> int:
    """Write the check `balanced` of samples into `scores`; returns the number of rows.

    Doing it again writes the same rows.

    Args:
        warehouse: Holds the samples and whether they are right.
        spec: What counts.
        run: The run.
        round: Its round.
        role: Which samples; empty: answers.
    """
    values: dict[str, object] = {"run": run, "round": round, "role": role}
    values |= {"step_reward": spec.step_reward, "reward_scale": spec.reward_scale}
    with connect(warehouse) as connection:
        query = SCORES.bind(connection, values)
        part = f"{CHECK}-{role or 'answer'}"
        return write_query(warehouse, connection, query, "scores", run=run, round=round, part=part)


def search_balance(
    warehouse: Warehouse, spec: BalanceSpec, *, run: str, round: int, role: str, num_given: int
) -> Search:
    """The temperature and the threshold of the highest balance, and what the others give.

    Equal texts of a problem count once.

    Args:
        warehouse: Holds the samples that were tried, and their checks `balanced` and `reference`.
        spec: Thresholds, and how many rows a round is to have.
        run: The run.
        round: Its round.
        role: Role of the samples that were tried.
        num_given: Solutions of each problem that are learned besides: 0 or 1.

    Source: B-STaR, arXiv 2412.17256, algorithm 1, and its code (determine_hyper.py).
    """
    place = {"run": run, "round": round, "role": role}
    with connect(warehouse) as connection:
        tried = list(_tried(connection, place, num_given))
    curves = [_thresholds(spec, *one) for one in tried]
    best = [max(curve, key=lambda one: one.balance) for curve in curves]
    chosen = max(range(len(best)), key=lambda i: best[i].balance)
    return Search(best[chosen], best, _distinct(curves[chosen]))


def _tried(
    connection: duckdb.DuckDBPyConnection, place: dict[str, object], num_given: int
) -> Iterator[tuple[float, NDArray[np.float64], NDArray[np.bool_]]]:
    """(temperature, scores, whether right) of the samples: (num_problems, num_samples), best first.

    What is missing has the score minus infinity.
    """
    rows = connection.execute(_TRIALS, place).fetchall()
    problems: dict[float, dict[str, list[tuple[float, bool]]]] = {}
    for temperature, prompt_id, score, is_right in rows:
        own = problems.setdefault(temperature, {}).setdefault(prompt_id, [])
        if score is not None:
            own.append((score, is_right == 1))
    for temperature, groups in problems.items():
        lists = [
            sorted([*own, *[(GIVEN_SCORE, True)] * num_given], key=lambda pair: -pair[0])
            for own in groups.values()
        ]
        width = max(1, *map(len, lists))
        scores = np.full((len(lists), width), -np.inf)
        is_right = np.zeros((len(lists), width), dtype=bool)
        for i, own in enumerate(lists):
            scores[i, : len(own)] = [score for score, _ in own]
            is_right[i, : len(own)] = [right for _, right in own]
        yield temperature, scores, is_right


def _thresholds(
    spec: BalanceSpec,
    temperature: float,
    scores: NDArray[np.float64],
    is_right: NDArray[np.bool_],
) -> list[Candidate]:
    """What every threshold gives at one temperature."""
    num_problems, width = scores.shape
    num_right = np.pad(is_right.cumsum(axis=1), ((0, 0), (1, 0)))
    found = []
    for threshold in spec.thresholds():
        above = (scores > threshold + _EPSILON).sum(axis=1)
        # totals[m - 1]: rows of all problems if each has m at most.
        totals = (above[:, None] > np.arange(width)).sum(axis=0).cumsum()
        wanted = spec.rows_per_problem * num_problems
        most = min(int(np.searchsorted(totals, wanted)) + 1, width)
        kept = np.minimum(above, most)
        right = num_right[np.arange(num_problems), kept]
        balance = float(balance_scores(right, kept, spec.enough).mean())
        found.append(
            Candidate(temperature, float(threshold), most, int(kept.sum()), round(balance, 6))
        )
    return found


def _distinct(curve: list[Candidate]) -> list[Candidate]:
    kept = curve[:1]
    for one in curve[1:]:
        if one._replace(threshold=0) != kept[-1]._replace(threshold=0):
            kept.append(one)
    return kept
