"""S3c-Math: Spontaneous Step-level Self-correction Makes Large Language Models Better Reasoners.

arXiv 2409.01524. Answers are known; the model learns to take back a wrong step while it writes:

    y = y_1 ... y_n right;  w ~ M(x, y_1 ... y_{i-1}) a wrong next step ("step-level sampling")
    z = y_1 ... y_{i-1}  w  <marker>  y_i ... y_n
    SFT on all z and on the right solutions; the loss leaves w out

Differs from the paper: solutions are the model's own right ones (the paper's are MetaMathQA); a
step is a line; a sampled step counts as wrong if no right solution of the problem goes on with it
from the same lines; where answers are programs, what is put in is a comment, so that they still
run; examples have no mask, so the loss is on w too. Step sampling and optimizer settings are not
published; those below were chosen.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.ask import Sample
from tasks.data_mix import TrainingTable
from tasks.demonstrations import Demonstration
from tasks.sampling import SamplingSpec
from tasks.training.spec import TrainingSpec


class S3cMath(RecipeConfig):
    """Settings of S3c-Math."""

    sampling: SamplingSpec = SamplingSpec(n=4, temperature=0.7)  # not published
    step: SamplingSpec = SamplingSpec(n=4, temperature=1.2, max_new_tokens=64)  # not published
    marker: str = Field(
        default="That step is wrong; the right one follows.",
        min_length=1,
        description="Line that takes a wrong step back.",
    )
    learn_right_answers: bool = Field(
        default=True, description="Learn the right answers as they are as well."
    )  # 395k of the paper's 927k rows
    training: TrainingSpec = TrainingSpec(
        method="sft", learning_rate=1e-5, epochs=3, batch_size=128
    )  # not published


def compose(stages: Stages, config: S3cMath) -> TrainingTable:
    """Right answers, another step at one line of each, and answers that take that step back."""
    stages.sample(config.prompts, config.sampling)
    stages.vote()
    step = Sample(
        role="step",
        template="next_step",
        over="right_steps",
        stop=("\n",),
        **config.step.model_dump(),
    )
    stages.ask(step, "steps")
    comment = "" if stages.environment.answer_format == "text" else "# "
    marked = {"marker": config.marker, "line_start": comment}
    return stages.demonstrate(
        Demonstration("marked_steps", parameters=marked),
        *([Demonstration("right_answers")] * config.learn_right_answers),
    )


RECIPE = Recipe(
    name="s3c_math",
    title="S3c-Math: Spontaneous Step-level Self-correction Makes Large Language Models Better "
    "Mathematical Reasoners",
    paper="2409.01524",
    labels="answers",
    reported="not quoted: the paper's tables were not at hand",
    config=S3cMath,
    compose=compose,
    labels_from="references",
)
