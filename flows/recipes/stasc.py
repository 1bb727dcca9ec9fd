"""STaSC: Self-Taught Self-Correction for Small Language Models.

arXiv 2503.08681. Answers are known; the model learns to correct itself without feedback:

    y1 ~ M(x), y2 ~ M_{n-1}(x, y1, "look again"),  M = M_0 or M_{n-1}
    keep (x, y1, y2) if y2 is right and y1 was wrong ("improving"), or also where y1 was right and
    y2 still is ("non-decreasing")
    M_n = SFT of M_0 or M_{n-1} on y2 given x and y1; the loss is on the correction alone

The three switches make the paper's 2^3 variants: `evolving_initialization`, `evolving_training`
and `only_improving`. `evolving_training` sets `start_from`, the switch that all recipes share.

Differs from the paper: problems are the environment's, not Natural Questions; the reward is 1 or 0
by the environment's check instead of the share of the reference in the answer; the instruction to
look again is the shipped template `retry`. Batch size is not published; 64 was chosen.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.ask import Sample, Template
from tasks.data_mix import TrainingTable
from tasks.demonstrations import Demonstration
from tasks.sampling import SamplingSpec
from tasks.training.spec import TrainingSpec

RETRY = Template.load("retry")


class STaSC(RecipeConfig):
    """Settings of STaSC."""

    sampling: SamplingSpec = SamplingSpec(n=5, temperature=0.6, top_p=0.9)  # the code's defaults
    correction: SamplingSpec = SamplingSpec(n=5, temperature=0.6, top_p=0.9)  # the code's defaults
    evolving_initialization: bool = Field(
        default=False,
        description="First answers by the model of the round before; off: by the run's base.",
    )
    evolving_training: bool = Field(
        default=False,
        description="Train the model of the round before; off: the base. As start_from says it.",
    )
    only_improving: bool = Field(
        default=True,
        description="Keep only corrections of wrong answers; off: also right ones that stay right.",
    )
    start_from: Literal["base", "previous"] = "base"
    training: TrainingSpec = TrainingSpec(
        method="sft", learning_rate=1e-5, epochs=1, batch_size=64
    )  # the code's defaults

    @model_validator(mode="before")
    @classmethod
    def _start_as_the_switch_says(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        start = values.get("start_from", "previous" if values.get("evolving_training") else "base")
        evolving = values.get("evolving_training", start == "previous")
        if evolving != (start == "previous"):
            raise ValueError(
                f"start_from={start!r} with evolving_training={evolving}; give one of the two"
            )
        return {**values, "start_from": start, "evolving_training": evolving}


def compose(stages: Stages, config: STaSC) -> TrainingTable:
    """Answers, corrections of each, and the corrections that are better."""
    first = None if config.evolving_initialization else stages.base
    stages.sample(config.prompts, config.sampling, model=first)
    correct = Sample(
        role="correction", template=RETRY, over="answers", **config.correction.model_dump()
    )
    stages.ask(correct, "correct", graded=("correction",))
    stages.vote()
    keep = {"only_improving": config.only_improving}
    return stages.demonstrate(Demonstration("corrections", RETRY, keep))


RECIPE = Recipe(
    name="stasc",
    title="Self-Taught Self-Correction for Small Language Models",
    paper="2503.08681",
    labels="answers",
    reported="not quoted: the paper's tables were not at hand",
    config=STaSC,
    compose=compose,
    labels_from="references",
)
