"""SPIN: Self-Play Fine-Tuning Converts Weak Language Models to Strong Language Models.

arXiv 2401.01335. Solutions are known: each is preferred to what the model itself writes.

    y' ~ M_t(x) for every prompt x of the SFT set, D_t = {(x, y, y')}, trained on D_t and D_{t-1}
    loss = -log sigmoid(beta * (log(M(y|x) / M_t(y|x)) - log(M(y'|x) / M_t(y'|x))))
    rounds 1, 2: lr 5e-7, beta 0.1; round 3: 1e-7, 0.1; round 4: 1e-7, 5.0

Differs from the paper: every round draws new problems (the paper has the same 50,000), a schedule
of 6 epochs that is stopped early becomes one epoch, there is no warm-up (the paper: 10% of the
steps), and a sample that is its solution word for word is left out (its loss is constant).
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import PromptSpec, RecipeConfig
from flows.recipes.recipe import Recipe
from flows.recipes.schedule import Schedule
from flows.stages import Stages
from tasks.data_mix import MixSpec, TrainingTable
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec


class SPIN(RecipeConfig):
    """Settings of SPIN."""

    prompts: PromptSpec = PromptSpec(num=2000)  # 50,000 in the paper
    sampling: SamplingSpec = SamplingSpec(n=1, temperature=1.0)  # the code's vLLM script
    mix: MixSpec = MixSpec(rounds="new_and_previous")  # section 6.1
    training: TrainingSpec = TrainingSpec(
        method="dpo",
        beta=0.1,
        learning_rate=5e-7,
        optimizer="rmsprop",
        epochs=1,
        batch_size=64,
    )  # appendix B
    schedule: Schedule = Field(
        default={
            "training.learning_rate": [5e-7, 5e-7, 1e-7, 1e-7],
            "training.beta": [0.1, 0.1, 0.1, 5.0],
        }
    )  # appendix B


def compose(stages: Stages, config: SPIN) -> TrainingTable:
    """Put the solutions beside one own sample of each problem, and prefer them."""
    stages.sample(config.prompts, config.sampling)
    stages.labelled(config.prompts)
    return stages.select(Selection("policy_pairs", {"max_pairs": config.sampling.n}))


RECIPE = Recipe(
    name="spin",
    title="Self-Play Fine-Tuning Converts Weak Language Models to Strong Language Models",
    paper="2401.01335",
    labels="solutions",
    reported="Open LLM average 58.14 -> 60.80, 62.12, 62.97, 63.16 (Zephyr-7B-SFT)",
    config=SPIN,
    compose=compose,
    labels_from="none",
)
