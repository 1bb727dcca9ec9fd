"""ReST-EM: Beyond Human Data: Scaling Self-Training for Problem-Solving with Language Models.

arXiv 2312.06585. Answers are known, solutions are not:

    D_i = {(x, y) : y ~ p_i(y|x), reward(x, y) = 1}, at most 10 y per x
    p_{i+1} = argmax_theta  E_{D_i} log p_theta(y|x), starting from the base model

Differs from the paper: training ends after a fixed number of steps, not when the validation reward
stops rising (the gate decides instead); learning rate and batch are not published, ours are named
below; the few-shot prompt is the environment's own.
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


class RestEM(RecipeConfig):
    """Settings of ReST-EM."""

    sampling: SamplingSpec = SamplingSpec(n=32, temperature=0.7, top_k=40)  # section 4, MATH
    max_per_prompt: int = Field(
        default=10, ge=1, description="Most right solutions kept per problem."
    )  # section 4
    start_from: Literal["base", "previous"] = "base"  # algorithm 1; figure 7 compares both
    training: TrainingSpec = TrainingSpec(
        method="sft", learning_rate=1e-5, epochs=2, lr_schedule="cosine"
    )  # not published; chosen as for RFT and SelfCodeAlign


def compose(stages: Stages, config: RestEM) -> TrainingTable:
    """E-step: sample, check, keep the right ones. The M-step follows in the round."""
    stages.sample(config.prompts, config.sampling)
    stages.vote()
    return stages.select(Selection("reference_correct", {"max_per_prompt": config.max_per_prompt}))


RECIPE = Recipe(
    name="rest_em",
    title="Beyond Human Data: Scaling Self-Training for Problem-Solving with Language Models",
    paper="2312.06585",
    labels="answers",
    reported="MATH test +6.34 points (PaLM 2-L), APPS +6.4; the second APPS round overfits",
    config=RestEM,
    compose=compose,
    labels_from="references",
)
