"""Whether a candidate replaces the incumbent: a paired exact test, non-inferiority per suite.

Both models answer the same problems, so what counts are the problems on which they differ: wins
(only the candidate is right) and losses (only the incumbent is right). The gate asks whether there
are more wins than chance explains, on the primary suites together, and that no single suite got
worse than allowed: a mean that rises through one small suite must not hide a loss on another.

More wins never turn a promotion into a rejection. The tests check it, and it rests on two choices:
the exact McNemar test, and a bootstrap whose draws do not depend on the outcomes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tasks.errors import EvaluationError
from tasks.evaluation.metrics import bootstrap_means


class GateSpec(BaseModel):
    """When a candidate is promoted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha: float = Field(
        default=0.05,
        gt=0.0,
        le=1.0,
        description="Largest p-value of the one-sided exact McNemar test that still promotes. "
        "1.0 switches the test off.",
    )
    min_gain: float = Field(
        default=0.0,
        ge=-1.0,
        le=1.0,
        description="Smallest gain in accuracy on the primary suites, as a share of problems. "
        "Negative: a loss that is still accepted; -1 accepts any candidate, for loops without a "
        "gate (with alpha 1 and non_inferiority 'off').",
    )
    non_inferiority_margin: float = Field(
        default=0.05,
        ge=0.0,
        le=1.0,
        description="Largest loss in accuracy that is allowed on any single suite, as a share of "
        "problems.",
    )
    non_inferiority: Literal["confidence", "observed", "off"] = Field(
        default="confidence",
        description="What must stay within the margin on every suite: the lower confidence "
        "bound of the change, the observed change, or nothing.",
    )
    confidence: float = Field(
        default=0.95,
        gt=0.5,
        lt=1.0,
        description="One-sided level of the lower bound of the change.",
    )
    max_difficulty_drop: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="Largest observed loss in accuracy on any single difficulty of any suite, for "
        "loops that must not forget easier problems. Empty: difficulties are reported only.",
    )
    min_problems: int = Field(
        default=50,
        ge=1,
        description="Fewest problems that both models answered, on the primary suites together.",
    )
    max_unpaired_share: float = Field(
        default=0.02,
        ge=0.0,
        le=1.0,
        description="Largest share of a suite's problems that only one of the models answered "
        "(the other answer was lost to an outage).",
    )
    primary_suites: tuple[str, ...] = Field(
        default=(),
        description="Suites on which the candidate must gain, pooled. Empty: all suites.",
    )
    num_resamples: int = Field(
        default=10_000,
        ge=100,
        le=1_000_000,
        description="Bootstrap resamples for each lower bound.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the bootstrap.")


@dataclass(frozen=True)
class Outcome:
    """Both models on one problem."""

    prompt_id: str
    difficulty: int | None
    incumbent: bool
    candidate: bool


@dataclass(frozen=True)
class PairedSuite:
    """One suite answered by both models; `num_unpaired` problems lack one model's answer."""

    name: str
    outcomes: tuple[Outcome, ...]
    num_unpaired: int = 0


@dataclass(frozen=True)
class Comparison:
    """Candidate against incumbent on one group of problems.

    Attributes:
        name: Suite name, 'primary' for the pooled suites, or a difficulty.
        num_problems: Problems that both models answered.
        incumbent_accuracy: Share the incumbent got right.
        candidate_accuracy: Share the candidate got right.
        difference: Candidate minus incumbent.
        lower_bound: One-sided bootstrap lower bound of `difference`.
        wins: Problems only the candidate got right.
        losses: Problems only the incumbent got right.
        p_value: One-sided exact McNemar p-value for "the candidate is better".
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


@dataclass(frozen=True)
class GateStatistics:
    """Everything the decision was taken from."""

    primary: Comparison
    suites: tuple[Comparison, ...]
    difficulties: Mapping[str, tuple[Comparison, ...]]


@dataclass(frozen=True)
class GateDecision:
    """A verdict, its reasons as full sentences, and the numbers behind it."""

    promote: bool
    reasons: list[str]
    statistics: GateStatistics

    @property
    def verdict(self) -> Literal["promoted", "rejected"]:
        """The word for `rounds.gate_verdict`."""
        return "promoted" if self.promote else "rejected"

    def to_dict(self) -> dict[str, object]:
        """Returns a JSON-serialisable form for the `rounds` table."""
        return asdict(self)


def pair_outcomes(
    suite: str,
    incumbent: Mapping[str, bool],
    candidate: Mapping[str, bool],
    difficulties: Mapping[str, int | None] | None = None,
) -> PairedSuite:
    """Returns the problems that both models answered, paired by prompt id and sorted by it.

    Args:
        suite: Name of the suite.
        incumbent: Whether the incumbent was right, by prompt id.
        candidate: Whether the candidate was right, by prompt id.
        difficulties: Level by prompt id, where known.

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
        Outcome(key, levels.get(key), bool(incumbent[key]), bool(candidate[key])) for key in shared
    )
    return PairedSuite(suite, outcomes, len(incumbent.keys() | candidate.keys()) - len(shared))


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


def compare(name: str, outcomes: Sequence[Outcome], spec: GateSpec) -> Comparison:
    """Returns the paired comparison of one group of problems.

    Args:
        name: What the group is called in reports.
        outcomes: Problems of the group, at least one.
        spec: Level, resamples and seed of the lower bound.

    Raises:
        EvaluationError: If the group is empty.
    """
    # Sorted, so that the bound does not depend on the order in which problems came back.
    ordered = sorted(outcomes, key=lambda o: o.prompt_id)
    change = np.array([int(o.candidate) - int(o.incumbent) for o in ordered], dtype=np.float64)
    means = bootstrap_means(change, seed=spec.seed, num_resamples=spec.num_resamples)
    wins = int((change > 0).sum())
    losses = int((change < 0).sum())
    num_problems = len(ordered)
    incumbent = sum(o.incumbent for o in ordered)
    return Comparison(
        name=name,
        num_problems=num_problems,
        incumbent_accuracy=incumbent / num_problems,
        candidate_accuracy=(incumbent + wins - losses) / num_problems,
        difference=(wins - losses) / num_problems,
        lower_bound=float(np.quantile(means, 1.0 - spec.confidence)),
        wins=wins,
        losses=losses,
        p_value=mcnemar_p_value(wins, losses),
    )


def decide(suites: Sequence[PairedSuite], spec: GateSpec | None = None) -> GateDecision:
    """Returns whether the candidate replaces the incumbent, with a sentence for every rule.

    Args:
        suites: The suites both models were evaluated on, with distinct names.
        spec: The rules; the defaults when None.

    Returns:
        The decision. `reasons` holds one sentence per rule and suite, failed rules first, then the
        change in accuracy and its test.

    Raises:
        EvaluationError: If there is no suite, a name appears twice, or a primary suite is missing.
    """
    spec = spec or GateSpec()
    names = [suite.name for suite in suites]
    missing = [name for name in spec.primary_suites if name not in names]
    if not suites or len(set(names)) != len(names) or missing:
        raise EvaluationError(
            f"suites {names} with primary_suites={list(spec.primary_suites)}; give at least one "
            "suite, each name once, and every primary suite among them"
        )
    pooled = [
        Outcome(f"{suite.name}\0{o.prompt_id}", o.difficulty, o.incumbent, o.candidate)
        for suite in suites
        if not spec.primary_suites or suite.name in spec.primary_suites
        for o in suite.outcomes
    ]
    statistics = GateStatistics(
        primary=compare("primary", pooled, spec),
        suites=tuple(compare(suite.name, suite.outcomes, spec) for suite in suites),
        difficulties={suite.name: _by_difficulty(suite, spec) for suite in suites},
    )
    checks = [*_gain(statistics.primary, spec), _enough(statistics.primary, spec)]
    for suite, comparison in zip(suites, statistics.suites, strict=True):
        checks += _paired(suite, spec) + _not_worse(comparison, spec)
        checks += _no_level_worse(suite.name, statistics.difficulties[suite.name], spec)
    checks.sort(key=lambda check: check[0])
    return GateDecision(
        promote=all(passed for passed, _ in checks),
        reasons=[sentence for _, sentence in checks],
        statistics=statistics,
    )


def _by_difficulty(suite: PairedSuite, spec: GateSpec) -> tuple[Comparison, ...]:
    levels = sorted({o.difficulty for o in suite.outcomes if o.difficulty is not None})
    return tuple(
        compare(f"difficulty {level}", [o for o in suite.outcomes if o.difficulty == level], spec)
        for level in levels
    )


def _enough(primary: Comparison, spec: GateSpec) -> tuple[bool, str]:
    if primary.num_problems >= spec.min_problems:
        return True, (
            f"Both models answered {primary.num_problems} problems of the primary suites, at least "
            f"{spec.min_problems} as required."
        )
    return False, (
        f"Both models answered only {primary.num_problems} problems of the primary suites; "
        f"{spec.min_problems} are required before a promotion."
    )


def _gain(primary: Comparison, spec: GateSpec) -> list[tuple[bool, str]]:
    significant = primary.p_value <= spec.alpha
    gained = primary.difference >= spec.min_gain
    return [
        (
            gained,
            f"Accuracy on the primary suites goes from {primary.incumbent_accuracy:.3f} to "
            f"{primary.candidate_accuracy:.3f} ({primary.difference:+.3f}), "
            f"{'at least' if gained else 'less than'} the required gain of {spec.min_gain:g}.",
        ),
        (
            significant,
            f"The candidate wins {primary.wins} problems and loses {primary.losses}: one-sided "
            f"exact McNemar p = {primary.p_value:.3g}, {'within' if significant else 'above'} "
            f"alpha = {spec.alpha:g}.",
        ),
    ]


def _paired(suite: PairedSuite, spec: GateSpec) -> list[tuple[bool, str]]:
    total = len(suite.outcomes) + suite.num_unpaired
    share = suite.num_unpaired / total
    if share <= spec.max_unpaired_share:
        return []
    return [
        (
            False,
            f"Suite {suite.name}: {suite.num_unpaired} of {total} problems were answered by one "
            f"model only ({share:.1%}, allowed {spec.max_unpaired_share:.1%}); evaluate them "
            "again.",
        )
    ]


def _not_worse(comparison: Comparison, spec: GateSpec) -> list[tuple[bool, str]]:
    if spec.non_inferiority == "off":
        return []
    bound = spec.non_inferiority == "confidence"
    lowest = comparison.lower_bound if bound else comparison.difference
    passed = lowest >= -spec.non_inferiority_margin
    what = f"with a lower {spec.confidence:.0%} bound of {lowest:+.3f}" if bound else "as observed"
    return [
        (
            passed,
            f"Suite {comparison.name}: accuracy changes by {comparison.difference:+.3f} "
            f"({comparison.incumbent_accuracy:.3f} to {comparison.candidate_accuracy:.3f} on "
            f"{comparison.num_problems} problems) {what}, {'within' if passed else 'beyond'} the "
            f"allowed loss of {spec.non_inferiority_margin:g}.",
        )
    ]


def _no_level_worse(
    suite: str, levels: Sequence[Comparison], spec: GateSpec
) -> list[tuple[bool, str]]:
    if spec.max_difficulty_drop is None:
        return []
    return [
        (
            False,
            f"Suite {suite}, {level.name}: accuracy falls from {level.incumbent_accuracy:.3f} to "
            f"{level.candidate_accuracy:.3f} on {level.num_problems} problems, more than the "
            f"allowed {spec.max_difficulty_drop:g}.",
        )
        for level in levels
        if level.difference < -spec.max_difficulty_drop
    ]
