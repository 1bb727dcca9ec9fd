"""ScPO: Self-Consistency Preference Optimization.

arXiv 2411.04109. No answers: the most voted answer is preferred to the least voted one.

    w(x) = (V(y+) - V(y-)) / k,   kept if V(y+) / k >= tau
    loss = w * DPO(beta = 0.5, reference = M_t) + alpha * w * NLL(y+) / |y+|,  alpha = 1

Differs from the paper: rejected samples come from the same pool of k samples (the paper draws
eight more at T = 1.2), problems are the environment's (no generated ones), and the last epoch is
taken (the gate decides instead of the best epoch on dev).
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


class ScPO(RecipeConfig):
    """Settings of ScPO."""

    sampling: SamplingSpec = SamplingSpec(n=8, temperature=0.7, top_p=0.9)  # section 3
    min_share: float = Field(
        default=0.5, ge=0, le=1, description="tau / k: smallest vote share of the chosen answer."
    )  # section 3
    schedule: Schedule = Field(default={"min_share": [0.5, 0.7]})  # section 3, GSM8K
    max_pairs: int = Field(default=1, ge=1, description="Most pairs per problem.")
    training: TrainingSpec = TrainingSpec(
        method="dpo",
        beta=0.5,
        nll_weight=1.0,
        learning_rate=5e-6,
        lr_schedule="cosine",
        epochs=10,
        batch_size=16,
    )  # section 3


def compose(stages: Stages, config: ScPO) -> TrainingTable:
    """Sample, vote, pair the most with the least voted answer, weighted by the margin."""
    stages.sample(config.prompts, config.sampling)
    stages.vote()
    parameters = {"min_share": config.min_share, "max_pairs": config.max_pairs}
    return stages.select(Selection("vote_pairs", parameters))


RECIPE = Recipe(
    name="scpo",
    title="Self-Consistency Preference Optimization",
    paper="2411.04109",
    labels="none",
    reported="GSM8K greedy 41.2 -> 61.0 -> 63.9, MATH 14.5 -> 17.4 -> 19.7 (Llama-3-8B)",
    config=ScPO,
    compose=compose,
    labels_from="votes",
)
