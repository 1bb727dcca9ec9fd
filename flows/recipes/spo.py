"""SPO: A Minimaximalist Approach to Reinforcement Learning from Human Feedback.

arXiv 2401.04056. No answers: the reward of a sample is the share of the policy's other samples that
it beats; playing against itself, the policy approaches the minimax winner.

    r(y_i) = mean over j != i of P(y_i beats y_j) for a batch of samples of the policy itself
    M_{t+1}(y|x) ~ M_t(y|x) exp(eta r(y)):  every sample's log-ratio to M_t regresses on its reward

Differs from the paper: it improves the policy online by RL on continuous control, so no settings
for language models are published. Here each round takes the algorithm's mirror-descent step
offline, by SPPO's squared loss over all samples of a problem, upper against lower half, with
1 / eta = 1 and the centre 1/2; the batch is the samples of a problem, the preference the answers'
vote shares by default. All training settings are chosen as for SPPO.
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


class SPO(RecipeConfig):
    """Settings of SPO."""

    sampling: SamplingSpec = SamplingSpec(n=8, temperature=1.0)  # not published
    win_rates: WinRateSpec = Field(
        default=WinRateSpec(with_itself=False),
        description="Which preference decides who beats whom.",
    )  # algorithm 1: the others of the batch
    training: TrainingSpec = TrainingSpec(
        method="dpo",
        dpo_loss="sppo",
        beta=1.0,
        learning_rate=5e-7,
        optimizer="rmsprop",
        epochs=1,
        batch_size=64,
    )  # not published


def compose(stages: Stages, config: SPO) -> TrainingTable:
    """Sample, count who would beat whom, and learn from every sample by its reward."""
    stages.sample(config.prompts, config.sampling)
    stages.vote()
    stages.win_rates(config.win_rates)
    parameters = {"use_all": True, "max_pairs": max(1, config.sampling.n // 2)}
    return stages.select(Selection("win_rate_pairs", parameters))


RECIPE = Recipe(
    name="spo",
    title="A Minimaximalist Approach to Reinforcement Learning from Human Feedback",
    paper="2401.04056",
    labels="none",
    reported="no results on language models (continuous control only)",
    config=SPO,
    compose=compose,
    labels_from="votes",
)
