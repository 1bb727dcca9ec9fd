"""Failure signatures of self-training, recognized from a round's metrics and the rounds before it.

Every check is a pure function `(metrics, earlier, spec) -> Finding | None`; `earlier` is oldest
first. A `stop` ends the loop before training and leaves the incumbent in place, a `warn` goes into
the report. Stops of a label-free loop never need a reference answer.

Where the signatures were seen: constant answers and repetition in Co-rewarding (2508.00410), TTRL
and RESTRAIN (2510.02172); length growth in Self-Rewarding (2401.10020); spent diversity in ScPO
(2411.04109) and Iterative RPO (2404.19733), which also shows the falling log-probability of chosen
answers; the error avalanche in length generalization (2502.01612).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tasks.monitors.spec import Finding, MonitorName, MonitorSpec, Severity
from tasks.round_metrics import RoundMetrics

# Verdicts that say nothing about the program: the sandbox failed or refused.
_OUTAGE_VERDICTS = ("sandbox_fault", "not_run")

Check = Callable[[RoundMetrics, Sequence[RoundMetrics], MonitorSpec], Finding | None]


def constant_answer(
    metrics: RoundMetrics, earlier: Sequence[RoundMetrics], spec: MonitorSpec
) -> Finding | None:
    """Returns a stop when different prompts get one and the same answer."""
    share = metrics.top_answer_share
    if share is None or metrics.num_voted_prompts < spec.min_prompts:
        return None
    # A task may have few possible answers ("yes"): what references or the first round show is
    # normal.
    first = next((m.top_answer_share for m in earlier if m.top_answer_share is not None), 0.0)
    normal, source = first, "in the first round"
    if metrics.top_reference_share is not None:
        normal, source = metrics.top_reference_share, "among references"
    threshold = max(spec.max_top_answer_share, normal + spec.top_answer_excess)
    if share <= threshold:
        return None
    return Finding(
        "constant_answer",
        "stop",
        f"{share:.1%} of {metrics.num_voted_prompts} different prompts get the answer "
        f"{_short(metrics.top_answer)}; the most common answer has {normal:.1%} {source}, and at "
        f"most {threshold:.1%} is accepted. The votes reward a constant: go back to an earlier "
        "model.",
        share,
        threshold,
    )


def truncation(
    metrics: RoundMetrics, earlier: Sequence[RoundMetrics], spec: MonitorSpec
) -> Finding | None:
    """Returns a finding when many samples run into the token limit."""
    return _above(
        "truncation",
        metrics.truncated_share,
        (spec.warn_truncated_share, spec.stop_truncated_share),
        "of samples were cut off at the token limit",
        "Raise max_new_tokens, or go back to an earlier model if the text repeats.",
    )


def repetition(
    metrics: RoundMetrics, earlier: Sequence[RoundMetrics], spec: MonitorSpec
) -> Finding | None:
    """Returns a finding when many samples repeat the same characters."""
    return _above(
        "repetition",
        metrics.repeating_share,
        (spec.warn_repeating_share, spec.stop_repeating_share),
        "of samples repeat themselves (over 70% of their 8-character windows)",
        "Lower the learning rate or go back to an earlier model.",
    )


def outage(
    metrics: RoundMetrics, earlier: Sequence[RoundMetrics], spec: MonitorSpec
) -> Finding | None:
    """Returns a finding when the engine or the sandbox failed on many rows."""
    runs = sum(metrics.verdicts.values())
    lost = sum(metrics.verdicts.get(name, 0) for name in _OUTAGE_VERDICTS)
    shares = (metrics.error_share, metrics.lost_score_share, lost / runs if runs else None)
    return _above(
        "outage",
        max((share for share in shares if share), default=None),
        (spec.warn_outage_share, spec.stop_outage_share),
        "of samples, scores or program runs were lost to the engine, a judge or the sandbox",
        "Repair the cause and run the round again: what is left may not be representative.",
    )


def length_drift(
    metrics: RoundMetrics, earlier: Sequence[RoundMetrics], spec: MonitorSpec
) -> Finding | None:
    """Returns a finding when samples grow or shrink against the first round."""
    # Harder problems need longer answers: a loop that extends its difficulty is compared with
    # nothing.
    same = [m for m in earlier if m.newest_difficulty == metrics.newest_difficulty]
    first = next((m.mean_tokens for m in same if m.mean_tokens), None)
    if not first or not metrics.mean_tokens:
        return None
    ratio = max(metrics.mean_tokens / first, first / metrics.mean_tokens)
    if ratio <= spec.warn_length_ratio:
        return None
    severity, threshold = severity_of(ratio, spec.warn_length_ratio, spec.stop_length_ratio)
    return Finding(
        "length_drift",
        severity,
        f"Samples have {metrics.mean_tokens:.1f} tokens on average against {first:.1f} in the "
        f"first round, a factor of {ratio:.2f} (accepted: {threshold:g}). Control length in the "
        "selection.",
        ratio,
        threshold,
    )


def diversity_loss(
    metrics: RoundMetrics, earlier: Sequence[RoundMetrics], spec: MonitorSpec
) -> Finding | None:
    """Returns a warning when a prompt's samples hardly differ though not all labels are right."""
    seen = [m.distinct_answers_per_prompt for m in earlier if m.distinct_answers_per_prompt]
    now = metrics.distinct_answers_per_prompt
    if not seen or now is None or (metrics.majority_accuracy or 0.0) >= 0.99:
        return None
    first = seen[0]
    threshold = spec.min_distinct_ratio * first
    if now >= threshold:
        return None
    return Finding(
        "diversity_loss",
        "warn",
        f"Prompts have {now:.2f} distinct answers on average against {first:.2f} in the first "
        f"round (accepted: {threshold:.2f}). Raise the temperature or add prompts: votes learn "
        "little here.",
        now,
        threshold,
    )


def error_avalanche(
    metrics: RoundMetrics, earlier: Sequence[RoundMetrics], spec: MonitorSpec
) -> Finding | None:
    """Returns a stop when agreement on the newest slice is low or has fallen sharply.

    No labels are needed. Measured: slices labeled 97 to 98% right were followed one round later by
    70 to 87% and never recovered, so the slice must not be trained on once agreement goes.
    """
    bounds = {
        "mean majority share": (
            metrics.newest_majority_share,
            spec.min_newest_majority_share,
            [m.newest_majority_share for m in earlier],
        ),
        "unanimous share": (
            metrics.newest_unanimous_coverage,
            spec.min_newest_unanimous,
            [m.newest_unanimous_coverage for m in earlier],
        ),
    }
    for name, (value, lowest, before) in bounds.items():
        if value is None:
            continue
        last = next((v for v in reversed(before) if v is not None), None)
        floor = max(lowest, last - spec.max_newest_drop if last is not None else 0.0)
        if value >= floor:
            continue
        was = "" if last is None else f" after {last:.3f} in the round before"
        newest = metrics.newest_difficulty
        level = "" if newest is None else f" (difficulty {newest})"
        return Finding(
            "error_avalanche",
            "stop",
            f"On the newest slice{level} the {name} of the votes is {value:.3f}{was}; at least "
            f"{floor:.3f} is needed. Labels made now would teach errors that the next round "
            "repeats: keep the incumbent, train longer on known slices, or take a smaller step.",
            value,
            floor,
        )
    return None


def label_accuracy(
    metrics: RoundMetrics, earlier: Sequence[RoundMetrics], spec: MonitorSpec
) -> Finding | None:
    """Returns a warning when self-made labels are often wrong, where references can tell."""
    value = metrics.selected_accuracy
    if value is None or value >= spec.min_label_accuracy:
        return None
    return Finding(
        "label_accuracy",
        "warn",
        f"{value:.1%} of the selected completions are right by the references, which only "
        f"monitoring sees (accepted: {spec.min_label_accuracy:.1%}). Demand a larger vote share.",
        value,
        spec.min_label_accuracy,
    )


def chosen_logprob(
    metrics: RoundMetrics, earlier: Sequence[RoundMetrics], spec: MonitorSpec
) -> Finding | None:
    """Returns a finding when preference training made the chosen completions less likely."""
    start, end = metrics.chosen_logprob_start, metrics.chosen_logprob_end
    if start is None or end is None:
        return None
    drop = start - end
    stop = drop > spec.max_chosen_logprob_drop
    if not stop and drop <= spec.warn_chosen_logprob_drop:
        return None
    before, after = metrics.rejected_logprob_start, metrics.rejected_logprob_end
    both = before is not None and after is not None
    rejected = f", that of the rejected ones from {before:.3f} to {after:.3f}" if both else ""
    threshold = spec.max_chosen_logprob_drop if stop else spec.warn_chosen_logprob_drop
    return Finding(
        "chosen_logprob",
        "stop" if stop else "warn",
        f"Training lowered the chosen completions' mean log-probability from {start:.3f} to "
        f"{end:.3f} nats per token, by {drop:.3f} (accepted: {threshold:g}){rejected}. "
        "A margin that grows by unlearning both is no gain: raise the "
        "weight of the NLL term or lower the learning rate.",
        drop,
        threshold,
    )


def training_rows(
    metrics: RoundMetrics, earlier: Sequence[RoundMetrics], spec: MonitorSpec
) -> Finding | None:
    """Returns a finding when a round selects too few rows, or far fewer than the round before."""
    number = metrics.num_selected
    if number < spec.min_training_rows:
        return Finding(
            "training_rows",
            "stop",
            f"The round selected {number} training rows from {metrics.num_samples} samples; at "
            f"least {spec.min_training_rows} are needed. Draw more samples or loosen the "
            "selection.",
            number,
            spec.min_training_rows,
        )
    # Pairs that become fewer are for `wrong_answers` to judge.
    before = earlier[-1].num_selected if earlier and not metrics.num_pairs else 0
    threshold = spec.min_rows_ratio * before
    if number >= threshold:
        return None
    return Finding(
        "training_rows",
        "warn",
        f"The round selected {number} training rows after {before} in the round before (accepted: "
        f"{threshold:.0f}). Loosen the selection, or draw more samples.",
        number,
        threshold,
    )


def wrong_answers(
    metrics: RoundMetrics, earlier: Sequence[RoundMetrics], spec: MonitorSpec
) -> Finding | None:
    """Returns a warning when preference pairs run out because few answers are wrong."""
    rates = [m.num_pairs / m.num_prompts for m in (*earlier, metrics) if m.num_pairs]
    if len(rates) < 2 or not metrics.num_pairs:
        return None
    threshold = spec.min_pairs_ratio * rates[0]
    if rates[-1] >= threshold:
        return None
    disputed = metrics.disputed_share
    why = "" if disputed is None else f"; {disputed:.1%} of prompts have more than one answer"
    return Finding(
        "wrong_answers",
        "warn",
        f"There are {rates[-1]:.2f} pairs per prompt against {rates[0]:.2f} in the first round "
        f"with pairs (accepted: {threshold:.2f}){why}. Wrong answers run out: raise the "
        "temperature, or take harder prompts.",
        rates[-1],
        threshold,
    )


def length_bias(
    metrics: RoundMetrics, earlier: Sequence[RoundMetrics], spec: MonitorSpec
) -> Finding | None:
    """Returns a finding when longer completions are preferred: length then grows by training."""
    if not metrics.chosen_tokens or not metrics.rejected_tokens:
        return None
    ratio = metrics.chosen_tokens / metrics.rejected_tokens
    if ratio <= spec.warn_pair_length_ratio:
        return None
    levels = spec.warn_pair_length_ratio, spec.stop_pair_length_ratio
    severity, threshold = severity_of(ratio, *levels)
    return Finding(
        "length_bias",
        severity,
        f"Chosen completions have {metrics.chosen_tokens:.1f} tokens on average, rejected ones "
        f"{metrics.rejected_tokens:.1f}, a factor of {ratio:.2f} (accepted: {threshold:g}). What "
        "prefers them may like length alone: control it with the filter length_band.",
        ratio,
        threshold,
    )


# Checks that hold for every loop, and those that judge votes used as labels.
CHECKS: tuple[Check, ...] = (
    constant_answer,
    truncation,
    repetition,
    outage,
    length_drift,
    diversity_loss,
    label_accuracy,
    chosen_logprob,
    training_rows,
    wrong_answers,
    length_bias,
)
VOTE_CHECKS: tuple[Check, ...] = (error_avalanche,)


def _above(
    name: MonitorName, value: float | None, levels: tuple[float, float], what: str, advice: str
) -> Finding | None:
    if value is None or value <= levels[0]:
        return None
    severity, threshold = severity_of(value, *levels)
    message = f"{value:.1%} {what} (accepted: {threshold:.1%}). {advice}"
    return Finding(name, severity, message, value, threshold)


def severity_of(value: float, warn: float, stop: float) -> tuple[Severity, float]:
    """What a value above `warn` means, and the threshold that it crossed."""
    return ("stop", stop) if value > stop else ("warn", warn)


def _short(answer: str | None) -> str:
    text = repr(answer)
    return text if len(text) <= 40 else text[:37] + "..."
