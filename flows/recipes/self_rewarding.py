"""Self-Rewarding Language Models.

arXiv 2401.10020. No answers: the model is its own judge, and prefers what it scores higher.

    y_1..y_4 ~ M_t(x) at T = 0.7, top-p 0.9
    r(y) = mean of 3 judgements by M_t on an additive rubric from 0 to 5
    pair = (argmax r, argmin r), dropped where all scores are equal
    M_{t+1} = DPO(beta = 0.1, start and reference M_t) on the pairs

Differs from the paper: problems are the environment's (the paper makes new ones by self-instruct
and starts from a model trained to judge; see the `labels` of the base model), an epoch is trained
(not published; the paper takes the checkpoint that Claude 2 likes best of 253 rows, here the gate
decides), there is no dropout, and the rubric is in our own words. The paper's own numbers show the
danger: AlpacaEval rises while GSM8K falls from 60.3 to 57.7 and answers grow from 1,092 to 2,552
characters; gate and monitors look at both.
"""

from __future__ import annotations

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.data_mix import TrainingTable
from tasks.judging import RubricJudge
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec


class SelfRewarding(RecipeConfig):
    """Settings of self-rewarding."""

    sampling: SamplingSpec = SamplingSpec(n=4, temperature=0.7, top_p=0.9)  # section 3.1.2
    judge: RubricJudge = RubricJudge(num_judgements=3, temperature=0.7, top_p=0.9)  # 3.1.2
    training: TrainingSpec = TrainingSpec(
        method="dpo",
        beta=0.1,
        learning_rate=1e-6,
        final_lr_share=0.1,
        batch_size=16,
        epochs=1,
    )  # 3.1.3: 1e-6 falling to 1e-7; epochs not published


def compose(stages: Stages, config: SelfRewarding) -> TrainingTable:
    """Sample, judge every answer, pair the highest with the lowest mean score."""
    stages.sample(config.prompts, config.sampling)
    stages.judge(config.judge)
    return stages.select(Selection("judge_pairs", {"check_name": config.judge.name}))


RECIPE = Recipe(
    name="self_rewarding",
    title="Self-Rewarding Language Models",
    paper="2401.10020",
    labels="none",
    reported="AlpacaEval 2 9.94 -> 15.38 -> 20.44, but GSM8K 60.3 -> 59.3 -> 57.7 (Llama-2-70B)",
    config=SelfRewarding,
    compose=compose,
    labels_from="judge",
)
