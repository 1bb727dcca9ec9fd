"""SELF-GUIDE: Better Task-Specific Instruction Following via Self-Synthetic Finetuning.

arXiv 2407.12874. An instruction and a few demonstrations; the model makes its own training set:

    x_i ~ M(instruction, demonstrations without outputs)        new inputs
    y_i ~ M(instruction, demonstrations, x_i)                   outputs, in context
    drop noise words, and lengths outside mean +- 2 sigma;      SFT of M on (x_i, y_i)

Differs from the paper: an input that is like an earlier one (ROUGE-L above 0.7) or like a held-out
problem is dropped too; the mean length is that of the round's outputs; temperatures are settings
instead of searched for each task. Numbers of inputs, temperatures, learning rate and batch size
were not published where this could be checked; the values here were chosen.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.ask import PassageParser, Sample, Template
from tasks.data_mix import TrainingTable
from tasks.prompts import PromptRules
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec

QUESTION, AS_IS = Template.load("question"), Template.load("as_is")
FEW_SHOT = Template.load("few_shot_answer")


class SelfGuide(RecipeConfig):
    """Settings of SELF-GUIDE."""

    instruction: str = Field(default="Solve the problem.", description="What the task is.")
    num_demonstrations: int = Field(
        default=3, ge=1, le=50, description="Labelled problems that the model is shown."
    )
    num_generated: int = Field(default=400, ge=1, description="Inputs to ask for in a round.")
    questions: SamplingSpec = Field(
        default=SamplingSpec(n=1, temperature=1.0, max_new_tokens=256),
        description="How inputs are drawn.",
    )
    rules: PromptRules = Field(default=PromptRules(), description="What an input has to be.")
    shows_outputs: bool = Field(
        default=True,
        description="Show outputs of the demonstrations, which are the references; off: only the "
        "input, for environments whose answers are programs.",
    )
    num_sigmas: float = Field(default=2.0, gt=0, description="Standard deviations of the length.")
    sampling: SamplingSpec = SamplingSpec(n=1, temperature=0.7)
    start_from: Literal["base", "previous"] = "base"
    training: TrainingSpec = TrainingSpec(method="sft", learning_rate=1e-5, epochs=3, batch_size=16)


def compose(stages: Stages, config: SelfGuide) -> TrainingTable:
    """Make inputs like the demonstrations, answer them, filter by noise and length."""
    stages.seed_examples(config.num_demonstrations, config.prompts.difficulties)
    question = Sample(
        role="question",
        template=QUESTION,
        over="few_shot",
        parser=PassageParser(),
        **config.questions.model_dump(),
    )
    shots = config.num_demonstrations
    drawn = {"num_questions": config.num_generated, "num_seed_shots": shots, "num_made_shots": 0}
    stages.make_prompts([question], config.rules, "inputs", variables=drawn)
    output = Sample(
        role="answer",
        template=FEW_SHOT if config.shows_outputs else AS_IS,
        over="made_with_examples",
        constants={"instruction": config.instruction},
        **config.sampling.model_dump(),
    )
    stages.ask(output, "outputs", graded=("answer",), variables={"num_shots": shots})
    filters = [
        Selection("noise_words"),
        Selection("length_spread", {"num_sigmas": config.num_sigmas}),
    ]
    return stages.select(Selection("every_answer", {"problems": "made"}), filters=filters)


RECIPE = Recipe(
    name="self_guide",
    title="SELF-GUIDE: Better Task-Specific Instruction Following via Self-Synthetic Finetuning",
    paper="2407.12874",
    labels="seed answers",
    reported="Natural Instructions V2, Vicuna-7B: +14.5 (classification), +17.9 (generation)",
    config=SelfGuide,
    compose=compose,
    labels_from="none",
)
