"""SCORE: Small Language Models Need Strong Verifiers to Self-Correct Reasoning.

arXiv 2404.17140. Answers are known; they are hints for critics, never for the model that learns:

    for wrong answers y ~ M(x):  c ~ M(x, y, hint: the right answer),  y' ~ M(x, y, c)
    keep (x, y, c, y') if y' is right
    SFT on c given (x, y) without the hint, and on y' given (x, y, c)

Differs from the paper: critique and correction are two examples (the paper trains on both as one
completion); critiques that name the right answer are left out by looking for it as text; verifiers
that decide when to correct are for use, not for training, and are left out here. Samples per answer
and optimizer settings are not at hand; those below were chosen.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.ask import Chain, Sample, Template
from tasks.data_mix import TrainingTable
from tasks.demonstrations import Demonstration
from tasks.sampling import SamplingSpec
from tasks.training.spec import TrainingSpec

CRITIQUE, REFINE = Template.load("critique"), Template.load("refine")


class SCORE(RecipeConfig):
    """Settings of SCORE."""

    sampling: SamplingSpec = SamplingSpec(n=10, temperature=0.7)  # not at hand; chosen
    critique: SamplingSpec = SamplingSpec(n=2, temperature=0.7)  # not at hand; chosen
    refinement: SamplingSpec = SamplingSpec(n=1, temperature=0.0)  # not at hand; chosen
    learn_critiques: bool = Field(
        default=True, description="Learn the critiques that led to a right correction as well."
    )
    training: TrainingSpec = TrainingSpec(
        method="sft", learning_rate=1e-5, epochs=3, batch_size=32
    )  # not at hand; chosen


def compose(stages: Stages, config: SCORE) -> TrainingTable:
    """Critiques of wrong answers by a critic that sees the right one; those that help are kept."""
    stages.sample(config.prompts, config.sampling)
    criticize = Sample(
        role="critique",
        template="critique_with_hint",
        over="wrong_answers",
        **config.critique.model_dump(),
    )
    refine = Sample(role="refinement", template=REFINE, **config.refinement.model_dump())
    stages.ask(Chain(links=(criticize, refine)), "correct", graded=("refinement",))
    stages.vote()
    learned = [("refinement", REFINE), *([("critique", CRITIQUE)] * config.learn_critiques)]
    return stages.demonstrate(
        *(
            Demonstration("repairs", template, {"learn": role}, f"right_{role}s")
            for role, template in learned
        )
    )


RECIPE = Recipe(
    name="score_slm",
    title="Small Language Models Need Strong Verifiers to Self-Correct Reasoning",
    paper="2404.17140",
    labels="answers",
    reported="not quoted: the paper's tables were not at hand",
    config=SCORE,
    compose=compose,
    labels_from="references",
)
