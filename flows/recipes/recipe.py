"""What a recipe is: a published method as a composition of shared stages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from flows.recipes.config import RecipeConfig
from tasks.monitors import LabelSource

if TYPE_CHECKING:
    from flows.stages import Stages
    from tasks.data_mix import TrainingTable


@dataclass(frozen=True)
class Recipe:
    """One method.

    Attributes:
        name: Its name in commands, tables and the UI.
        title: The paper's title.
        paper: arXiv id.
        labels: What it needs: `none`, `answers` (references of train problems), `seed answers`
            (references of an easy slice that is shown once), or `solutions` (completions that
            solve train problems, as SFT sets have them; see `WithSolutions`).
        reported: Numbers that the paper reports.
        config: Its settings; defaults are the paper's.
        compose: Makes the round's training rows out of stages and names their table.
        labels_from: What a self-made label rests on; decides which monitors apply: `votes`,
            `references`, a `judge` (a model's scores), `execution` (tests that the model wrote),
            or `none` (nothing says which sample is better, e.g. all human answers win).
        threshold: Its setting that a monitor can raise, so that fewer and surer labels are kept;
            empty where it has none.
    """

    name: str
    title: str
    paper: str
    labels: Literal["none", "answers", "seed answers", "solutions"]
    reported: str
    config: type[RecipeConfig]
    compose: Callable[[Stages, Any], TrainingTable]
    labels_from: LabelSource
    threshold: str = ""

    @property
    def allow_references(self) -> bool:
        """Whether selections may read the references of train problems."""
        return self.labels == "answers"

    def hash(self, config: RecipeConfig, base_model: str) -> str:
        """Hash of everything that decides the rows of a run: `rounds.recipe_hash`."""
        text = json.dumps([self.name, base_model, config.model_dump(mode="json")], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
