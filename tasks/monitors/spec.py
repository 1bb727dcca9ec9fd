"""Thresholds of the monitors, and what a monitor reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Severity = Literal["stop", "warn"]


def _share(default: float, description: str) -> float:
    value: float = Field(default=default, ge=0.0, le=1.0, description=description)
    return value


class MonitorSpec(BaseModel):
    """Thresholds of the monitors. Shares are of 1; a finding appears beyond its threshold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
        "log-probability by more than this, in nats per token. Any drop warns.",
    )
    min_training_rows: int = Field(
        default=32, ge=1, description="Stop when a round selects fewer training rows than this."
    )
    min_rows_ratio: float = _share(
        0.25, "Warn when a round selects less than this part of the previous round's rows."
    )
    warn_outage_share: float = _share(0.02, "Warn above this share of samples or runs lost.")
    stop_outage_share: float = _share(0.2, "Stop above this share of samples or runs lost.")

    @model_validator(mode="after")
    def _warn_before_stop(self) -> MonitorSpec:
        for name in ("truncated_share", "repeating_share", "length_ratio", "outage_share"):
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
        name: Name of the signature, in snake_case.
        severity: 'stop' ends the loop, 'warn' is reported.
        message: A full sentence with the numbers and what to do.
        value: The measured number.
        threshold: The bound it crossed.
    """

    name: str
    severity: Severity
    message: str
    value: float
    threshold: float

    def __str__(self) -> str:
        """Returns the line kept in `rounds.monitor_findings`."""
        return f"{self.severity}: {self.name}: {self.message}"
