"""Self-reference feedback: Aligning Large Language Models from Self-Reference AI Feedback.

arXiv 2406.11190. A model answers a question itself before it judges others' answers, under one
general principle ("best for humanity"), and votes over several judgements in both orders.

    a ~ M_t(x);  judgements of [y, y'] and [y', y] that see a and the principle, several times
    P(y > y') = share of votes; pairs with their strengths, as in `osp`

A setting of `osp`: its judge has the model's own answer as a reference, a principle and more votes.

Differs from the paper: DPO with soft labels takes the place of a reward model and PPO; strength is
the share of votes (there a perplexity of the judgement); criticism and decision are one completion;
the model judges its own answers. Number of votes and temperature were not found in the texts at
hand; those below were chosen.
"""

from __future__ import annotations

from flows.recipes.osp import OSP, compose
from flows.recipes.recipe import Recipe
from tasks.judging import PairJudge
from tasks.sampling import SamplingSpec


class SelfReference(OSP):
    """Settings of self-reference feedback."""

    sampling: SamplingSpec = SamplingSpec(n=2, temperature=1.0)  # pairs; T not found, chosen
    judge: PairJudge = PairJudge(
        reference="own",
        principles=("Prefer what is best for humanity.",),
        num_judgements=4,  # votes of each order; not found, chosen
        temperature=1.0,
        top_p=1.0,
        inconsistent="mean",
    )


RECIPE = Recipe(
    name="self_reference",
    title="Aligning Large Language Models from Self-Reference AI Feedback with one General "
    "Principle",
    paper="2406.11190",
    labels="none",
    reported="reward models of 13B and 70B annotators more accurate than without a reference; "
    "numbers not at hand",
    config=SelfReference,
    compose=compose,
    labels_from="judge",
    threshold="min_strength",
)
