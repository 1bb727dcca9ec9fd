"""STaR: Bootstrapping Reasoning With Reasoning.

arXiv 2203.14465. Answers are known, solutions are not; a problem that fails is asked again with its
answer as a hint (rationalisation), and the hint is taken out before training:

    D_ok  = {(x, r)  : r ~ greedy M_{n-1}(x),           answer(r) = y}
    D_rat = {(x, r') : r' ~ greedy M_{n-1}(x + hint y), answer(r') = y}   for x without an r in D_ok
    M_n   = SFT(M_0, D_ok + D_rat), 40 * 1.2^(n-1) steps

CommonsenseQA dev 36.6 (few-shot) -> 68.8 without and 72.5 with rationalisation; GSM8K 3.1 -> 10.1
and 10.7; arithmetic of 1 to 5 digits 89.5 after 16 loops (GPT-J 6B). Greedy answers were better
than T 0.5 or 0.7.

Differs from the paper: sequences are not packed, so a batch is 8 examples instead of 8 times 1,024
tokens; the few-shot exemplars are the environment's own prompt; arithmetic's other schedule of
steps (300 + 20 per loop) has no default here; the gate decides instead of the best loop on dev.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.ask import Sample
from tasks.data_mix import TrainingTable
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec


class STaR(RecipeConfig):
    """Settings of STaR."""

    sampling: SamplingSpec = SamplingSpec(n=1, temperature=0.0)  # section 3.1
    rationalise: bool = Field(
        default=True, description="Whether failed problems are asked again with their answer."
    )  # section 3.2
    max_per_prompt: int = Field(default=1, ge=1, description="Most solutions kept per problem.")
    start_from: Literal["base", "previous"] = "base"  # algorithm 1
    steps_growth: float = Field(
        default=1.2,
        gt=0,
        le=10,
        description="Factor on the training steps (or epochs) from one round to the next.",
    )  # section 4.1: 20 % more
    training: TrainingSpec = TrainingSpec(
        method="sft",
        learning_rate=1e-6,
        steps=40,
        batch_size=8,
        warmup_steps=100,
        lr_schedule="constant",
    )  # section 4.1


def compose(stages: Stages, config: STaR) -> TrainingTable:
    """Answer, answer what failed again with a hint, keep what is right."""
    stages.sample(config.prompts, config.sampling)
    stages.vote()
    if config.rationalise:
        hinted = Sample(
            role=stages.answer_role,
            template="hint",
            over="hard_with_gold",
            turn=1,
            **config.sampling.model_dump(),
        )
        stages.ask(hinted, "rationalise", graded=(hinted.role,))
    return stages.select(Selection("reference_correct", {"max_per_prompt": config.max_per_prompt}))


RECIPE = Recipe(
    name="star",
    title="STaR: Bootstrapping Reasoning With Reasoning",
    paper="2203.14465",
    labels="answers",
    reported="CommonsenseQA 36.6 -> 72.5, GSM8K 3.1 -> 10.7 (GPT-J 6B), with rationalisation",
    config=STaR,
    compose=compose,
    labels_from="references",
)
