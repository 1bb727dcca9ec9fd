"""LMSI: Large Language Models Can Self-Improve.

arXiv 2210.11610. No answers: every sample that reaches the majority answer is an example.

    y~(x) = mode of the answers of m = 32 samples at T = 0.7
    D = {(x, r) : answer(r) = y~(x)},  SFT on D from the base model

Differs from the paper: one prompt format instead of four, and a majority needs a minimum share.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.data_mix import TrainingTable
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec


class LMSI(RecipeConfig):
    """Settings of LMSI."""

    sampling: SamplingSpec = SamplingSpec(n=32, temperature=0.7)  # section 4
    min_share: float = Field(
        default=0.5, ge=0, le=1, description="Smallest vote share of a majority that is believed."
    )  # the paper keeps all; confidence and accuracy go together (figure 2)
    max_per_prompt: int = Field(default=32, ge=1, description="Most examples per problem.")
    start_from: Literal["base", "previous"] = "base"  # section 3
    training: TrainingSpec = TrainingSpec(
        method="sft", learning_rate=5e-5, steps=10_000, batch_size=32
    )  # section 4


def compose(stages: Stages, config: LMSI) -> TrainingTable:
    """Sample, vote, keep what agrees with a confident majority."""
    stages.sample(config.prompts, config.sampling)
    stages.vote()
    parameters = {"min_share": config.min_share, "max_per_prompt": config.max_per_prompt}
    return stages.select(Selection("confident_majority", parameters))


RECIPE = Recipe(
    name="lmsi",
    title="Large Language Models Can Self-Improve",
    paper="2210.11610",
    labels="none",
    reported="GSM8K 74.4 -> 82.1, DROP 78.2 -> 83.0, ANLI-A3 63.4 -> 67.9 (PaLM 540B, votes of 32)",
    config=LMSI,
    compose=compose,
    labels_from="votes",
    threshold="min_share",
)
