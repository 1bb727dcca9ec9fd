"""ENVISIONS: Interactive Evolution, a Neural-Symbolic Self-Training Framework.

arXiv 2406.11736. The environment runs programs and says which are right; there is no teacher:

    K programs y ~ M(x) (self-exploration), K more y' ~ M(x, y) (self-refinement); run all
    reward = right or wrong; among equal ones the likelier program, by its mean log-probability
    pool: the trajectories of all rounds, the best ones of each problem
    SFT of the base on right y given x (L1) and on right y+ given x and wrong y- (L2)

Differs from the paper: the pool is the examples of all rounds, each round's best by their rewards
at that time; every explored program is refined `refinement.n` times. K, the sizes of the pool and
the optimizer settings are not at hand; those below were chosen.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.ask import Sample, Template
from tasks.data_mix import MixSpec, TrainingTable
from tasks.demonstrations import Demonstration
from tasks.sampling import SamplingSpec
from tasks.training.spec import TrainingSpec

REFINE = Template.load("retry")


class Envisions(RecipeConfig):
    """Settings of ENVISIONS."""

    sampling: SamplingSpec = SamplingSpec(n=5, temperature=1.0)  # not at hand; chosen
    refinement: SamplingSpec = Field(
        default=SamplingSpec(n=1, temperature=1.0), description="How programs are refined."
    )  # not at hand; chosen
    max_right: int = Field(
        default=10, ge=1, description="Most right programs of a problem, the likeliest first."
    )
    max_corrected: int = Field(
        default=2, ge=1, description="Most wrong programs of a problem that are shown corrected."
    )
    start_from: Literal["base", "previous"] = "base"
    mix: MixSpec = MixSpec(rounds="all")
    training: TrainingSpec = TrainingSpec(
        method="sft", learning_rate=2e-5, epochs=1, batch_size=64
    )  # not at hand; chosen


def compose(stages: Stages, config: Envisions) -> TrainingTable:
    """Explore, refine, and learn the right programs alone and after wrong ones."""
    stages.sample(config.prompts, config.sampling)
    refine = Sample(
        role="refinement", template=REFINE, over="answers", turn=1, **config.refinement.model_dump()
    )
    stages.ask(refine, "refine", graded=("refinement",))
    stages.vote()
    return stages.demonstrate(
        Demonstration("trajectories", parameters={"most": config.max_right}, name="right"),
        Demonstration(
            "trajectories",
            REFINE,
            {"learn": "corrected", "most": config.max_corrected},
            "corrected",
        ),
    )


RECIPE = Recipe(
    name="envisions",
    title="Interactive Evolution: A Neural-Symbolic Self-Training Framework For Large Language "
    "Models",
    paper="2406.11736",
    labels="answers",
    reported="not quoted: the paper's tables were not at hand",
    config=Envisions,
    compose=compose,
    labels_from="references",
)
