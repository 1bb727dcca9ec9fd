"""Self-Contrast: Extensive Self-Contrast Enables Feedback-Free Language Model Alignment.

arXiv 2404.00604. Solutions are known: each is preferred to many own samples that are unlike it.

    32 samples per prompt of the SFT model;  similarity = cosine of embeddings to the solution's
    negatives = up to 16 drawn from the 75% least similar, equal texts once, never the most similar
    DPO(beta = 0.1) on (solution, negative) pairs, 1 epoch

Differs from the paper: the embedding is TF-IDF over character trigrams instead of UAE-Large-V1, so
that no model is needed from a hub: it knows words and spellings, not meanings. Prompts with fewer
than 16 negatives are kept with those they have (the paper's code drops them). The paper has one
round; later rounds contrast the solutions with the newest model's samples.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.data_mix import TrainingTable
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec


class SelfContrast(RecipeConfig):
    """Settings of Self-Contrast."""

    sampling: SamplingSpec = SamplingSpec(n=32, temperature=1.0)  # the code's inference script
    share: float = Field(
        default=0.75,
        gt=0,
        le=1,
        description="Share of a problem's samples, the least similar, that can be negatives.",
    )  # the code's data mode lastdedup-75
    max_pairs: int = Field(default=16, ge=1, description="Most negatives per problem.")
    training: TrainingSpec = TrainingSpec(
        method="dpo",
        beta=0.1,
        learning_rate=5e-7,
        lr_schedule="cosine",
        epochs=1,
        batch_size=2048,
        gradient_accumulation=64,
    )  # the code's scripts: 128 prompts of 16 pairs


def compose(stages: Stages, config: SelfContrast) -> TrainingTable:
    """Sample, compare with the solution, and prefer it to what is unlike it."""
    stages.sample(config.prompts, config.sampling)
    stages.labelled(config.prompts)
    stages.similarities()
    parameters = {"share": config.share, "max_pairs": config.max_pairs}
    return stages.select(Selection("contrast_pairs", parameters))


RECIPE = Recipe(
    name="self_contrast",
    title="Extensive Self-Contrast Enables Feedback-Free Language Model Alignment",
    paper="2404.00604",
    labels="solutions",
    reported="outperforms SFT and DPO on Nectar, UltraChat and HH-RLHF, more with more negatives",
    config=SelfContrast,
    compose=compose,
    labels_from="none",
)
