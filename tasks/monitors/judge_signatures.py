"""Failure signatures of judges, from the statistics that a round keeps of each of its judges.

Where they were seen: a meta-judge that picked the higher score 97.7% of the time and the first
position 68% of the time, with mean scores that drift towards the maximum, in Meta-Rewarding
(2407.19594); rankings of consecutive rounds that contradict each other in CREAM (2410.12735).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tasks.monitors.signatures import Check, severity_of
from tasks.monitors.spec import Finding, MonitorSpec
from tasks.round_metrics import RoundMetrics


def judge_collapse(
    metrics: RoundMetrics, earlier: Sequence[RoundMetrics], spec: MonitorSpec
) -> Finding | None:
    """Returns a finding when a judge says nearly always the same."""
    for name, found in _judges(metrics):
        share = found.get("top_score_share")
        if share is None or found.get("num_judgements", 0) < spec.min_judgements:
            continue
        # Where nearly all answers are right, a good judge says nearly always the same.
        if found.get("reference_agreement", 0.0) >= spec.min_reference_agreement:
            continue
        if share <= spec.warn_top_score_share:
            continue
        levels = spec.warn_top_score_share, spec.stop_top_score_share
        severity, threshold = severity_of(share, *levels)
        return Finding(
            "judge_collapse",
            severity,
            f"Judge {name!r} says one and the same in {share:.1%} of "
            f"{found['num_judgements']:.0f} judgements (accepted: {threshold:.1%}), with an "
            f"entropy of {found.get('score_entropy', 0.0):.3f} nats: its scores select by chance. "
            "Use an earlier model as the judge, or stop training it.",
            share,
            threshold,
        )
    return None


def position_bias(
    metrics: RoundMetrics, earlier: Sequence[RoundMetrics], spec: MonitorSpec
) -> Finding | None:
    """Returns a finding when a pair judge decides by position."""
    for name, found in _judges(metrics):
        if found.get("num_pairs", 0) < spec.min_judgements:
            continue
        first = found.get("first_share", 0.5)
        share = max(first, 1.0 - first)
        if share > spec.warn_first_share:
            levels = spec.warn_first_share, spec.stop_first_share
            severity, threshold = severity_of(share, *levels)
            place = "first" if first > 0.5 else "second"
            return Finding(
                "position_bias",
                severity,
                f"Judge {name!r} prefers the answer that is shown {place} in {share:.1%} of its "
                f"judgements (accepted: {threshold:.1%}). Count a pair whose two orders disagree "
                "as no opinion, or use another judge.",
                share,
                threshold,
            )
        swap = found.get("swap_consistency", 1.0)
        if swap < spec.min_swap_consistency:
            return Finding(
                "position_bias",
                "warn",
                f"Of the pairs that judge {name!r} saw, {swap:.1%} have one winner in both orders "
                f"(accepted: {spec.min_swap_consistency:.1%}). Most of its opinions are noise: "
                "take more judgements, or another judge.",
                swap,
                spec.min_swap_consistency,
            )
    return None


def judge_drift(
    metrics: RoundMetrics, earlier: Sequence[RoundMetrics], spec: MonitorSpec
) -> Finding | None:
    """Returns a stop when the rankings of two rounds' models contradict each other."""
    tau = metrics.rewards.get("tau")
    if tau is None or metrics.rewards.get("num_ranked", 0) < spec.min_prompts:
        return None
    if tau > spec.min_tau:
        return None
    return Finding(
        "judge_drift",
        "stop",
        f"Kendall's tau between the rankings of this round's model and the one before it is "
        f"{tau:.3f} over {metrics.rewards['num_ranked']} prompts; more than {spec.min_tau:g} is "
        "needed. Its preferences are not those that trained it: go back to the model before.",
        tau,
        spec.min_tau,
    )


def _judges(metrics: RoundMetrics) -> Iterator[tuple[str, Mapping[str, float]]]:
    """Name and statistics over all difficulties of every judge."""
    for name, levels in sorted(metrics.judges.items()):
        if "all" in levels:
            yield name, levels["all"]


JUDGE_CHECKS: tuple[Check, ...] = (judge_collapse, position_bias, judge_drift)
