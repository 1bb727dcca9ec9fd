"""Self-Aligned: Self-aligning Large Language Models for Responding to Unknown Questions.

arXiv 2402.15062 ("Gotcha! Don't trick me with unanswerable questions!"). Known questions with
answers become unknown ones, and the model learns to say why these have no answer:

    u ~ M(rewrite q into a question that is incomplete | futuristic | incorrect | ambiguous)
    r ~ M(reply to u, given that it is of this class)
    s = M's score of the disparity between (q, a) and (u, r);  keep s >= tau
    SFT of M on (u, r), without the class;  again with the new model

Differs from the paper: rewriting is asked for without examples of each class, the reference stands
for the known answer, and the gate still looks at answerable problems only. Scale and threshold of
the disparity, temperatures and training settings were not published where this could be checked;
a scale of 0 to 10, tau = 5 and the others were chosen.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.ask import PassageParser, Sample, ScoreParser, Template
from tasks.data_mix import TrainingTable
from tasks.prompts import PromptRules
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec

UNKNOWN, REPLY = Template.load("unknown_question"), Template.load("unknown_answer")
DISPARITY = Template.load("disparity")


class SelfAlignUnknown(RecipeConfig):
    """Settings of Self-Aligned."""

    kinds: list[str] = Field(
        default=[
            "incomplete: it leaves out what has to be known to answer it",
            "futuristic: it asks about what has not happened yet",
            "incorrect: it takes for granted what is false",
            "ambiguous: it can be understood in several ways",
        ],
        min_length=1,
        description="Classes of unknown questions, each with what it means.",
    )
    questions: SamplingSpec = Field(
        default=SamplingSpec(n=1, temperature=0.7, max_new_tokens=256),
        description="How unknown questions are drawn.",
    )
    # An unknown question is meant to be like the known one.
    rules: PromptRules = Field(
        default=PromptRules(source="evolve", max_similarity=1),
        description="What an unknown question has to be.",
    )
    sampling: SamplingSpec = SamplingSpec(n=1, temperature=0.7, max_new_tokens=256)
    judgements: SamplingSpec = Field(
        default=SamplingSpec(n=1, temperature=0.0, max_new_tokens=128),
        description="How the disparity is judged.",
    )
    min_disparity: float = Field(
        default=5, ge=0, le=10, description="tau: smallest disparity that is kept."
    )
    training: TrainingSpec = TrainingSpec(method="sft", learning_rate=1e-5, epochs=3, batch_size=32)


def compose(stages: Stages, config: SelfAlignUnknown) -> TrainingTable:
    """Rewrite known questions, reply to the unknown ones, keep what differs enough."""
    stages.draw(config.prompts)
    for number, kind in enumerate(config.kinds):
        question = Sample(
            role="unknown_question",
            turn=number,
            template=UNKNOWN,
            over="given_prompts",
            constants={"kind": kind},
            parser=PassageParser(),
            **config.questions.model_dump(),
        )
        stages.make_prompts([question], config.rules, f"unknown-{number}")
    reply = Sample(
        role="answer", template=REPLY, over="made_prompts", **config.sampling.model_dump()
    )
    stages.ask(reply, "reply")
    disparity = Sample(
        role="judgement",
        template=DISPARITY,
        over="disparities",
        parser=ScoreParser(high=10),
        check="disparity",
        about="parent",
        **config.judgements.model_dump(),
    )
    stages.ask(disparity, "disparity")
    parameters = {"check_name": "disparity", "min_score": config.min_disparity, "top": 1}
    return stages.select(Selection("best_by_score", parameters))


RECIPE = Recipe(
    name="self_align_unknown",
    title="Gotcha! Don't trick me with unanswerable questions! Self-aligning Large Language Models "
    "for Responding to Unknown Questions",
    paper="2402.15062",
    labels="answers",
    reported="above its baselines on two datasets and four classes of unknown questions",
    config=SelfAlignUnknown,
    compose=compose,
    labels_from="judge",
    threshold="min_disparity",
)
