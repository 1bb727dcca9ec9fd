"""Re-ReST: Reflection-Reinforced Self-Training for Language Agents.

arXiv 2406.01495. The environment says what is right; failures are tried again with its feedback:

    k samples y ~ M(x);  D_M = {(x, y) : y passes}
    where y fails:  y' ~ R(x, y, feedback), one try;  D_R = {(x, y') : y' passes}
    SFT of M on D_M and D_R, prompts without feedback;  R learns (x, y, feedback) -> y'

Differs from the paper: reflector R and agent M are one model, which learns both (there, two LoRA
adapters; switch learn_reflection off for the agent alone); no human or stronger model's traces to
begin with; problems are the environment's. k and temperatures are not published; 4 and 1.0 were
chosen.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flows.recipes.config import EnvironmentSpec, RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.ask import Sample, Template
from tasks.data_mix import TrainingTable
from tasks.demonstrations import Demonstration
from tasks.sampling import SamplingSpec
from tasks.training.spec import TrainingSpec

REFLECT = Template.load("feedback_repair")


class ReReST(RecipeConfig):
    """Settings of Re-ReST."""

    environment: EnvironmentSpec = EnvironmentSpec(name="functions")
    sampling: SamplingSpec = SamplingSpec(n=4, temperature=1.0)  # not published; chosen
    reflection: SamplingSpec = Field(
        default=SamplingSpec(n=1, temperature=1.0), description="How failures are tried again."
    )  # section 3.2: one try
    learn_reflection: bool = Field(
        default=True, description="Learn to try again by feedback as well, not the result alone."
    )
    max_per_prompt: int = Field(
        default=10, ge=1, description="Most examples per problem of any kind."
    )
    start_from: Literal["base", "previous"] = "base"
    training: TrainingSpec = TrainingSpec(
        method="sft", learning_rate=3e-4, epochs=3, batch_size=128, lora_r=8, lora_alpha=16
    )  # the code's LoRA settings (FireAct)


def compose(stages: Stages, config: ReReST) -> TrainingTable:
    """Programs, one more try at those that fail, and what passes of both."""
    stages.sample(config.prompts, config.sampling)
    stages.vote()
    reflect = Sample(
        role="repair",
        template=REFLECT,
        over="failed_programs",
        turn=1,
        **config.reflection.model_dump(),
    )
    stages.ask(reflect, "reflect", graded=("repair",))
    most = {"max_per_prompt": config.max_per_prompt}
    reflections = Demonstration(
        "repaired_programs", REFLECT, {"learn": "repair", **most}, "reflections"
    )
    return stages.demonstrate(
        Demonstration("right_answers", parameters=most),
        Demonstration("repaired_programs", parameters={"learn": "answer", **most}),
        *([reflections] * config.learn_reflection),
    )


RECIPE = Recipe(
    name="re_rest",
    title="Re-ReST: Reflection-Reinforced Self-Training for Language Agents",
    paper="2406.01495",
    labels="answers",
    reported="MBPP 48.6 -> 54.5 (self-training) -> 56.4 (CodeLlama-13B), HotpotQA 20.0 -> 27.6 -> "
    "29.6, ALFWorld 8.9 -> 37.3 -> 51.4",
    config=ReReST,
    compose=compose,
    labels_from="references",
)
