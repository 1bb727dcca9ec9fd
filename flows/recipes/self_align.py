"""Self-Align: Principle-Driven Self-Alignment of Language Models from Scratch (Dromedary).

arXiv 2305.03047. Answers are written with principles in the context, and learned without them:

    y ~ M_base(principles, x) at T = 0.7, top-p 0.95
    M = SFT(base) on (x, y): principle engraving, a context distillation

Differs from the paper: problems are the environment's (the paper makes them by topic-guided
self-instruct), there are no worked examples of inner thoughts beside the principles, verbose
cloning (step 4, dropped in Dromedary-2) is left out, and the principles are six in our own words
(there sixteen). Optimizer settings are those of Dromedary-2's script: QLoRA of rank 64.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.ask import Sample, Template
from tasks.data_mix import TrainingTable
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec

PRINCIPLES = (
    "Be helpful: answer what is asked, completely.",
    "Be honest: do not claim what you do not know.",
    "Be harmless: refuse what hurts people.",
    "Be concise: write nothing that is not needed.",
    "Be right: check every step and every number.",
    "Be clear: keep the form that is asked for.",
)


class SelfAlign(RecipeConfig):
    """Settings of Self-Align."""

    sampling: SamplingSpec = SamplingSpec(n=1, temperature=0.7, top_p=0.95)  # step 2's script
    principles: tuple[str, ...] = Field(
        default=PRINCIPLES, min_length=1, description="What answers are held to."
    )
    template: Template = Field(
        default_factory=lambda: Template.load("with_principles"),
        description="How a problem is asked with the principles.",
    )
    max_per_prompt: int = Field(default=1, ge=1, description="Most examples of one problem.")
    start_from: Literal["base", "previous"] = Field(
        default="base", description="Weights that training starts from."
    )
    training: TrainingSpec = TrainingSpec(
        method="sft",
        learning_rate=4e-4,
        lr_schedule="cosine",
        epochs=1,
        batch_size=128,
        lora_r=64,
    )  # step 3's script


def compose(stages: Stages, config: SelfAlign) -> TrainingTable:
    """Ask with the principles, learn the answers to the problems without them."""
    stages.draw(config.prompts)
    answer = Sample(
        role=stages.answer_role,
        template=config.template,
        constants={"principles": list(config.principles)},
        **config.sampling.model_dump(),
    )
    stages.ask(answer, "aligned", graded=(answer.role,))
    stages.vote()
    parameters = {"needs_answer": False, "max_per_prompt": config.max_per_prompt}
    return stages.select(Selection("every_answer", parameters))


RECIPE = Recipe(
    name="self_align",
    title="Principle-Driven Self-Alignment of Language Models from Scratch with Minimal Human "
    "Supervision",
    paper="2305.03047",
    labels="none",
    reported="numbers not at hand (LLaMA-65B, fewer than 300 lines of human annotations)",
    config=SelfAlign,
    compose=compose,
    labels_from="none",
)
