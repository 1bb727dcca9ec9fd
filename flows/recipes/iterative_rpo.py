"""Iterative RPO: Iterative Reasoning Preference Optimization.

arXiv 2404.19733. Answers are known: right samples are preferred to wrong ones, with a likelihood
term on the right one:

    loss = DPO(beta = 0.1, reference = M_t) + alpha * NLL(chosen) / |chosen|,  alpha = 1

Differs from the paper: the step is not chosen on 1,000 held-out train rows (the gate decides), and
gold solutions are never added.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.recipes.schedule import Schedule
from flows.stages import Stages
from tasks.data_mix import TrainingTable
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec


class IterativeRPO(RecipeConfig):
    """Settings of Iterative RPO."""

    sampling: SamplingSpec = SamplingSpec(n=30, temperature=0.8)  # section 3.1, GSM8K
    schedule: Schedule = Field(
        default={"sampling.temperature": [0.8, 0.8, 1.3]}
    )  # section 3.1: wrong samples run out
    max_pairs: int = Field(default=10, ge=1, description="Most pairs per problem.")  # 3.1, K
    unparsed_is_wrong: bool = Field(
        default=True, description="Whether a sample without an answer counts as wrong."
    )
    training: TrainingSpec = TrainingSpec(
        method="dpo", beta=0.1, nll_weight=1.0, learning_rate=7e-7, batch_size=16, steps=5000
    )  # section 3.1


def compose(stages: Stages, config: IterativeRPO) -> TrainingTable:
    """Sample, check, and pair right with wrong samples of the same problem."""
    stages.sample(config.prompts, config.sampling)
    stages.vote()
    parameters = {"max_pairs": config.max_pairs, "unparsed_is_wrong": config.unparsed_is_wrong}
    return stages.select(Selection("reference_pairs", parameters))


RECIPE = Recipe(
    name="iterative_rpo",
    title="Iterative Reasoning Preference Optimization",
    paper="2404.19733",
    labels="answers",
    reported="GSM8K 55.6 -> 73.1, 78.0, 81.1, 81.6 (Llama-2-70B-chat); without the NLL term 61.8",
    config=IterativeRPO,
    compose=compose,
    labels_from="references",
)
