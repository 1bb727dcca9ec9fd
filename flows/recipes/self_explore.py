"""Self-Explore: Enhancing Mathematical Reasoning in Language Models with Fine-grained Rewards.

arXiv 2404.10346. Answers are known. A wrong solution is rejected at its first pit, the first step
from which the model finds no way to the answer any more:

    pit(r-) = min{i : none of k = 4 rollouts at T = 0.7 from steps 1..i is right}
    x' = x + steps 1..pit-1 of r-,  y- = step pit,  y+ = shortest right rollout from x'
    DPO(beta = 0.1) on (x', y+, y-); where pit = 1, y+ is a right solution of x

GSM8K +11.57 and MATH +2.89 points on average over SFT (Mistral, Llemma, DeepSeek-Math 7B);
DeepSeek-Math GSM8K 78.62, MATH 37.68. Code: hbin0701/Self-Explore.

Differs from the paper: all steps are explored at once, not one after the other up to the pit (the
same pairs, more rollouts); steps are lines also where the paper merges or splits them (MATH); a
wrong solution is matched to a right one by a hash instead of the largest edit distance; the policy
explores and is the reference, without an RFT stage before (run `rft` first, and this from its
`promoted:RUN`); AdamW instead of RMSprop. The common beginning stands in both completions instead
of in the prompt: its terms cancel in the loss.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.ask import Sample
from tasks.data_mix import TrainingTable
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec


class SelfExplore(RecipeConfig):
    """Settings of Self-Explore."""

    sampling: SamplingSpec = SamplingSpec(n=100, temperature=0.7)  # section 3.1, as RFT
    num_rollouts: int = Field(
        default=4, ge=1, le=4096, description="k: rollouts from each step of a wrong solution."
    )  # section 3.2
    rollout_temperature: float = Field(
        default=0.7, gt=0, le=5, description="Temperature of the rollouts."
    )
    max_lines: int = Field(
        default=20, ge=1, description="Steps (lines) of a wrong solution that are explored."
    )  # the code's limit
    max_pairs: int = Field(
        default=8, ge=1, description="Most wrong solutions of a problem that are explored."
    )  # not published: as many as there are right ones; limited for the rollouts' sake
    training: TrainingSpec = TrainingSpec(
        method="dpo", beta=0.1, learning_rate=1e-6, epochs=3, batch_size=32, lr_schedule="linear"
    )  # code: 8 per GPU on 4 GPUs; 1e-7 for Mistral


def compose(stages: Stages, config: SelfExplore) -> TrainingTable:
    """Sample, go on from every step of wrong solutions, pair at the first pit."""
    stages.sample(config.prompts, config.sampling)
    stages.vote()
    rollout = Sample(
        role="rollout",
        template="as_is",
        over="wrong_prefixes",
        n=config.num_rollouts,
        temperature=config.rollout_temperature,
        max_new_tokens=config.sampling.max_new_tokens,
    )
    limits = {"max_pairs": config.max_pairs, "max_lines": config.max_lines}
    stages.ask(rollout, "explore", graded=("rollout",), variables=limits)
    return stages.select(Selection("step_pairs", {"max_pairs": config.max_pairs}))


RECIPE = Recipe(
    name="self_explore",
    title="Self-Explore: Enhancing Mathematical Reasoning in Language Models with Fine-grained "
    "Rewards",
    paper="2404.10346",
    labels="answers",
    reported="GSM8K +11.57, MATH +2.89 points over SFT (mean of three 7B models)",
    config=SelfExplore,
    compose=compose,
    labels_from="references",
)
