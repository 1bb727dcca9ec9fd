"""Whether a candidate replaces the incumbent: a paired exact test, non-inferiority per suite.

Both models answer the same problems, so what counts are the problems on which they differ: wins
(the candidate is right more often) and losses. The gate asks whether there are more wins than
chance explains, on the primary suites together, and that no single suite got worse than allowed: a
mean that rises through one small suite must not hide a loss on another.

More wins never turn a promotion into a rejection. The tests check it, and it rests on two choices:
the exact paired test, and a bootstrap whose draws do not depend on the outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from tasks.errors import EvaluationError
from tasks.evaluation.gate_spec import GateSpec
from tasks.evaluation.paired import Comparison, PairedSuite, compare


@dataclass(frozen=True)
class GateStatistics:
    """Everything the decision was taken from.

    Attributes:
        primary: The primary suites together.
        suites: Every suite.
        difficulties: Every difficulty, by suite.
        level: Largest p-value of `primary` that counted as a gain.
        is_significant: Whether the p-value was within it.
    """

    primary: Comparison
    suites: tuple[Comparison, ...]
    difficulties: Mapping[str, tuple[Comparison, ...]]
    level: float
    is_significant: bool


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


def decide(
    suites: Sequence[PairedSuite],
    spec: GateSpec | None = None,
    level: float | None = None,
    others: Sequence[tuple[bool, str]] = (),
) -> GateDecision:
    """Returns whether the candidate replaces the incumbent, with a sentence for every rule.

    Args:
        suites: The suites both models were evaluated on, with distinct names; the first one is
            primary where the rules name none.
        spec: The rules; the defaults when None.
        level: What this test may use of the run's alpha, see `level_of_test`; all of it when None.
        others: Further rules that were checked elsewhere: whether they passed, and a sentence.

    Returns:
        The decision. `reasons` holds one sentence per rule and suite, failed rules first, then the
        change in accuracy and its test.

    Raises:
        EvaluationError: If there is no suite, a name appears twice, a primary suite is missing, or
            primary suites have different numbers of answers per problem.
    """
    spec = spec or GateSpec()
    names = [suite.name for suite in suites]
    missing = [name for name in spec.primary_suites if name not in names]
    if not suites or len(set(names)) != len(names) or missing:
        raise EvaluationError(
            f"suites {names} with primary_suites={list(spec.primary_suites)}; give at least one "
            "suite, each name once, and every primary suite among them"
        )
    primary = [s for s in suites if s.name in (spec.primary_suites or names[:1])]
    pooled, limit = _pooled(primary, spec), spec.alpha if level is None else level
    statistics = GateStatistics(
        primary=pooled,
        suites=tuple(compare(s.name, s.outcomes, spec, s.num_answers) for s in suites),
        difficulties={s.name: _by_difficulty(s, spec) for s in suites},
        level=limit,
        is_significant=pooled.p_value <= limit,
    )
    checks = [*_gain(statistics, spec), _enough(statistics.primary, spec), *others]
    for suite, comparison in zip(suites, statistics.suites, strict=True):
        checks += _paired(suite, spec) + _not_worse(comparison, spec)
        checks += _no_level_worse(suite.name, statistics.difficulties[suite.name], spec)
    checks.sort(key=lambda check: check[0])
    return GateDecision(
        promote=all(passed for passed, _ in checks),
        reasons=[sentence for _, sentence in checks],
        statistics=statistics,
    )


def _pooled(suites: Sequence[PairedSuite], spec: GateSpec) -> Comparison:
    """The problems of several suites together; the same problem may be in two of them."""
    num_answers = {suite.name: suite.num_answers for suite in suites}
    if len(set(num_answers.values())) != 1:
        raise EvaluationError(
            f"primary suites have different numbers of answers per problem ({num_answers}); draw "
            "as many for each, or name primary_suites that have the same number"
        )
    pooled = [
        replace(outcome, prompt_id=f"{suite.name}\0{outcome.prompt_id}")
        for suite in suites
        for outcome in suite.outcomes
    ]
    return compare("primary", pooled, spec, suites[0].num_answers)


def _by_difficulty(suite: PairedSuite, spec: GateSpec) -> tuple[Comparison, ...]:
    levels = sorted({o.difficulty for o in suite.outcomes if o.difficulty is not None})
    return tuple(
        compare(
            f"difficulty {level}",
            [o for o in suite.outcomes if o.difficulty == level],
            spec,
            suite.num_answers,
        )
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


def _gain(statistics: GateStatistics, spec: GateSpec) -> list[tuple[bool, str]]:
    primary, level = statistics.primary, statistics.level
    gained = primary.difference >= spec.min_gain
    limit = f"alpha = {spec.alpha:g}"
    if level != spec.alpha:
        limit = f"{level:.3g}, this test's share of the run's {limit}"
    return [
        (
            gained,
            f"Accuracy on the primary suites goes from {primary.incumbent_accuracy:.3f} to "
            f"{primary.candidate_accuracy:.3f} ({primary.difference:+.3f}), "
            f"{'at least' if gained else 'less than'} the required gain of {spec.min_gain:g}.",
        ),
        (
            statistics.is_significant,
            f"The candidate wins {primary.wins} problems and loses {primary.losses}: one-sided "
            f"exact paired p = {primary.p_value:.3g}, "
            f"{'within' if statistics.is_significant else 'above'} {limit}.",
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
