"""Accuracy of one model on one suite: greedy pass@1, pass@k, maj@k, each with an interval.

Everything works on per-problem arrays and is free of models, tables and clocks. Problems are the
unit of resampling: samples of one problem are not independent, so intervals come from drawing
problems.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from storage import content_id
from tasks.errors import EvaluationError

Floats = npt.NDArray[np.float64]

GREEDY = "pass@1 greedy"
PASS_AT_K = "pass@k"
MAJ_AT_K = "maj@k"

# Bounds the memory of one block of resampled indices to 16 MiB, whatever the suite's size. The
# block shape depends on the number of problems alone, so the same seed always draws the same
# problems.
_BLOCK_DRAWS = 2_000_000


class Interval(NamedTuple):
    """Lower and upper end of a confidence interval, in the unit of the metric."""

    low: float
    high: float


@dataclass(frozen=True)
class ProblemResult:
    """What one model did on one problem.

    A sample that failed for a reason of ours (engine or sandbox outage) is left out by the caller:
    it is neither right nor wrong.

    Attributes:
        prompt_id: Id of the problem.
        difficulty: Level of the problem, or None where the environment has none.
        greedy_correct: Whether the greedy answer was right; None when there is no greedy sample.
        answers: Canonical answer of every drawn sample; None where no answer could be parsed.
        correct: Whether that sample was right, one for each answer.
    """

    prompt_id: str
    difficulty: int | None
    greedy_correct: bool | None
    answers: tuple[str | None, ...] = ()
    correct: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        """Refuses answers and marks that do not belong together.

        Raises:
            EvaluationError: If `answers` and `correct` differ in length.
        """
        if len(self.answers) != len(self.correct):
            raise EvaluationError(
                f"problem {self.prompt_id!r} has {len(self.answers)} answers and "
                f"{len(self.correct)} marks; give one mark for each answer"
            )


def pass_at_k(num_samples: Sequence[int], num_correct: Sequence[int], k: int) -> Floats:
    """Returns the unbiased pass@k of every problem: 1 - C(n-c, k) / C(n, k).

    Args:
        num_samples: n, samples drawn for each problem, each at least k. Shape (num_problems,).
        num_correct: c, right samples of each problem, 0 to n. Shape (num_problems,).
        k: Samples a user would look at, at least 1.

    Returns:
        Probability that k samples drawn without replacement hold a right one. Shape
        (num_problems,).

    Raises:
        EvaluationError: If the shapes differ, k < 1, n < k or c is outside 0..n.

    Source:
        Chen et al. 2021 (arXiv 2107.03374), equation 1.

    Example:
        >>> pass_at_k([4, 4], [1, 4], k=2).tolist()
        [0.5, 1.0]
    """
    if k < 1 or len(num_samples) != len(num_correct):
        raise EvaluationError(
            f"k={k} with {len(num_samples)} sample counts and {len(num_correct)} right counts; "
            "k must be at least 1 and both lists as long as the number of problems"
        )
    values = np.empty(len(num_samples), dtype=np.float64)
    for row, (n, c) in enumerate(zip(num_samples, num_correct, strict=True)):
        if n < k or not 0 <= c <= n:
            raise EvaluationError(
                f"problem {row}: {c} right of {n} samples does not allow pass@{k}; draw at least "
                f"{k} samples and count 0 to n of them as right"
            )
        values[row] = _pass_at_k(int(n), int(c), k)
    return values


@lru_cache(maxsize=65_536)
def _pass_at_k(n: int, c: int, k: int) -> float:
    # Integers of any size instead of a product of floats: exact, and problems share few (n, c)
    # pairs.
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def maj_at_k(answers: Sequence[str | None], correct: Sequence[bool], k: int) -> float:
    """Returns the probability that the majority of k of these samples is right, exactly.

    The mean over all subsets of k samples (an unbiased estimate of the accuracy of a k-vote, as
    pass@k is of k tries), not a bootstrap: no noise and no seed. Samples without an answer do not
    vote. A tie is broken uniformly, so a right answer that ties with t others counts 1 / (t + 1); a
    subset without any answer counts 0.

    Args:
        answers: Canonical answers of one problem's samples, None where none was parsed. Shape (n,).
        correct: Whether each sample was right. Shape (n,).
        k: Voters, 1 to n.

    Returns:
        A probability in [0, 1].

    Raises:
        EvaluationError: If k is outside 1..n or the shapes differ.

    Example:
        >>> maj_at_k(["5", "5", "7"], [True, True, False], k=3)
        1.0
        >>> maj_at_k(["5", "7"], [True, False], k=2)
        0.5
    """
    n = len(answers)
    if n != len(correct) or not 1 <= k <= n:
        raise EvaluationError(
            f"maj@{k} over {n} answers and {len(correct)} marks; give one mark for each answer and "
            "1 <= k <= number of answers"
        )
    votes = Counter(answer for answer in answers if answer is not None)
    # Two spellings that are both marked right stay two candidates: votes are cast for canonical
    # answers.
    right = {a for a, ok in zip(answers, correct, strict=True) if ok and a is not None}
    silent = n - votes.total()
    return sum(
        _win_probability(
            votes[answer],
            tuple(sorted(count for other, count in votes.items() if other != answer)),
            silent,
            k,
        )
        for answer in sorted(right)
    )


@lru_cache(maxsize=16_384)
def _win_probability(own: int, others: tuple[int, ...], silent: int, k: int) -> float:
    """Returns the chance that an answer with `own` votes wins a vote among k of all samples."""
    total = 0.0
    for votes in range(1, min(own, k) + 1):
        # ways[ties][size]: choices of `size` other samples in which `ties` answers also get `votes`
        # and none gets more; samples without an answer may be chosen freely.
        room = k - votes
        ways = [[math.comb(silent, size) for size in range(room + 1)]]
        for count in others:
            ways = _add_rival(ways, count, votes, room)
        chosen = sum(row[room] / (ties + 1) for ties, row in enumerate(ways))
        total += math.comb(own, votes) * chosen
    return total / math.comb(own + sum(others) + silent, k)


def _add_rival(ways: list[list[int]], count: int, votes: int, room: int) -> list[list[int]]:
    rows = len(ways) + (1 if count >= votes else 0)
    out = [[0] * (room + 1) for _ in range(rows)]
    for ties, row in enumerate(ways):
        for size, number in enumerate(row):
            if number:
                for taken in range(min(count, votes, room - size) + 1):
                    target = ties + (1 if taken == votes else 0)
                    out[target][size + taken] += number * math.comb(count, taken)
    return out


def bootstrap_means(values: Floats, *, seed: int, num_resamples: int = 10_000) -> Floats:
    """Returns means of resampled problems, in drawing order.

    Problem indices depend on `seed`, the number of problems and `num_resamples` only, never on the
    values: raising one value can raise resampled means and never lower one. The gate relies on it.

    Args:
        values: One value per problem, at least one. Shape (num_problems,).
        seed: Seed of the draws.
        num_resamples: Number of resampled suites, at least 1.

    Returns:
        Means, shape (num_resamples,).

    Raises:
        EvaluationError: If there is no problem.
    """
    num_problems = len(values)
    if num_problems == 0 or num_resamples < 1:
        raise EvaluationError(
            f"bootstrap over {num_problems} problems with num_resamples={num_resamples}; give at "
            "least one problem and one resample"
        )
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK_DRAWS // num_problems)
    means = np.empty(num_resamples, dtype=np.float64)
    for start in range(0, num_resamples, block):
        stop = min(start + block, num_resamples)
        draws = rng.integers(0, num_problems, size=(stop - start, num_problems))
        means[start:stop] = values[draws].mean(axis=1)
    return means


def bootstrap_interval(
    values: Floats, *, seed: int, confidence: float = 0.95, num_resamples: int = 10_000
) -> Interval:
    """Returns a percentile bootstrap interval of the mean over problems.

    Where every problem scored 0, or every problem scored 1, resampling sees no variation and would
    claim certainty. The exact binomial limit (Clopper-Pearson) is used there: 60 of 60 gives [0.94,
    1].

    Args:
        values: One value in [0, 1] per problem. Shape (num_problems,).
        seed: Seed of the draws; the same seed gives the same interval.
        confidence: Share of intervals that should hold the true mean, above 0 and below 1.
        num_resamples: Number of resampled suites.

    Raises:
        EvaluationError: If there is no problem or `confidence` is outside (0, 1).
    """
    if not 0.0 < confidence < 1.0:
        raise EvaluationError(f"confidence={confidence}; expected a number between 0 and 1")
    tail = (1.0 - confidence) / 2.0
    if len(values) and (values == values[0]).all() and values[0] in (0.0, 1.0):
        limit = tail ** (1.0 / len(values))
        return Interval(limit, 1.0) if values[0] == 1.0 else Interval(0.0, 1.0 - limit)
    means = bootstrap_means(values, seed=seed, num_resamples=num_resamples)
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return Interval(float(low), float(high))


def metric_values(results: Iterable[ProblemResult], metric: str, k: int | None = None) -> Floats:
    """Returns one value per problem that has what the metric needs, in the order of `results`.

    Problems without a greedy sample, or with fewer than k samples (the others were lost to an
    outage), are left out rather than counted as wrong; the length of the array is the metric's n.

    Args:
        results: Problems of one suite.
        metric: 'pass@1 greedy', 'pass@k' or 'maj@k'.
        k: Number of samples for the last two.

    Raises:
        EvaluationError: If the metric is unknown or lacks its k.
    """
    if metric == GREEDY:
        marks = [float(r.greedy_correct) for r in results if r.greedy_correct is not None]
        return np.array(marks, dtype=np.float64)
    if metric not in (PASS_AT_K, MAJ_AT_K) or k is None:
        raise EvaluationError(
            f"metric={metric!r} with k={k}; expected {GREEDY!r}, or {PASS_AT_K!r} or {MAJ_AT_K!r} "
            "with a number of samples k"
        )
    enough = [r for r in results if len(r.answers) >= k]
    if metric == PASS_AT_K:
        return pass_at_k([len(r.correct) for r in enough], [sum(r.correct) for r in enough], k)
    return np.array([maj_at_k(r.answers, r.correct, k) for r in enough], dtype=np.float64)


def evaluation_rows(
    results: Sequence[ProblemResult],
    *,
    run: str,
    round: int,
    model_id: str,
    weight_hash: str,
    suite: str,
    split: str,
    ks: Sequence[int] = (),
    seed: int = 0,
    confidence: float = 0.95,
    num_resamples: int = 10_000,
) -> list[dict[str, object]]:
    """Returns rows of the `evaluations` table: every metric, overall and for each difficulty.

    Args:
        results: Problems of the suite, in any order; rows do not depend on it.
        run: Run that evaluates; part of the row's id.
        round: Round that evaluates; part of the row's id.
        model_id: Id of the evaluated model.
        weight_hash: Hash of the evaluated weights.
        suite: Name of the suite.
        split: Split the problems came from.
        ks: Numbers of samples for pass@k and maj@k; none when only greedy answers were drawn.
        seed: Seed of the intervals.
        confidence: Level of the intervals.
        num_resamples: Resampled suites per interval.

    Returns:
        One row per (difficulty or None, metric, k) with at least one measured problem; difficulty
        None comes first and covers all problems.

    Raises:
        EvaluationError: If a problem appears twice.
    """
    ordered = sorted(results, key=lambda r: r.prompt_id)
    if len({r.prompt_id for r in ordered}) != len(ordered):
        raise EvaluationError(
            f"suite {suite!r} holds a problem twice ({len(ordered)} results); give one result for "
            "each prompt id"
        )
    rows: list[dict[str, object]] = []
    for level, metric, k, values in _measured(ordered, ks):
        interval = bootstrap_interval(
            values, seed=seed, confidence=confidence, num_resamples=num_resamples
        )
        identity = (run, round, weight_hash, suite, split, level, metric, k)
        rows.append(
            {
                "id": content_id("evaluation", *identity),
                "model_id": model_id,
                "weight_hash": weight_hash,
                "suite": suite,
                "split": split,
                "difficulty": level,
                "metric": metric,
                "k": k,
                "value": float(values.mean()),
                "n": len(values),
                "ci_low": interval.low,
                "ci_high": interval.high,
            }
        )
    return rows


def _measured(
    results: Sequence[ProblemResult], ks: Sequence[int]
) -> Iterator[tuple[int | None, str, int | None, Floats]]:
    """Yields (difficulty or None, metric, k, values) of everything measured on some problem."""
    metrics: list[tuple[str, int | None]] = [(GREEDY, None)]
    metrics += [(name, k) for k in ks for name in (PASS_AT_K, MAJ_AT_K)]
    levels = sorted({r.difficulty for r in results if r.difficulty is not None})
    for level in (None, *levels):
        chosen = [r for r in results if level is None or r.difficulty == level]
        for metric, k in metrics:
            values = metric_values(chosen, metric, k)
            if len(values):
                yield level, metric, k, values
