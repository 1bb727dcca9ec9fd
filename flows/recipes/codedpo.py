"""CodeDPO: Aligning Code Models with Self Generated and Verified Source Code.

arXiv 2410.05605. No labels: programs and tests of one model say which of them are credible.

    15 programs c and 15 tests t per problem at T 1.5; run all 225;  every score begins with 1
    10 times, d = 0.85:  score(c) <- (1-d) score(c) + d * sum of score(t) over t that c passes
                         score(t) <- (1-d) score(t) + d * sum of score(c) over c that pass t
    correctness pair: highest over lowest score;  efficiency pair: fastest over slowest of the
    programs that pass the credible tests, those that the best program passes
    RPO = DPO + weighted SFT on the chosen program

Differs from the paper: problems are the environment's, not made of concepts in open code; programs
and tests are the policy's own (the paper's are DeepSeekCoder-v2's). beta, the weight of the SFT
term, the batch size and the least ratio of two times are not published; those below were chosen.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flows.recipes.config import EnvironmentSpec, RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.ask import Sample, Template
from tasks.crossing import CrossSpec
from tasks.data_mix import TrainingTable
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec

TEST = Template.load("test")


class CodeDPO(RecipeConfig):
    """Settings of CodeDPO."""

    environment: EnvironmentSpec = EnvironmentSpec(name="functions")
    sampling: SamplingSpec = SamplingSpec(n=15, temperature=1.5)  # section 3.2
    tests: SamplingSpec = Field(
        default=SamplingSpec(n=15, temperature=1.5), description="How tests are drawn."
    )  # section 3.2
    cross: CrossSpec = CrossSpec()
    rank_by: Literal["cross_rank", "cross_passed"] = Field(
        default="cross_rank",
        description="What orders programs: the ranking, or the share of tests passed (ablation).",
    )
    min_ratio: float = Field(
        default=1.25,
        ge=1,
        description="Efficiency pairs: how many times as long the slower program has to take.",
    )
    training: TrainingSpec = TrainingSpec(
        method="dpo", beta=0.1, nll_weight=1.0, learning_rate=5e-6, epochs=10, batch_size=64
    )
    start_from: Literal["base", "previous"] = "base"
    reference: Literal["base", "previous", "fixed"] = "base"


def compose(stages: Stages, config: CodeDPO) -> TrainingTable:
    """Write programs and tests, run all against all, and pair by credibility and by time."""
    stages.sample(config.prompts, config.sampling)
    stages.ask(Sample(role="test", template=TEST, **config.tests.model_dump()), "tests")
    stages.cross(config.cross)
    return stages.select(
        Selection("best_worst", {"check_name": config.rank_by}),
        Selection("efficiency_pairs", {"min_ratio": config.min_ratio}),
    )


RECIPE = Recipe(
    name="codedpo",
    title="CodeDPO: Aligning Code Models with Self Generated and Verified Source Code",
    paper="2410.05605",
    labels="none",
    reported="HumanEval 47.60 -> 59.75 (DeepSeekCoder-6.7B), 48.78 -> 57.32 (Phi-2); pairs by "
    "PageRank 42.07, by tests passed 37.19, at random 21.34 (DeepSeekCoder-1.3B)",
    config=CodeDPO,
    compose=compose,
    labels_from="execution",
)
