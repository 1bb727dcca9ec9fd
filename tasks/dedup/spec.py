"""The settings of dedup."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Method = Literal["exact", "normalised", "skeleton", "near", "heldout"]
METHODS: tuple[Method, ...] = get_args(Method)


class DedupSpec(BaseModel):
    """Which samples are dropped because another one, or a held-out problem, says the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: list[Method] = Field(
        default_factory=list,
        description="exact: the same text; normalised: but for case, punctuation and spaces; "
        "skeleton: the same equations, or the same program but for names; near: most word "
        "triples in common; heldout: the problem shares a run of words with a held-out one.",
    )
    scope: Literal["prompt", "round"] = Field(
        default="prompt",
        description="Whether samples of one problem are compared with each other, or all samples "
        "of the round.",
    )
    near_similarity: float = Field(
        default=0.8, ge=0.3, le=1, description="Jaccard similarity from which near drops."
    )
    heldout_words: int = Field(
        default=13, ge=5, le=50, description="Words in a row that heldout looks for."
    )
