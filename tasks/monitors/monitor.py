"""All monitors of a round's rows in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tasks.headroom import Headroom
from tasks.monitors.judge_signatures import JUDGE_CHECKS
from tasks.monitors.signatures import CHECKS, VOTE_CHECKS
from tasks.monitors.spec import Finding, MonitorSpec, with_actions
from tasks.round_metrics import RoundMetrics

LabelSource = Literal["votes", "references", "judge", "execution", "none"]


def monitor_round(
    metrics: RoundMetrics,
    earlier: Sequence[RoundMetrics],
    spec: MonitorSpec | None = None,
    *,
    labels: LabelSource,
    headroom: Headroom | None = None,
) -> list[Finding]:
    """Returns all findings of a round with what is to be done about them, stops first.

    Args:
        metrics: Metrics of the round.
        earlier: Metrics of the run's earlier rounds, oldest first.
        spec: Thresholds; the defaults when None.
        labels: What the recipe's labels rest on: 'votes', 'references' where it knows the answers,
            a 'judge', 'execution' of its own tests, or 'none'. Only votes are judged as votes.
        headroom: The measurement taken before the round, where there is one.
    """
    spec = spec or MonitorSpec()
    checks = (*CHECKS, *JUDGE_CHECKS, *(VOTE_CHECKS if labels == "votes" else ()))
    found = [check(metrics, earlier, spec) for check in checks]
    return with_actions([*found, no_headroom(metrics, labels, headroom)], spec)


def no_headroom(
    metrics: RoundMetrics, labels: LabelSource, headroom: Headroom | None = None
) -> Finding | None:
    """Returns a finding when the round's labels are no better than the model's greedy answers.

    Args:
        metrics: Metrics of the round, used when no headroom was measured before it.
        labels: Where labels come from.
        headroom: The measurement taken before the round.

    Returns:
        A stop when votes are significantly worse than greedy answers, a warning when the loop's
        kind of label brings nothing, else None.
    """
    if headroom is None:
        gain = metrics.majority_gain
        if labels != "votes" or gain is None or gain > 0.0:
            return None
        if (metrics.majority_accuracy or 0.0) >= 0.99:
            return None
        return Finding(
            "no_headroom",
            "warn",
            f"On this round's prompts majority answers are {gain:+.3f} against greedy answers: "
            "training on them brings nothing. Use known answers, or train the base longer.",
            gain,
            0.0,
        )
    if headroom.loop == "label_free" or (headroom.loop == "labels" and labels != "votes"):
        return None
    worse = labels == "votes" and headroom.vote_gain_interval.high < 0.0
    gain = headroom.vote_gain if labels == "votes" else headroom.verification_gain
    return Finding(
        "no_headroom",
        "stop" if worse else "warn",
        headroom.reason + (" This loop learns from votes and would get worse." if worse else ""),
        gain,
        0.0,
    )
