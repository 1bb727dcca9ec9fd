"""Two models on the same problems: pairing, and the exact test of their difference."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.errors import EvaluationError
from tasks.evaluation.gate_spec import GateSpec
from tasks.evaluation.metrics import bootstrap_means


@dataclass(frozen=True)
class Outcome:
    """Both models on one problem: right answers of `PairedSuite.num_answers`."""

    prompt_id: str
    difficulty: int | None
    incumbent: int
    candidate: int


@dataclass(frozen=True)
class PairedSuite:
    """One suite answered by both models.

    Attributes:
        name: Name of the suite.
        outcomes: The problems that both models answered.
        num_unpaired: Problems that lack one model's answer.
        num_answers: Answers per problem and model: 1 where only the greedy one counts.
    """

    name: str
    outcomes: tuple[Outcome, ...]
    num_unpaired: int = 0
    num_answers: int = 1


@dataclass(frozen=True)
class Comparison:
    """Candidate against incumbent on one group of problems.

    Attributes:
        name: Suite name, 'primary' for the pooled suites, or a difficulty.
        num_problems: Problems that both models answered.
        incumbent_accuracy: Share of answers that the incumbent got right.
        candidate_accuracy: Share of answers that the candidate got right.
        difference: Candidate minus incumbent.
        lower_bound: One-sided bootstrap lower bound of `difference`.
        wins: Problems of which the candidate got more answers right.
        losses: Problems of which the incumbent got more answers right.
        p_value: One-sided exact p-value for "the candidate is better".
    """

    name: str
    num_problems: int
    incumbent_accuracy: float
    candidate_accuracy: float
    difference: float
    lower_bound: float
    wins: int
    losses: int
    p_value: float


def pair_outcomes(
    suite: str,
    incumbent: Mapping[str, int],
    candidate: Mapping[str, int],
    difficulties: Mapping[str, int | None] | None = None,
    num_answers: int = 1,
) -> PairedSuite:
    """Returns the problems that both models answered, paired by prompt id and sorted by it.

    Args:
        suite: Name of the suite.
        incumbent: How many answers of the incumbent were right, by prompt id.
        candidate: How many answers of the candidate were right, by prompt id.
        difficulties: Level by prompt id, where known.
        num_answers: Answers per problem.

    Raises:
        EvaluationError: If no problem was answered by both.
    """
    shared = sorted(incumbent.keys() & candidate.keys())
    if not shared:
        raise EvaluationError(
            f"suite {suite!r}: {len(incumbent)} incumbent and {len(candidate)} candidate results "
            "share no prompt id; evaluate both models on the same problems"
        )
    levels = difficulties or {}
    outcomes = tuple(
        Outcome(key, levels.get(key), int(incumbent[key]), int(candidate[key])) for key in shared
    )
    num_unpaired = len(incumbent.keys() | candidate.keys()) - len(shared)
    return PairedSuite(suite, outcomes, num_unpaired, num_answers)


def mcnemar_p_value(wins: int, losses: int) -> float:
    """Returns the one-sided exact McNemar p-value: P(X >= wins), X ~ Binomial(wins + losses, 1/2).

    Args:
        wins: Problems only the candidate got right.
        losses: Problems only the incumbent got right.

    Raises:
        EvaluationError: If a count is negative.

    Source:
        McNemar 1947, in its exact binomial form.

    Example:
        >>> mcnemar_p_value(5, 0)
        0.03125
        >>> mcnemar_p_value(0, 0)
        1.0
    """
    if wins < 0 or losses < 0:
        raise EvaluationError(f"wins={wins}, losses={losses}; counts of problems start at 0")
    num_discordant = wins + losses
    term = math.comb(num_discordant, wins)
    tail = 0
    for x in range(wins, num_discordant + 1):
        tail += term
        term = term * (num_discordant - x) // (x + 1)
    return tail / (1 << num_discordant)


def sign_flip_p_value(changes: Iterable[int]) -> float:
    """Returns the one-sided p-value of the exact paired randomisation test.

    If the two models were alike, every problem's change could as well have had the other sign: the
    p-value is the share of all assignments of signs whose sum is at least the sum that was found.
    With one answer per problem, where changes are -1, 0 and 1, this is the exact McNemar test.

    Args:
        changes: Right answers of the candidate less those of the incumbent, per problem.

    Source:
        Fisher, "The Design of Experiments", 1935, section 21.

    Example:
        >>> sign_flip_p_value([1, 1, 1, 1, 1, 0])
        0.03125
        >>> sign_flip_p_value([2, 1, -1])
        0.375
    """
    found = [change for change in changes if change]
    sizes = Counter(abs(change) for change in found)
    if set(sizes) <= {1}:
        wins = sum(change > 0 for change in found)
        return mcnemar_p_value(wins, len(found) - wins)
    # Distribution of the sum of those that are positive, each with probability 1/2: of all terms
    # only sums and halves, so that also small tails keep all their digits.
    odds = np.ones(1)
    for size, count in sorted(sizes.items()):
        for _ in range(count):
            wider = np.zeros(len(odds) + size)
            wider[: len(odds)] += odds / 2
            wider[size:] += odds / 2
            odds = wider
    positive = sum(change for change in found if change > 0)
    return min(1.0, float(odds[positive:].sum()))


def compare(
    name: str, outcomes: Sequence[Outcome], spec: GateSpec, num_answers: int = 1
) -> Comparison:
    """Returns the paired comparison of one group of problems.

    Args:
        name: What the group is called in reports.
        outcomes: Problems of the group, at least one.
        spec: Level, resamples and seed of the lower bound.
        num_answers: Answers per problem and model.

    Raises:
        EvaluationError: If the group is empty.
    """
    # Sorted, so that the bound does not depend on the order in which problems came back.
    ordered = sorted(outcomes, key=lambda o: o.prompt_id)
    changes = [int(o.candidate) - int(o.incumbent) for o in ordered]
    values = np.array(changes, dtype=np.float64) / num_answers
    means = bootstrap_means(values, seed=spec.seed, num_resamples=spec.num_resamples)
    total = len(ordered) * num_answers
    incumbent = sum(int(o.incumbent) for o in ordered)
    return Comparison(
        name=name,
        num_problems=len(ordered),
        incumbent_accuracy=incumbent / total,
        candidate_accuracy=(incumbent + sum(changes)) / total,
        difference=sum(changes) / total,
        lower_bound=float(np.quantile(means, 1.0 - spec.confidence)),
        wins=sum(change > 0 for change in changes),
        losses=sum(change < 0 for change in changes),
        p_value=sign_flip_p_value(changes),
    )
