"""Thresholds of the monitors, and what a monitor reports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Severity = Literal["stop", "warn"]
Correction = Literal["shrink", "hotter", "raise_threshold"]
CORRECTIONS: tuple[Correction, ...] = get_args(Correction)
Action = Literal["ignore", "warn", "stop"] | Correction
MonitorName = Literal[
    "chosen_logprob",
    "constant_answer",
    "diversity_loss",
    "error_avalanche",
    "hidden_regression",
    "judge_collapse",
    "judge_drift",
    "label_accuracy",
    "length_bias",
    "length_drift",
    "no_headroom",
    "outage",
    "position_bias",
    "repetition",
    "spent_diversity",
    "training_rows",
    "truncation",
    "wrong_answers",
]


def _share(default: float, description: str) -> float:
    value: float = Field(default=default, ge=0.0, le=1.0, description=description)
    return value


class MonitorSpec(BaseModel):
    """Thresholds of the monitors. Shares are of 1; a finding appears beyond its threshold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    actions: dict[MonitorName, Action] = Field(
        default_factory=dict,
        description="What a monitor's finding leads to, by the monitor's name, in place of its own "
        "warn or stop: ignore, warn, stop, or a correction of all later rounds: shrink (fewer "
        "training steps), hotter (a higher temperature), raise_threshold (the recipe's own).",
    )
    hotter_factor: float = Field(
        default=1.2, gt=1.0, le=5.0, description="Action hotter: factor on sampling.temperature."
    )
    max_temperature: float = Field(
        default=1.5, gt=0.0, le=5.0, description="Action hotter: no temperature above this."
    )
    shrink_factor: float = Field(
        default=0.5,
        gt=0.0,
        lt=1.0,
        description="Action shrink: factor on training steps (or epochs).",
    )
    raise_threshold_by: float = Field(
        default=0.1,
        gt=0.0,
        description="Action raise_threshold: what is added to the recipe's threshold, in its unit.",
    )
    min_prompts: int = Field(
        default=20, ge=1, description="Fewest voted prompts for checks that compare prompts."
    )
    max_top_answer_share: float = _share(
        0.5, "Stop when one answer is the majority answer of more than this share of prompts."
    )
    top_answer_excess: float = _share(
        0.25, "But only when it exceeds the share in references (or the first round) by this."
    )
    warn_truncated_share: float = _share(0.2, "Warn above this share of samples cut off.")
    stop_truncated_share: float = _share(0.5, "Stop above this share of samples cut off.")
    warn_repeating_share: float = _share(0.1, "Warn above this share of samples in a text loop.")
    stop_repeating_share: float = _share(0.4, "Stop above this share of samples in a text loop.")
    warn_length_ratio: float = Field(
        default=1.5,
        gt=1.0,
        description="Warn when the mean length grows (or shrinks) by this factor against the "
        "first round of the same difficulty.",
    )
    stop_length_ratio: float = Field(
        default=2.5, gt=1.0, description="Stop when it grows or shrinks by this factor."
    )
    warn_pair_length_ratio: float = Field(
        default=1.5,
        gt=1.0,
        description="Warn when chosen completions are longer than rejected ones by this factor.",
    )
    stop_pair_length_ratio: float = Field(
        default=3.0, gt=1.0, description="Stop when they are longer by this factor."
    )
    min_distinct_ratio: float = _share(
        0.5, "Warn when distinct answers per prompt fall below this part of the first round's."
    )
    min_newest_majority_share: float = _share(
        0.4, "Stop a voting loop when the newest slice's mean majority share is below this."
    )
    min_newest_unanimous: float = _share(
        0.0, "Stop a voting loop when less of the newest slice is unanimous than this."
    )
    max_newest_drop: float = _share(
        0.15, "Stop a voting loop when either falls by more than this within one round."
    )
    min_label_accuracy: float = _share(
        0.9, "Warn when self-made labels, where references exist, are less accurate than this."
    )
    max_chosen_logprob_drop: float = Field(
        default=0.5,
        ge=0.0,
        description="Stop when preference training lowers the chosen completions' mean "
        "log-probability by more than this, in nats per token.",
    )
    warn_chosen_logprob_drop: float = Field(
        default=0.05,
        ge=0.0,
        description="Warn when it is lowered by more than this: the first and the last log are of "
        "other batches, and differ by some hundredths.",
    )
    min_training_rows: int = Field(
        default=32, ge=1, description="Stop when a round selects fewer training rows than this."
    )
    min_rows_ratio: float = _share(
        0.25, "Warn when a round selects less than this part of the previous round's rows."
    )
    min_judgements: int = Field(
        default=50, ge=1, description="Fewest judgements (or pairs) for checks of a judge."
    )
    warn_top_score_share: float = _share(
        0.8, "Warn when a judge says one and the same in more than this share of judgements."
    )
    stop_top_score_share: float = _share(
        0.95, "Stop when it says one and the same in more than this share."
    )
    min_reference_agreement: float = _share(
        0.7, "But not when references show that it prefers right answers this often."
    )
    warn_first_share: float = _share(
        0.65, "Warn when a judge prefers one position in more than this share of judgements."
    )
    stop_first_share: float = _share(0.9, "Stop when it does in more than this share.")
    min_swap_consistency: float = _share(
        0.4, "Warn when a smaller share of pairs than this survives the swap of their order."
    )
    min_tau: float = Field(
        default=0.0,
        ge=-1.0,
        le=1.0,
        description="Stop when Kendall's tau between the rankings of two rounds' models is not "
        "above this.",
    )
    min_pairs_ratio: float = _share(
        0.35, "Warn when pairs per prompt fall below this part of the first round's."
    )
    max_pass_at_k_drop: float = _share(
        0.05, "Warn when held-out pass@k falls by more than this while greedy answers get better."
    )
    max_hidden_loss: float = _share(
        0.02, "Warn when one difficulty or suite loses more than this while the mean rises."
    )
    hidden_loss_alpha: float = _share(
        0.05, "Level of the test for such a loss, shared by all difficulties and suites."
    )
    warn_outage_share: float = _share(0.02, "Warn above this share of samples or runs lost.")
    stop_outage_share: float = _share(0.2, "Stop above this share of samples or runs lost.")

    @model_validator(mode="after")
    def _warn_before_stop(self) -> MonitorSpec:
        pairs = ("truncated_share", "repeating_share", "length_ratio", "outage_share")
        for name in (*pairs, "top_score_share", "first_share", "pair_length_ratio"):
            warn, stop = getattr(self, f"warn_{name}"), getattr(self, f"stop_{name}")
            if warn > stop:
                raise ValueError(
                    f"warn_{name}={warn} is above stop_{name}={stop}; a warning has to come first"
                )
        return self


@dataclass(frozen=True)
class Finding:
    """One recognized signature.

    Attributes:
        name: Name of the monitor.
        severity: How bad it is: at 'stop' the round's rows, or its model, must not be used.
        message: A full sentence with the numbers and what to do.
        value: The measured number.
        threshold: The bound it crossed.
        action: What is done about it, if not what the severity says.
    """

    name: MonitorName
    severity: Severity
    message: str
    value: float
    threshold: float
    action: Action | None = None

    @property
    def done(self) -> Action:
        """What is done about it."""
        return self.action or self.severity

    @property
    def withholds(self) -> bool:
        """Whether the loop goes on without this round: bad enough to stop, but to be corrected."""
        return self.severity == "stop" and self.done in CORRECTIONS

    def __str__(self) -> str:
        """Returns the line kept in `rounds.monitor_findings`."""
        return f"{self.done}: {self.name}: {self.message}"


def with_actions(findings: Iterable[Finding | None], spec: MonitorSpec) -> list[Finding]:
    """Returns the findings with the actions of the settings, stops first, ignored ones left out.

    Args:
        findings: What the checks found; None where they found nothing.
        spec: Holds the actions.
    """
    known = [f for f in findings if f is not None]
    named = [replace(f, action=spec.actions.get(f.name)) for f in known]
    kept = [f for f in named if f.done != "ignore"]
    return sorted(kept, key=lambda f: (f.done != "stop", f.severity != "stop"))
