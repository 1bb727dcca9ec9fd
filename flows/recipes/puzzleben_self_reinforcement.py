"""Self-Reinforcement: Optimizing Language Model's Reasoning Abilities with Weak Supervision.

arXiv 2405.04086 (PuzzleBen). A small set of solutions, then none: the tuned model's answers are
preferred to those of the model that it was tuned from.

    round 1: M_1 = SFT(M_0) on a small set of solved problems
    round t: on problems without solutions, y_s ~ M_{t-1}, y_w ~ M_0
    M_t = DPO(M_{t-1}) on (x, y_s, y_w), kept where y_s passes the self-filter

Differs from the paper: the self-filter, where the model itself judges whether its answer is
better, is that a preferred sample has an answer at all; answers of equal texts are no pair. Round 1
is done again until the gate promotes its model: without one there is nothing to prefer. Learning
rates, batch, temperature and sizes are not published in the sources at hand; ours are chosen.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import PromptSpec, RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.data_mix import TrainingTable
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec


class SelfReinforcement(RecipeConfig):
    """Settings of Self-Reinforcement."""

    solved_prompts: PromptSpec = Field(
        default=PromptSpec(num=400), description="Problems whose solutions round 1 learns."
    )
    solved_training: TrainingSpec = Field(
        default=TrainingSpec(method="sft", learning_rate=1e-5, epochs=3, batch_size=64),
        description="How round 1 learns them.",
    )  # not published
    sampling: SamplingSpec = SamplingSpec(n=1, temperature=0.7)  # not published
    max_pairs: int = Field(default=1, ge=1, description="Most pairs per problem.")
    training: TrainingSpec = TrainingSpec(
        method="dpo", beta=0.1, learning_rate=5e-7, epochs=1, batch_size=64
    )  # not published, apart from DPO


def compose(stages: Stages, config: SelfReinforcement) -> TrainingTable:
    """Learn solutions first; then prefer what the tuned model says to what the base says."""
    if stages.num_promoted == 0:
        stages.labelled(config.solved_prompts)
        stages.train_by(config.solved_training)
        return stages.select(Selection("policy_examples"))
    stages.sample(config.prompts, config.sampling)
    stages.sample(config.prompts, config.sampling, model=stages.base, name="base")
    parameters = {
        "chosen_policy": stages.incumbent.id,
        "rejected_policy": stages.base.id,
        "needs_answer": True,
        "max_pairs": config.max_pairs,
    }
    return stages.select(Selection("policy_pairs", parameters))


RECIPE = Recipe(
    name="puzzleben_self_reinforcement",
    title="Optimizing Language Model's Reasoning Abilities with Weak Supervision",
    paper="2405.04086",
    labels="solutions",
    reported="PuzzleBen 10.4 -> 37.8",
    config=SelfReinforcement,
    compose=compose,
    labels_from="none",
)
