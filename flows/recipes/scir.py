"""SCIR: Self-Consistency of the Internal Reward Models Improves Self-Rewarding Language Models.

arXiv 2502.08922. A policy has two reward models inside: what it says as a judge, and what DPO made
it prefer. Only pairs that both see alike are learned from.

    generative:  P_G(y > y') by judging [y, y'] in both orders
    implicit:    r(y) = log pi_t(y) - log pi_ref(y),  y > y' where r(y) > r(y')
    keep (y, y') where both prefer y;  M_{t+1} = DPO(start and reference M_t)

Differs from the paper: there the two also train each other, by a penalty on the divergence of their
preferences in every step; here agreement selects pairs before training and is measured each round,
and no loss pulls them together. The implicit reward is that of the round's model, not of each step.
Sampling and optimizer settings were not found in the texts at hand; those below were chosen (DPO's
as in self-rewarding). A base model without `initial_model` ranks by the mean log-probability.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.data_mix import TrainingTable
from tasks.judging import PairJudge
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec


class SCIR(RecipeConfig):
    """Settings of SCIR."""

    sampling: SamplingSpec = SamplingSpec(n=4, temperature=0.8, top_p=0.95)  # not found; chosen
    judge: PairJudge = PairJudge(inconsistent="abstain")  # both orders must agree
    initial_model: str | None = Field(
        default=None,
        description="Reference of the implicit reward: a folder, model id or seed:NAME. Empty: "
        "the base model.",
    )
    max_pairs: int = Field(default=6, ge=1, description="Most pairs per problem.")  # chosen: all
    training: TrainingSpec = TrainingSpec(
        method="dpo", beta=0.1, learning_rate=1e-6, epochs=1, batch_size=32
    )  # not found; chosen

    @property
    def other_models(self) -> list[str]:
        """With the initial model, where one is named."""
        return [*super().other_models, *([self.initial_model] if self.initial_model else [])]


def compose(stages: Stages, config: SCIR) -> TrainingTable:
    """Sample, judge pairs, measure the implicit reward, keep what both prefer."""
    stages.sample(config.prompts, config.sampling)
    stages.judge(config.judge)
    stages.implicit_reward(config.initial_model)
    parameters = {
        "check_name": config.judge.name,
        "agree_check": "reward",
        "hard_labels": True,
        "max_pairs": config.max_pairs,
    }
    return stages.select(Selection("soft_pairs", parameters))


RECIPE = Recipe(
    name="scir",
    title="Self-Consistency of the Internal Reward Models Improves Self-Rewarding Language Models",
    paper="2502.08922",
    labels="none",
    reported="AlpacaEval 2 and MT-Bench above self-rewarding (Mistral-7B); numbers not at hand",
    config=SCIR,
    compose=compose,
    labels_from="judge",
)
