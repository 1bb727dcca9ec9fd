"""What a self-made problem has to be."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Source = Literal["self_instruct", "rephrase", "decompose", "evolve", "back_translate"]

# What a model without eyes and tools can't do. Source: Self-Instruct, 2212.10560, section 2.2: its
# filter by keywords; "go to" and the like stand for instructions that leave the text.
UNSUITED = (
    "image",
    "images",
    "graph",
    "graphs",
    "picture",
    "pictures",
    "file",
    "files",
    "map",
    "maps",
    "draw",
    "plot",
    "go to",
    "video",
    "audio",
    "music",
    "flowchart",
    "diagram",
)


class PromptRules(BaseModel):
    """Which texts of a model become problems."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Source = Field(
        default="self_instruct", description="How they were made: prompts.source."
    )
    field: str = Field(
        default="items",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="What the parser calls the texts: a list, or one text.",
    )
    max_similarity: float = Field(
        default=0.7,
        gt=0,
        le=1,
        description="ROUGE-L with an earlier problem above which a text is none; 1: equal ones.",
    )
    min_words: int = Field(default=4, ge=1, description="Fewest words of a problem.")
    max_words: int = Field(default=150, ge=1, description="Most words of a problem.")
    banned: tuple[str, ...] = Field(
        default=UNSUITED, description="Words that no problem has, in any case of letters."
    )
    heldout_words: int = Field(
        default=13,
        ge=5,
        le=50,
        description="Words in a row that a problem may not share with a held-out one.",
    )

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.min_words > self.max_words:
            raise ValueError(
                f"min_words={self.min_words} is above max_words={self.max_words}; no text is both"
            )
        return self
