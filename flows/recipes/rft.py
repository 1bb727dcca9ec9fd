"""RFT: Scaling Relationship on Learning Mathematical Reasoning with Large Language Models.

arXiv 2308.01825. Answers are known; of the right solutions of a problem, one of each way is kept:

    for k = 100 seeds: r ~ p(x), T = 0.7; keep r if its answer and all its equations are right
    way(r) = its equations in their order; per way the r whose text differs most from the others'
    p' = SFT(p_0, the environment's solutions + one r per way), 3 epochs, lr 2e-5

GSM8K maj1@1, SFT -> RFT k = 100 -> RFT with the samples of several models (U13B): 7B 35.9 -> 41.7
-> 49.3, 7B-2 41.6 -> 47.5 -> 50.3, 13B 43.0 -> 49.1 -> 52.1, 13B-2 50.0 -> 54.8 -> 55.4. Other
models' samples add ways that more samples of one model do not. Code: OFA-Sys/gsm8k-ScRel.

Differs from the paper: "the others" are one text of each other way, so that the order of samples
does not matter (the code: what is kept so far); equations are also found where they are not marked
with <<>>; a way of a program is its syntax tree but for names. The paper has one round.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.sample_stage import sample_pool
from flows.stages import Stages
from tasks.data_mix import TrainingTable
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec


class RFT(RecipeConfig):
    """Settings of rejection sampling fine-tuning."""

    sampling: SamplingSpec = SamplingSpec(n=100, temperature=0.7)  # section 3.3
    models: list[str] = Field(
        default_factory=list,
        description="Models whose samples join the policy's: folders, model ids, seed:NAME or "
        "promoted:RUN.",
    )  # section 3.4: U13B is 7B, 7B-2, 13B and 13B-2
    with_solutions: bool = Field(
        default=True,
        description="Whether the environment's own solutions are learned too; false where it has "
        "answers only.",
    )  # section 3.3
    max_per_prompt: int = Field(
        default=1000, ge=1, description="Most right solutions kept per problem."
    )  # all
    start_from: Literal["base", "previous"] = "base"  # section 3.3
    training: TrainingSpec = TrainingSpec(
        method="sft", learning_rate=2e-5, epochs=3, batch_size=32, lr_schedule="cosine"
    )  # train_7b.sh: 4 per GPU, 8 GPUs

    @property
    def other_models(self) -> list[str]:
        """With the models of the pool."""
        return [*super().other_models, *self.models]


def compose(stages: Stages, config: RFT) -> TrainingTable:
    """Sample every model, check, find the ways, keep one right solution of each."""
    stages.sample(config.prompts, config.sampling)
    sample_pool(
        stages, config.prompts, config.sampling, (stages.model(name) for name in config.models)
    )
    if config.with_solutions:
        stages.labelled(config.prompts)
    stages.vote()
    stages.ways()
    return stages.select(Selection("distinct_ways", {"max_per_prompt": config.max_per_prompt}))


RECIPE = Recipe(
    name="rft",
    title="Scaling Relationship on Learning Mathematical Reasoning with Large Language Models",
    paper="2308.01825",
    labels="answers",
    reported="GSM8K 41.6 -> 47.5, with samples of several models 50.3 (7B-2); 50.0 -> 54.8, 55.4 "
    "(13B-2)",
    config=RFT,
    compose=compose,
    labels_from="references",
)
