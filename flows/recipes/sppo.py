"""SPPO: Self-Play Preference Optimization for Language Model Alignment.

arXiv 2405.00675. No answers: a preference says how often each of K samples beats the others, and
the model regresses on that.

    P(y) = mean over the K samples y' of P(y beats y');  y_w, y_l: the best and the worst sample
    loss = 1/2 [(log(M(y_w) / M_t(y_w)) - eta (P(y_w) - 1/2))^2 + the same for y_l],  1 / eta = 1e-3

Differs from the paper: its preference is PairRM, a model of its own (0.4B); here it is the answers'
vote shares by default, or the policy as a judge (win_rates.preference), or a check `scores` that a
reward model wrote. The paper splits 60,000 prompts over three rounds; here the environment's.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.data_mix import TrainingTable
from tasks.judging import WinRateSpec
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec


class SPPO(RecipeConfig):
    """Settings of SPPO."""

    sampling: SamplingSpec = SamplingSpec(n=5, temperature=0.7, top_p=0.9)  # section 5.1, code
    win_rates: WinRateSpec = Field(
        default=WinRateSpec(), description="Which preference decides who beats whom."
    )
    training: TrainingSpec = TrainingSpec(
        method="dpo",
        dpo_loss="sppo",
        beta=1e-3,
        learning_rate=5e-7,
        optimizer="rmsprop",
        epochs=1,
        batch_size=64,
    )  # section 5.1; beta is 1 / eta


def compose(stages: Stages, config: SPPO) -> TrainingTable:
    """Sample, count who would beat whom, pair best with worst and keep both win rates."""
    stages.sample(config.prompts, config.sampling)
    stages.vote()
    stages.win_rates(config.win_rates)
    return stages.select(Selection("win_rate_pairs"))


RECIPE = Recipe(
    name="sppo",
    title="Self-Play Preference Optimization for Language Model Alignment",
    paper="2405.00675",
    labels="none",
    reported="AlpacaEval 2 LC 17.1 -> 24.8, 26.9, 28.5 (Mistral-7B-Instruct), "
    "22.9 -> 31.7, 35.2, 38.8 (Llama-3-8B-Instruct)",
    config=SPPO,
    compose=compose,
    labels_from="votes",
)
