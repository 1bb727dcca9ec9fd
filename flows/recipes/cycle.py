"""CYCLE: Learning to Self-Refine the Code Generation.

arXiv 2403.18746. Tests are known; the model learns to repair a program by what its tests say:

    y ~ M(x);  feedback = what running y on the tests of x says
    where y fails:  y' ~ M(x, y, feedback), up to max_turns times
    SFT on y' given (x, y, feedback) for right y', mixed with right y given x, so that the first
    program does not become worse

Differs from the paper: what is learned are the model's own right repairs, while the paper learns
the given solution after a failed program; no past-generation mask (the paper hides a part of the
failed program's tokens, so that it is not copied). Samples, temperatures and optimizer settings are
not at hand; those below were chosen.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import EnvironmentSpec, RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.ask import Sample, Template
from tasks.data_mix import TrainingTable
from tasks.demonstrations import Demonstration
from tasks.sampling import SamplingSpec
from tasks.training.spec import TrainingSpec

REPAIR = Template.load("feedback_repair")


class Cycle(RecipeConfig):
    """Settings of CYCLE."""

    environment: EnvironmentSpec = EnvironmentSpec(name="functions")
    sampling: SamplingSpec = SamplingSpec(n=5, temperature=0.8)  # not at hand; chosen
    repair: SamplingSpec = Field(
        default=SamplingSpec(n=5, temperature=0.8), description="How repairs are drawn."
    )  # not at hand; chosen
    max_turns: int = Field(default=1, ge=1, le=10, description="Most repairs in a row.")
    max_per_prompt: int = Field(
        default=10, ge=1, description="Most examples per problem of either kind."
    )
    training: TrainingSpec = TrainingSpec(
        method="sft", learning_rate=2e-5, epochs=1, batch_size=64
    )  # not at hand; chosen


def compose(stages: Stages, config: Cycle) -> TrainingTable:
    """Programs, repairs of those that fail by what their execution says, and the right ones."""
    stages.sample(config.prompts, config.sampling)
    stages.vote()
    for turn in range(1, config.max_turns + 1):
        repair = Sample(
            role="repair",
            template=REPAIR,
            over="failed_programs",
            turn=turn,
            **config.repair.model_dump(),
        )
        stages.ask(repair, f"repair-{turn}", graded=("repair",))
    most = {"max_per_prompt": config.max_per_prompt}
    return stages.demonstrate(
        Demonstration("repaired_programs", REPAIR, {"learn": "repair", **most}),
        Demonstration("right_answers", parameters=most),
    )


RECIPE = Recipe(
    name="cycle",
    title="CYCLE: Learning to Self-Refine the Code Generation",
    paper="2403.18746",
    labels="answers",
    reported="up to 63.5% (relative) more problems of HumanEval, MBPP and APPS solved after "
    "self-refinement (models of 350M to 3B)",
    config=Cycle,
    compose=compose,
    labels_from="references",
)
