"""Failure signatures that only the evaluated candidate shows, against the run's first model.

The gate compares a candidate with the incumbent. Losses too small for it add up over the rounds:
against the first model they show. Both checks pair the models problem by problem.

Where they were seen: a vote of eight that stays flat while greedy accuracy rises in ScPO
(2411.04109); a pass@64 that falls while the mean of samples rises in Co-rewarding (2508.00410);
GSM8K from 60.3 to 57.7 under a rising win rate in Self-Rewarding (2401.10020); MATH from 29.3 to
24.4 under a rising mean of three benchmarks in ReST-MCTS* (2406.03816).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tasks.evaluation.metrics import ProblemResult, bootstrap_means, pass_at_k
from tasks.evaluation.paired import mcnemar_p_value
from tasks.monitors.spec import Finding, MonitorSpec

Results = Sequence[ProblemResult]


def spent_diversity(first: Results, candidate: Results, spec: MonitorSpec) -> Finding | None:
    """Returns a warning when greedy answers got better and fewer problems are solved by any sample.

    Args:
        first: The run's first model on the held-out problems.
        candidate: The candidate on the same problems.
        spec: Thresholds.
    """
    pairs = _paired(first, candidate)
    greedy = [(a.greedy_correct, b.greedy_correct) for a, b in pairs]
    gain = sum(bool(b) - bool(a) for a, b in greedy if a is not None and b is not None)
    drawn = [(a, b) for a, b in pairs if a.correct and b.correct]
    if gain <= 0 or not drawn:
        return None
    k = min(len(model.correct) for pair in drawn for model in pair)
    if k < 2:
        return None
    before, after = (
        pass_at_k([len(m.correct) for m in models], [sum(m.correct) for m in models], k)
        for models in zip(*drawn, strict=True)
    )
    change = after - before
    highest = float(np.quantile(bootstrap_means(change, seed=0), 0.95))
    drop = -float(change.mean())
    if drop <= spec.max_pass_at_k_drop or highest >= 0.0:
        return None
    return Finding(
        "spent_diversity",
        "warn",
        f"Held-out pass@{k} fell from {before.mean():.3f} with the run's first model to "
        f"{after.mean():.3f}, by {drop:.3f} (accepted: {spec.max_pass_at_k_drop:g}), while greedy "
        "answers got better: the model says fewer things more surely. Raise the temperature, add "
        "prompts, or start rounds from the base.",
        drop,
        spec.max_pass_at_k_drop,
    )


def hidden_regression(groups: Mapping[str, Sequence[Results]], spec: MonitorSpec) -> Finding | None:
    """Returns a warning when the mean over groups of problems rises and one group falls.

    Args:
        groups: The run's first model and the candidate on each group: a suite, or one difficulty.
        spec: Thresholds.

    Source:
        The exact one-sided sign test on the problems that differ (McNemar), its level shared by the
        groups (Bonferroni).
    """
    changes: dict[str, tuple[float, float]] = {}
    for name, (first, candidate) in groups.items():
        marks = [
            (a.greedy_correct, b.greedy_correct)
            for a, b in _paired(first, candidate)
            if a.greedy_correct is not None and b.greedy_correct is not None
        ]
        if marks:
            wins = sum(b and not a for a, b in marks)
            losses = sum(a and not b for a, b in marks)
            changes[name] = ((wins - losses) / len(marks), mcnemar_p_value(losses, wins))
    if len(changes) < 2 or sum(change for change, _ in changes.values()) <= 0:
        return None
    name, (change, p_value) = min(changes.items(), key=lambda item: item[1][1])
    if change >= -spec.max_hidden_loss or p_value * len(changes) > spec.hidden_loss_alpha:
        return None
    return Finding(
        "hidden_regression",
        "warn",
        f"Since the run's first model, {name} lost {-change:.3f} of its problems (p = "
        f"{p_value:.2g}; accepted: {spec.max_hidden_loss:g}), while the mean over all "
        f"{len(changes)} groups rose. Name it in gate.primary_suites, replay its data, or roll "
        "back.",
        -change,
        spec.max_hidden_loss,
    )


def _paired(first: Results, candidate: Results) -> list[tuple[ProblemResult, ProblemResult]]:
    after = {result.prompt_id: result for result in candidate}
    return [(a, after[a.prompt_id]) for a in first if a.prompt_id in after]
