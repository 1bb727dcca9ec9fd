"""The settings of the gate."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class GateSpec(BaseModel):
    """When a candidate is promoted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha: float = Field(
        default=0.05,
        gt=0.0,
        le=1.0,
        description="Probability that a run which gains nothing promotes anything: the largest "
        "p-value of the one-sided exact paired test that still promotes, shared out among the "
        "rounds by `correction`. 1.0 switches the test off.",
    )
    correction: Literal["fallback", "off"] = Field(
        default="fallback",
        description="How rounds share alpha. fallback: round k's test has its own share, and that "
        "of the test before it where that one found a gain, so that false promotions have "
        "probability alpha over all rounds together. off: every round has all of alpha.",
    )
    planned_rounds: int | None = Field(
        default=None,
        ge=1,
        description="Rounds among which alpha is shared equally; later ones have what was carried "
        "over. Empty: shares 1/2, 1/6, 1/12, ... for any number of rounds.",
    )
    answers: Literal["greedy", "samples"] = Field(
        default="greedy",
        description="What is counted per problem: whether the greedy answer is right, or how many "
        "of evaluation.num_samples answers are, which has less noise.",
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
    contamination: Literal["refuse", "refuse_exact", "name", "off"] = Field(
        default="refuse_exact",
        description="Held-out problems among the rows that the candidate was trained on. "
        "refuse_exact: refuse where a problem's whole text is one of theirs, name those that share "
        "contamination_words words in a row; refuse: refuse for either; name: name both.",
    )
    contamination_words: int = Field(
        default=13, ge=5, le=50, description="Words in a row that make a held-out problem suspect."
    )
    primary_suites: tuple[str, ...] = Field(
        default=(),
        description="Suites on which the candidate must gain, pooled. Empty: the environment's "
        "held-out problems.",
    )
    num_resamples: int = Field(
        default=10_000,
        ge=100,
        le=1_000_000,
        description="Bootstrap resamples for each lower bound.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the bootstrap.")
