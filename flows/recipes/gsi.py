"""GSI: Mitigating Tail Narrowing in LLM Self-Improvement via Socratic-Guided Sampling.

arXiv 2411.00750. Answers are known. Equal numbers of samples leave most right answers on easy
problems, the more so the longer the loop; hard ones are asked again, one sample at a time and with
guidance, until the tail has its share of right answers:

    D = {(x, r) : r ~ p_i(x), T = 0.7, 8 samples, right}
    up to 8 times: for every x with fewer than 4 right r: one more r ~ p_i(x + hint), kept if right
    p_{i+1} = SFT(p_0, D), the hint taken out

The paper reports higher coverage of hard problems and higher accuracy than plain self-improvement
on AQuA, GSM8K, MATH and three held-out sets (four models, four rounds). Code:
Yiwen-Ding/Guided-Self-Improvement (settings are those of its scripts).

Differs from the paper: guidance is the answer (its answer-driven strategy) or none (its brute-force
baseline); the strategies that show a solution, ask a teacher or go back to an earlier state are
not here. The first round starts from the given model, not from an SFT stage before it.
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


class GSI(RecipeConfig):
    """Settings of guided self-improvement."""

    sampling: SamplingSpec = SamplingSpec(n=8, temperature=0.7)  # sample_num
    guidance: Literal["answer", "none"] = Field(
        default="answer", description="What a hard problem is asked again with."
    )  # section 4.2
    min_right: int = Field(
        default=4, ge=1, description="Right answers of a problem that end its resampling."
    )  # min_correct_num
    num_resamples: int = Field(
        default=8, ge=0, le=256, description="Most samples that are added to a hard problem."
    )  # max_resample_num
    max_per_prompt: int = Field(
        default=8, ge=1, description="Most right solutions kept per problem."
    )  # all of them: as many as sampling.n
    start_from: Literal["base", "previous"] = "base"  # the scripts train every round from the base
    training: TrainingSpec = TrainingSpec(
        method="sft", learning_rate=1e-5, epochs=1, batch_size=64
    )  # scripts/_template.sh: 4 per GPU, 8 GPUs, 2 accumulated


def compose(stages: Stages, config: GSI) -> TrainingTable:
    """Sample, ask hard problems again until they have right answers too, keep what is right."""
    stages.sample(config.prompts, config.sampling)
    stages.vote()
    for turn in range(1, config.num_resamples + 1):
        again = Sample(
            role=stages.answer_role,
            template="hint" if config.guidance == "answer" else "as_is",
            over="hard_with_gold",
            turn=turn,
            **config.sampling.model_copy(update={"n": 1}).model_dump(),
        )
        limits = {"min_right": config.min_right, "max_turn": turn - 1}
        stages.ask(again, f"resample-{turn}", graded=(again.role,), variables=limits)
    return stages.select(Selection("reference_correct", {"max_per_prompt": config.max_per_prompt}))


RECIPE = Recipe(
    name="gsi",
    title="Mitigating Tail Narrowing in LLM Self-Improvement via Socratic-Guided Sampling",
    paper="2411.00750",
    labels="answers",
    reported="more hard problems covered and higher accuracy than plain self-improvement and brute-"
    "force resampling (four models on AQuA, GSM8K, MATH)",
    config=GSI,
    compose=compose,
    labels_from="references",
)
