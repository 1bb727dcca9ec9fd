"""Self-Rationalization: Self-rationalization improves LLM as a fine-grained judge.

arXiv 2410.05495. Trains the judge alone, on its own judgements with their reasons:

    j_1..j_N ~ M_t(judge | x, y) at T = 1
    chosen = a judgement whose score is right, rejected = one whose score is far off
    right: the score that the label deserves, that most judgements give, or near the mean
    M_{t+1} = DPO(start and reference M_t), two rounds

Differs from the paper: it judges the model's own answers (there given ones, scored by people), so
that a label is only whether the answer is right: a right one deserves the highest score, a wrong
one the lowest. The model is not trained to judge first. N, beta and optimizer settings were not
found in the texts at hand; those below were chosen. The gate measures problems, not judgements: see
the judge's statistics in `rounds.metrics` (agreement with references, entropy). With the targets
`majority` and `mean` no label decides.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.data_mix import TrainingTable
from tasks.judging import RubricJudge, Target
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec


class SelfRationalization(RecipeConfig):
    """Settings of self-rationalization."""

    sampling: SamplingSpec = SamplingSpec(n=2, temperature=1.0)  # answers to judge; chosen
    judge: RubricJudge = RubricJudge(num_judgements=8, temperature=1.0, top_p=1.0)  # N chosen
    target: Target = Field(
        default="reference",
        description="Which score of an answer counts as right: what its reference deserves, what "
        "most judgements give, or their mean.",
    )
    min_margin: float = Field(
        default=1.0, ge=0, description="Points that the rejected score has to be farther off, less."
    )  # the margin method; value not found, chosen
    max_pairs: int = Field(default=1, ge=1, description="Most pairs per judged answer.")
    training: TrainingSpec = TrainingSpec(
        method="dpo", beta=0.1, learning_rate=1e-6, epochs=1, batch_size=16
    )  # not found; chosen


def compose(stages: Stages, config: SelfRationalization) -> TrainingTable:
    """Sample, judge often, prefer judgements with the right score to those far off."""
    stages.sample(config.prompts, config.sampling)
    stages.judge(config.judge)
    stages.judgement_agreement(config.judge, config.target)
    parameters = {
        "check_name": f"{config.judge.name}_agreement",
        "min_margin": config.min_margin,
        "max_pairs": config.max_pairs,
    }
    stages.select(Selection("only_judged"))
    return stages.select_asked(config.judge.name, Selection("best_worst", parameters))


RECIPE = Recipe(
    name="self_rationalization",
    title="Self-rationalization improves LLM as a fine-grained judge",
    paper="2410.05495",
    labels="answers",
    reported="62% of rationales preferred to those after SFT; RewardBench 72.0 -> 74.0",
    config=SelfRationalization,
    compose=compose,
    labels_from="references",
    threshold="min_margin",
)
