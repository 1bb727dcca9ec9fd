"""SALMON: Self-Alignment with Principle-Following Reward Models.

arXiv 2310.05910. Principles in the context of the preference model say what is preferred; changing
them changes what is learned, without new labels.

    y, y' ~ M_t(x) at T = 0.7;  M_t judges both orders under the principles
    kept where both orders agree;  the preferred one is chosen

A setting of `osp`: its judge has principles, abstains where the orders contradict each other, and
labels are hard. Self-Align (`self_align`), by the same authors, puts principles into the context of
answers instead; SALMON starts from a model that it trained.

Differs from the paper: DPO on the model's own preferences takes the place of a reward model that is
trained on them and of PPO; all principles are shown at once (there one at a time, and the one that
decides most clearly, with random and negated subsets for the reward model); judgements are sampled,
not read from the probability of "a" and "b"; principles are in our own words.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.osp import OSP, compose
from flows.recipes.recipe import Recipe
from tasks.judging import PairJudge
from tasks.sampling import SamplingSpec

# Step 1 of the authors' code judges by these dimensions.
PRINCIPLES = (
    "Be concise: write nothing that is not needed.",
    "Be honest and accurate: do not claim what you do not know.",
    "Be ethical: refuse what hurts people.",
    "Be specific: answer this request, not one like it.",
    "Be educational: let the reader see why.",
    "Be methodical: go step by step.",
    "Be creative where the request leaves room.",
    "Be comprehensive: leave nothing out that was asked for.",
)


class SALMON(OSP):
    """Settings of SALMON."""

    sampling: SamplingSpec = SamplingSpec(n=2, temperature=0.7)  # generate_oasst1_response0.sh
    judge: PairJudge = PairJudge(principles=PRINCIPLES, inconsistent="abstain")
    hard_labels: bool = Field(default=True, description="Learn every kept pair fully: no P.")


RECIPE = Recipe(
    name="salmon",
    title="SALMON: Self-Alignment with Principle-Following Reward Models",
    paper="2310.05910",
    labels="none",
    reported="above Llama-2-70B-chat with 6 exemplars and 31 principles (Llama-2-70B); numbers not "
    "at hand",
    config=SALMON,
    compose=compose,
    labels_from="judge",
    threshold="min_strength",
)
