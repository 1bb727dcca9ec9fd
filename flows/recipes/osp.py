"""OSP: Online Self-Preferring Language Models.

arXiv 2405.14103. The model judges its own answers in pairs, and learns how much better each is.

    y_1..y_n ~ M_t(x);  P(y_i > y_j) = mean of judging both orders;  rank by mean P
    pairs of ranks, each with its strength P
    loss = - P log s(h) - (1 - P) log(1 - s(h)),  h = beta (log ratio of y_i - log ratio of y_j)

which is DPO with P as soft label. `self_reference` and `salmon` are the same stages with another
judge: they set its reference and its principles.

Differs from the paper: P is the share of sampled judgements, in place of the probability of the
judgement's token; which ranks meet is a switch (`pairing`), as the paper's ranked pairing was not
found in detail; a round draws its pairs once, where the paper trains online. n, T and optimizer
settings were not found in the texts at hand; those below were chosen.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.data_mix import TrainingTable
from tasks.judging import PairJudge
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec


class OSP(RecipeConfig):
    """Settings of OSP, and of the recipes that are OSP with another judge."""

    sampling: SamplingSpec = SamplingSpec(n=4, temperature=1.0)  # not found; chosen
    judge: PairJudge = PairJudge(num_judgements=4, temperature=1.0, top_p=1.0, inconsistent="mean")
    pairing: Literal["all", "best", "best_worst", "adjacent"] = Field(
        default="all",
        description="Which ranks meet: all, the best with all others, best with worst, neighbors.",
    )
    min_strength: float = Field(
        default=0.5, ge=0.5, le=1, description="Smallest P of a pair; ties are never kept."
    )
    hard_labels: bool = Field(default=False, description="Learn every kept pair fully: no P.")
    training: TrainingSpec = TrainingSpec(
        method="dpo", beta=0.1, learning_rate=1e-6, epochs=1, batch_size=32
    )  # not found; chosen


def compose(stages: Stages, config: OSP) -> TrainingTable:
    """Sample, judge pairs in both orders, learn the strength of every win."""
    stages.sample(config.prompts, config.sampling)
    stages.judge(config.judge)
    parameters = {
        "check_name": config.judge.name,
        "pairing": config.pairing,
        "min_strength": config.min_strength,
        "hard_labels": config.hard_labels,
    }
    return stages.select(Selection("soft_pairs", parameters))


RECIPE = Recipe(
    name="osp",
    title="Online Self-Preferring Language Models",
    paper="2405.14103",
    labels="none",
    reported="95% wins against the base model after 200 prompts (HH, TL;DR)",
    config=OSP,
    compose=compose,
    labels_from="judge",
    threshold="min_strength",
)
