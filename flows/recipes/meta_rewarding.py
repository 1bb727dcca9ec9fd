"""Meta-Rewarding Language Models.

arXiv 2407.19594. Self-rewarding that also trains the judge, by judging its judgements:

    y_1..y_7 ~ M_t(x);  r(y) = mean of the readable ones of 11 judgements
    actor: chosen = shortest y with r >= (1 - rho) max + rho min, rejected = longest in the bottom
    judge: of the answer with the largest variance of scores, judgements meet in both orders; Elo
           with w(first) < w(second) where the first place is liked; best over worst judgement
    M_{t+1} = DPO(beta = 0.1, start and reference M_t) on both kinds of pairs
    rho = 0, 0.32, 0.32, 0.4; only rounds 1 and 2 train the judge

Differs from the paper: problems are the environment's; the seed model is taken as it is (the paper
trains it to judge first); the last epoch is taken (the gate decides); templates are in our own
words; ratings have a small prior (`tasks/judging/elo.py`), so that one who always wins has one.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.data_mix import TrainingTable
from tasks.judging import MetaJudge, RubricJudge
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec


class MetaRewarding(RecipeConfig):
    """Settings of meta-rewarding; a list has one value per round, the last one for all after."""

    sampling: SamplingSpec = SamplingSpec(n=7, temperature=0.8, top_p=0.95)  # section 3.1
    judge: RubricJudge = RubricJudge(num_judgements=11, temperature=0.8, top_p=0.95)  # 3.1
    meta_judge: MetaJudge = MetaJudge(temperature=0.8, top_p=0.95)  # 3.1
    rho: list[float] = Field(
        default=[0.0, 0.32, 0.32, 0.4],
        min_length=1,
        description="Width of the bands in which length decides, by round.",
    )  # appendix A
    max_chosen_length: list[int] = Field(
        default=[2500, 0],
        min_length=1,
        description="Most characters of a chosen answer, by round; 0: any.",
    )  # appendix A
    judge_rounds: int = Field(default=2, ge=0, description="Rounds that train the judge.")  # 3.1
    max_judgement_length: list[int] = Field(
        default=[1100, 1000],
        min_length=1,
        description="Most characters of a chosen judgement, by round; 0: any.",
    )  # appendix A
    training: TrainingSpec = TrainingSpec(
        method="dpo", beta=0.1, learning_rate=5e-6, lr_schedule="cosine", epochs=10, batch_size=32
    )  # 3.1


def compose(stages: Stages, config: MetaRewarding) -> TrainingTable:
    """Sample, judge, pair by score and length; then judge the judgements and pair them too."""
    stages.sample(config.prompts, config.sampling)
    stages.judge(config.judge)
    number = stages.number - 1
    answers = {
        "check_name": config.judge.name,
        "rho": config.rho[min(number, len(config.rho) - 1)],
        "max_chosen_length": config.max_chosen_length[
            min(number, len(config.max_chosen_length) - 1)
        ],
    }
    table = stages.select(Selection("judge_pairs", answers))
    if stages.number <= config.judge_rounds:
        meta = config.meta_judge.model_copy(update={"judge": config.judge.name})
        stages.judge(meta)
        lengths = config.max_judgement_length
        judgements = {
            "check_name": f"{meta.name}_elo",
            "max_chosen_length": lengths[min(number, len(lengths) - 1)],
        }
        stages.select_asked(config.judge.name, Selection("judge_pairs", judgements))
    return table


RECIPE = Recipe(
    name="meta_rewarding",
    title="Meta-Rewarding Language Models: Self-Improving Alignment with LLM-as-a-Meta-Judge",
    paper="2407.19594",
    labels="none",
    reported="AlpacaEval 2 LC 22.9 -> 27.9, 32.7, 35.5, 39.4 (Llama-3-8B-Instruct); self-rewarding "
    "with length control 35.5",
    config=MetaRewarding,
    compose=compose,
    labels_from="judge",
)
