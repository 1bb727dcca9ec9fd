"""B-STaR: Monitoring and Balancing Exploration and Exploitation in Self-Taught Reasoners.

arXiv 2412.17256. Answers are known. Before each round a search over some problems says how hot to
sample and what to keep, by how many right and how few wrong answers every problem would get:

    score(r) = 1[r is right] + reward of its steps / 5
    balance(x) = min(k / 8, 1) * k / m       k right ones among the m kept, those above tau
    T, tau = argmax mean balance, T in 0.50..1.20, tau in -1..1; m as small as the row target allows
    p_{i+1} = SFT(p_i, the m best of 64 samples at T with score > tau, and the given solutions)

Chosen temperatures rise 0.5, 0.8, 0.9, 1.0, 1.1, ... over the rounds. Mistral-7B GSM8K/MATH 36.6 /
17.0 (SFT) -> 53.8 / 27.8, where ReST-EM has 46.3 / 24.2 and T = 1.1 from the start 40.4 / 18.2;
Llama-3-8B APPS 9.3 -> 19.6. Code: hkust-nlp/B-STaR.

Differs from the paper: there is no process reward model; what is said of the steps is the
probability of the least likely token, or nothing (`search.step_reward`). Equal texts count once
before the m best are taken, not after. Optimizer state is not kept: the learning rate of each round
is that of the paper's one cosine over nine rounds at its middle.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.recipes.schedule import Schedule
from flows.stages import Stages
from tasks.balance import BalanceSpec
from tasks.data_mix import TrainingTable
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec


class BSTaR(RecipeConfig):
    """Settings of B-STaR."""

    sampling: SamplingSpec = SamplingSpec(n=64, temperature=1.0)  # temperature: the search's
    search: BalanceSpec = BalanceSpec()  # section 4.1, determine_hyper.py
    with_solutions: bool = Field(
        default=True,
        description="Whether the environment's own solutions are learned too; false where it has "
        "answers only.",
    )  # determine_hyper.py
    training: TrainingSpec = TrainingSpec(
        method="sft", learning_rate=4.09e-6, steps=500, batch_size=128, lr_schedule="constant"
    )  # appendix A, train_bstar.sh
    schedule: Schedule = Field(
        default={
            "training.learning_rate": [
                4.09e-6, 3.86e-6, 3.42e-6, 2.83e-6, 2.16e-6, 1.49e-6, 9e-7, 4.63e-7, 2.3e-7
            ]
        }
    )  # fmt: skip


def compose(stages: Stages, config: BSTaR) -> TrainingTable:
    """Search, sample as it says, score, keep the best above the threshold."""
    found = stages.search(config.search, config.prompts, config.sampling, config.with_solutions)
    hot = config.sampling.model_copy(update={"temperature": found.temperature})
    stages.sample(config.prompts, hot)
    if config.with_solutions:
        stages.labelled(config.prompts)
    stages.vote()
    stages.balanced(config.search)
    limits = {"min_score": found.threshold + 1e-9, "top": found.per_problem}
    kept = Selection("best_by_score", {"check_name": "balanced", "needs_answer": True, **limits})
    return stages.select(kept)


RECIPE = Recipe(
    name="b_star",
    title="B-STaR: Monitoring and Balancing Exploration and Exploitation in Self-Taught Reasoners",
    paper="2412.17256",
    labels="answers",
    reported="GSM8K 36.6 -> 53.8, MATH 17.0 -> 27.8 (Mistral-7B); APPS 9.3 -> 19.6 (Llama-3-8B)",
    config=BSTaR,
    compose=compose,
    labels_from="references",
)
