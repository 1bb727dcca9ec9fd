"""Length generalization: Self-Improving Transformers Overcome Easy-to-Hard ... Challenges.

arXiv 2502.01612. The model answers problems one step harder than it was trained on and learns from
those answers; labels are only ever shown for the easy slice that it started with.

    round r: prompts of difficulty base + r, answers voted on, confident ones kept
    batch:   newest slice 50 %, base and older slices the rest, by their number of difficulties

With `extend_at` (the paper: accuracy 0.99) the newest slice is the first difficulty after those
that the model masters, so that a slice is taught again until it holds.

With `voters` the models of other runs answer the same problems and an answer needs their votes as
well: what one model gets wrong in all its samples, another one of another seed seldom does.

Differs from the paper: without `voters` votes are over samples of one model at T = 1 (the paper
votes over five models with different seeds), the difficulty only rises after a promoted round,
optimizer state is not carried over, and a monitor stops the loop when agreement on the newest
slice goes. `extend_at` looks at the agreement of held-out samples, which needs no labels (the paper
tests with labels), and no slice is passed over: where 11 digits were answered well but never
taught, 7 % of the unanimous answers to 12 digits were wrong, and 1 % after a round on 11
(docs/length-generalization.md).
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from flows.recipes.config import EnvironmentSpec, PromptSpec, RecipeConfig
from flows.recipes.recipe import Recipe
from flows.sample_stage import sample_pool
from flows.stages import Stages
from tasks.data_mix import MixSpec, TrainingTable
from tasks.evaluation import frontier
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec


class LengthGeneralization(RecipeConfig):
    """Settings of length generalization."""

    environment: EnvironmentSpec = EnvironmentSpec(name="copy")
    prompts: PromptSpec = PromptSpec(num=500)
    sampling: SamplingSpec = SamplingSpec(n=8, temperature=1.0)
    base_difficulty: int = Field(
        default=10, ge=1, description="Hardest problems that the model was ever shown labels for."
    )  # section 4: 10 for copying, 16 for reverse addition
    step: int = Field(default=1, ge=1, description="Difficulty added per promoted round.")
    extend_at: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Agreement of the promoted model's held-out samples from which a difficulty is "
        "mastered; problems come from the first that is not, and at most `step` beyond the last "
        "promoted round's. Needs evaluation.num_samples, and evaluation.difficulties beyond the "
        "base. Empty: `step` further per promoted round.",
    )  # README, schedule "fast": accuracy 0.99 of 2 x 1024 prompts
    min_share: float = Field(
        default=1.0, ge=0, le=1, description="Vote share from which an answer is believed."
    )  # section 6: 4 of 5 models, 5 of 5 in some scripts
    voters: list[str] = Field(
        default_factory=list,
        description="Runs of the same warehouse, from other seeds, whose models vote too. Round n "
        "of each comes before round n + 1 of any.",
    )  # section 6: five models of different seeds
    num_seed_examples: int = Field(
        default=2000, ge=1, description="Labelled examples of the base slice, for replay."
    )
    mix: MixSpec = MixSpec(rounds="all", newest_share=0.5)  # section 4
    training: TrainingSpec = TrainingSpec(
        method="sft", learning_rate=5e-4, adam_beta2=0.98, weight_decay=0.01, batch_size=1024
    )  # section 4

    @model_validator(mode="after")
    def _check_samples(self) -> Self:
        if self.extend_at is not None and not self.evaluation.num_samples:
            raise ValueError(
                "extend_at needs held-out samples; set evaluation.num_samples to 2 or more"
            )
        return self


def compose(stages: Stages, config: LengthGeneralization) -> TrainingTable:
    """Replay the labelled slice, vote one step beyond the frontier, keep confident answers."""
    stages.seed_examples(config.num_seed_examples, list(range(1, config.base_difficulty + 1)))
    newest = config.base_difficulty + config.step * (stages.num_promoted + 1)
    if config.extend_at is not None:
        mastered = frontier(
            stages.agreement(),
            base=config.base_difficulty,
            step=config.step,
            at_least=config.extend_at,
        )
        newest = min(newest, mastered)
    prompts = PromptSpec(num=config.prompts.num, difficulties=[newest])
    stages.sample(prompts, config.sampling)
    sample_pool(stages, prompts, config.sampling, (stages.agent(run) for run in config.voters))
    stages.vote()
    parameters = {"min_share": config.min_share, "max_per_prompt": 1}
    return stages.select(Selection("confident_majority", parameters))


RECIPE = Recipe(
    name="length_generalization",
    title="Self-Improving Transformers Overcome Easy-to-Hard and Length Generalization Challenges",
    paper="2502.01612",
    labels="seed answers",
    reported="copying 1-10 -> beyond 120 digits, reverse addition 1-16 -> beyond 100",
    config=LengthGeneralization,
    compose=compose,
    labels_from="votes",
    threshold="min_share",
)
