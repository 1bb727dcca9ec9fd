"""CREAM: Consistency Regularized Self-Rewarding Language Models.

arXiv 2410.12735. The model's implicit reward ranks its own answers; where the model before it ranks
them otherwise, the pair is believed less.

    y_1..y_5 ~ M_t(x) at T = 0.8, top-p 0.95;  r_t(y) = log pi_t(y) - log pi_0(y)
    C(x) = (Kendall's tau of the rankings by r_t and r_{t-1} + 1) / 2;  C = mean over x, or C(x)
    pair = (argmax r_t, argmin r_t)
    loss = C DPO(pair) + (1 - C) DPO(flipped pair),  beta = 0.1, start and reference M_t

As in the authors' code, a model that is pi_0 itself ranks by the mean log-probability of tokens,
and a prompt that can't be ranked by both takes the mean C. There a skipped prompt also moves the
values of all that follow (a `zip` of lists of two lengths in cal_consistency.py); here it doesn't.

Differs from the paper: its M_1 comes from an SFT of M_0 on seed data, here the run starts with M_1:
name M_0 in `initial_model`. Without it pi_0 is the run's base, which has nothing before it to agree
with: until the first promotion C is 1, which is plain self-rewarding. M_{t-1} is the incumbent that
M_t took the place of. Problems are the environment's. Warm-up is left out (10% in the code).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.data_mix import TrainingTable
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec


class CREAM(RecipeConfig):
    """Settings of CREAM."""

    sampling: SamplingSpec = SamplingSpec(n=5, temperature=0.8, top_p=0.95)  # config.py
    consistency: Literal["avg", "dyn", "off"] = Field(
        default="avg",
        description="One consistency for all pairs, or each prompt's own; off: it is measured and "
        "pairs are believed fully, the paper's plain self-rewarding.",
    )  # section 4.2
    initial_model: str | None = Field(
        default=None,
        description="pi_0, what the base model was fine-tuned from: a folder, model id or "
        "seed:NAME. Empty: the base model itself.",
    )
    training: TrainingSpec = TrainingSpec(
        method="dpo",
        beta=0.1,
        learning_rate=1e-6,
        lr_schedule="cosine",
        weight_decay=0.01,
        epochs=1,
        batch_size=32,
    )  # section 5.1, config.py

    @property
    def other_models(self) -> list[str]:
        """With the initial model, where one is named."""
        return [*super().other_models, *([self.initial_model] if self.initial_model else [])]


def compose(stages: Stages, config: CREAM) -> TrainingTable:
    """Sample, rank by two models, pair best with worst, believe it as far as they agree."""
    stages.sample(config.prompts, config.sampling)
    stages.consistent_rewards(config.initial_model, "dyn" if config.consistency == "dyn" else "avg")
    labels = "" if config.consistency == "off" else "consistency"
    parameters = {"check_name": "reward", "soft_label_check": labels}
    return stages.select(Selection("best_worst", parameters))


RECIPE = Recipe(
    name="cream",
    title="CREAM: Consistency Regularized Self-Rewarding Language Models",
    paper="2410.12735",
    labels="none",
    reported="mean of five tasks 80.2 -> 83.4 (Llama-3-8B; GSM8K 78.0 -> 81.7), where plain "
    "self-rewarding gets 80.7; Llama-2-7B 50.5 against 40.1",
    config=CREAM,
    compose=compose,
    labels_from="judge",
)
