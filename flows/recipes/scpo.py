"""ScPO: Self-Consistency Preference Optimization.

arXiv 2411.04109. No answers: the most voted answer is preferred to the least voted one.

    w(x) = (V(y+) - V(y-)) / k,   kept if V(y+) / k >= tau
    loss = w * DPO(beta = 0.5, reference = M_t) + alpha * w * NLL(y+) / |y+|,  alpha = 1

Differs from the paper: rejected samples come from the same pool of k samples (the paper draws
eight more at T = 1.2), and the last epoch is taken (the gate decides instead of the best epoch on
dev). With num_generated the incumbent makes problems from four of the environment's, which are kept
if an answer has half of the votes; in the paper M0-Instruct makes them once.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.recipes.schedule import Schedule
from flows.stages import Stages
from tasks.ask import PassageParser, Sample, Template
from tasks.data_mix import TrainingTable
from tasks.prompts import PromptRules
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec

QUESTION = Template.load("question")


class ScPO(RecipeConfig):
    """Settings of ScPO."""

    sampling: SamplingSpec = SamplingSpec(n=8, temperature=0.7, top_p=0.9)  # section 3
    min_share: float = Field(
        default=0.5, ge=0, le=1, description="tau / k: smallest vote share of the chosen answer."
    )  # section 3
    schedule: Schedule = Field(default={"min_share": [0.5, 0.7]})  # section 3, GSM8K
    max_pairs: int = Field(default=1, ge=1, description="Most pairs per problem.")
    weighted: bool = Field(
        default=True, description="Whether a pair counts by its margin of votes; off: all alike."
    )  # w = 1 in the ablation
    num_generated: int = Field(
        default=0, ge=0, description="Problems to ask the model for, beside the given ones."
    )  # section 3: for M2, 5.1k of whose pairs are of generated problems
    num_shots: int = Field(default=4, ge=1, description="Given problems that it is shown.")
    questions: SamplingSpec = Field(
        default=SamplingSpec(n=1, temperature=0.7, top_p=0.9, max_new_tokens=256),
        description="How generated problems are drawn.",
    )
    rules: PromptRules = Field(
        default=PromptRules(), description="What a generated problem has to be."
    )
    min_generated_share: float = Field(
        default=0.5, ge=0, le=1, description="Vote share from which a generated problem is kept."
    )  # section 3
    training: TrainingSpec = TrainingSpec(
        method="dpo",
        beta=0.5,
        nll_weight=1.0,
        learning_rate=5e-6,
        lr_schedule="cosine",
        epochs=10,
        batch_size=16,
    )  # section 3


def compose(stages: Stages, config: ScPO) -> TrainingTable:
    """Sample, vote, pair the most with the least voted answer, weighted by the margin."""
    filters = []
    if config.num_generated:
        stages.draw(config.prompts)
        question = Sample(
            role="question",
            template=QUESTION,
            over="few_shot",
            parser=PassageParser(),
            **config.questions.model_dump(),
        )
        shots = {"num_seed_shots": config.num_shots, "num_made_shots": 0}
        drawn = {"num_questions": config.num_generated, **shots}
        stages.make_prompts([question], config.rules, "generated", variables=drawn)
        band = {"problems": "made", "low": config.min_generated_share, "high": 1.0}
        filters = [Selection("curriculum_slice", band)]
    stages.sample(config.prompts, config.sampling, of="all" if filters else "environment")
    stages.vote()
    parameters = {
        "min_share": config.min_share,
        "max_pairs": config.max_pairs,
        "weighted": config.weighted,
    }
    return stages.select(Selection("vote_pairs", parameters), filters=filters)


RECIPE = Recipe(
    name="scpo",
    title="Self-Consistency Preference Optimization",
    paper="2411.04109",
    labels="none",
    reported="GSM8K greedy 41.2 -> 61.0 -> 63.9, MATH 14.5 -> 17.4 -> 19.7 (Llama-3-8B)",
    config=ScPO,
    compose=compose,
    labels_from="votes",
    threshold="min_share",
)
