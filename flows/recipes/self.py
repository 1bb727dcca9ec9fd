"""SELF: Self-Evolution with Language Feedback.

arXiv 2310.00533. No answers; a model that knows two meta-skills, feedback and refinement, evolves:

    y ~ M_t(x),  c ~ M_t(feedback | x, y),  y' ~ M_t(refine | x, y, c) where c finds a fault
    keep (x, y) where c accepts y, and (x, y') where a second look accepts y'
    M_{t+1} = SFT on what was kept, and on the meta-skills' own texts

Differs from the paper: the meta-skills are those of the base model (the paper first trains on a
corpus of feedback and refinement by GPT-4); they are kept alive by training on the critiques and
refinements whose result was accepted, in place of replaying that corpus. Temperature and optimizer
settings are not at hand; those below were chosen.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.ask import Chain, Sample, Template
from tasks.ask.parsers import VerdictParser
from tasks.data_mix import TrainingTable
from tasks.demonstrations import Demonstration
from tasks.sampling import SamplingSpec
from tasks.training.spec import TrainingSpec

CRITIQUE, REFINE = Template.load("critique"), Template.load("refine")


class SELF(RecipeConfig):
    """Settings of SELF."""

    sampling: SamplingSpec = SamplingSpec(n=1, temperature=0.7)  # section 3.2; T not at hand
    feedback: SamplingSpec = SamplingSpec(n=1, temperature=0.0)  # not at hand; chosen
    refinement: SamplingSpec = SamplingSpec(n=1, temperature=0.0)  # not at hand; chosen
    learn_meta_skills: bool = Field(
        default=True, description="Learn the critiques and refinements that were accepted as well."
    )
    training: TrainingSpec = TrainingSpec(
        method="sft", learning_rate=2e-5, epochs=1, batch_size=128
    )  # not at hand; chosen


def compose(stages: Stages, config: SELF) -> TrainingTable:
    """Answer, feedback, refinement, a second look; what passes is learned."""
    stages.sample(config.prompts, config.sampling)
    feedback = {
        "template": CRITIQUE,
        "parser": VerdictParser(),
        "about": "parent",
        **config.feedback.model_dump(),
    }
    criticize = Sample.model_validate({"role": "critique", "over": "answers", **feedback})
    refine = Sample(
        role="refinement", template=REFINE, when=("no",), **config.refinement.model_dump()
    )
    stages.ask(Chain(links=(criticize, refine)), "refine", graded=("refinement",))
    recheck = Sample.model_validate({"role": "recheck", "over": "refinements", **feedback})
    stages.ask(recheck, "recheck")
    stages.vote()
    by = {"accepted_by": "recheck"}
    meta = (
        Demonstration("repairs", CRITIQUE, {**by, "learn": "critique"}, "accepted_critiques"),
        Demonstration("repairs", REFINE, {**by, "learn": "refinement"}, "accepted_refinements"),
    )
    return stages.demonstrate(
        Demonstration("accepted_answers"), *(meta if config.learn_meta_skills else ())
    )


RECIPE = Recipe(
    name="self",
    title="SELF: Self-Evolution with Language Feedback",
    paper="2310.00533",
    labels="none",
    reported="not quoted: the paper's tables were not at hand",
    config=SELF,
    compose=compose,
    labels_from="judge",
)
