"""IWSI: Importance Weighting Can Help Large Language Models Self-Improve.

arXiv 2408.09849. No references are read for training problems; a few solved ones, set apart, say
what the distribution of valid solutions is:

    y~ = majority of n = 15 answers, T = 0.8; D = {r : answer(r) = y~}
    w(r) = mean loss of the valid solutions / loss(r), at most 2; DS(r) = w if w > 1 else 1 / w
    p' = SFT(p_0, the 80 % of D with the lowest DS)

The paper reports GSM8K, SVAMP, ANLI, OpenBookQA and StrategyQA on a par with filtering by a reward
model that was trained on human data. Code: rubickkcibur/IWSI (settings are those of its scripts).

Differs from the paper: ties between answers are dropped; answers at the threshold itself stay; the
valid problems are the first ones of the round, so that every round has its own. The share of 80 %
is ours: the scripts at hand leave it open. The paper has one round.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.data_mix import TrainingTable
from tasks.measures import Likelihood
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec


class IWSI(RecipeConfig):
    """Settings of IWSI."""

    sampling: SamplingSpec = SamplingSpec(n=15, temperature=0.8)  # the code's sample files
    valid_share: float = Field(
        default=0.05, gt=0, lt=1, description="Share of the problems whose solutions are shown."
    )  # section 4.1: at most 5 %
    keep_share: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="Share of the agreeing answers that is kept, the least shifted ones.",
    )
    min_share: float = Field(
        default=0.0, ge=0, le=1, description="Vote share from which a majority is believed."
    )  # section 3: any majority
    max_per_prompt: int = Field(default=15, ge=1, description="Most answers kept per problem.")
    start_from: Literal["base", "previous"] = "base"
    training: TrainingSpec = TrainingSpec(
        method="sft",
        learning_rate=3e-4,
        epochs=5,
        batch_size=48,
        lora_r=64,
        lora_alpha=16,
        lr_schedule="cosine",
        weight_decay=0.1,
        adam_beta2=0.95,
    )  # src/scripts/main.sh: 6 per GPU; the number of GPUs is not published, 8 taken


def compose(stages: Stages, config: IWSI) -> TrainingTable:
    """Vote, weigh answers against valid solutions, keep the majority's least shifted ones."""
    stages.sample(config.prompts, config.sampling)
    num = max(1, round(config.valid_share * config.prompts.num))
    stages.labelled(config.prompts, role="solution", num=num)
    stages.vote()
    for of in ("sample", "labelled"):
        stages.measure(Likelihood("likelihood", value="mean"), of=of)
    stages.ds_weights()
    majority = {
        "min_share": config.min_share,
        "min_votes": 1,
        "max_per_prompt": config.max_per_prompt,
    }
    shift = Selection("near_valid", {"keep_share": config.keep_share})
    return stages.select(Selection("confident_majority", majority), filters=[shift])


RECIPE = Recipe(
    name="iwsi",
    title="Importance Weighting Can Help Large Language Models Self-Improve",
    paper="2408.09849",
    labels="solutions",
    reported="on a par with filtering by a pre-trained reward model, with a valid set of 5 % "
    "(Llama-2-7B; GSM8K, SVAMP, ANLI, OBQA, StrategyQA)",
    config=IWSI,
    compose=compose,
    labels_from="votes",
)
