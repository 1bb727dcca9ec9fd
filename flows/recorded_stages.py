"""What a recipe is made of, found out by composing it over stages that do nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from flows.recipes.config import PromptSpec
from flows.recipes.recipe import Recipe
from flows.stage_tables import tables_of
from flows.stages import Stages
from tasks.ask import Chain, Sample
from tasks.balance import BalanceSpec, Candidate
from tasks.environments import load_environment
from tasks.models import ModelRef
from tasks.prompts import PromptRules
from tasks.sampling import SamplingSpec
from tasks.selection import Selection, selection_table

# Written by every round, whatever the recipe.
ROUND_TABLES = ("models", "evaluations", "rounds")


@dataclass(frozen=True)
class StageCall:
    """One stage of a recipe.

    Attributes:
        stage: Name of the method of `Stages`.
        about: What tells this call from others: roles, selections, measures, sampling.
        tables: The tables that it writes.
    """

    stage: str
    about: str
    tables: tuple[str, ...]

    def __str__(self) -> str:
        """Stage and what it is about, in a few words."""
        return f"{self.stage} ({self.about})" if self.about else self.stage


def recorded(recipe: Recipe) -> list[StageCall]:
    """The stages of a recipe at its own settings, in their order."""
    stages = RecordedStages(recipe)
    recipe.compose(cast(Stages, stages), stages.config)
    # The same stage in a loop of the recipe (turns, agents) is one line.
    return list(dict.fromkeys(stages.calls))


class RecordedStages:
    """Stands where `Stages` do: keeps which are called and with what, and does nothing.

    Attributes:
        calls: What was called so far.
        config: The recipe's own settings.
    """

    number, num_promoted, run = 1, 0, "recorded"

    def __init__(self, recipe: Recipe) -> None:
        """Record a recipe's stages."""
        self.recipe, self.config = recipe, recipe.config()
        self.calls: list[StageCall] = []
        self.incumbent = self.base = ModelRef("recorded", Path(), "")
        spec = self.config.environment
        self.environment = load_environment(spec.name, spec.options)

    def __getattr__(self, name: str) -> Any:
        """A stage that only records; a property is the real one, seen from here."""
        found = getattr(Stages, name)
        if isinstance(found, property):
            assert found.fget is not None
            return found.fget(cast(Stages, self))
        tables = tables_of(found)
        if tables is None:
            raise AttributeError(f"Stages.{name} does not say which tables it writes: see writes()")
        return self._recorder(name, tables)

    def model(self, name: str) -> ModelRef:
        """A model that stands for any."""
        return self.base

    def agent(self, run: str) -> ModelRef:
        """A model that stands for any."""
        return self.base

    def search(
        self, spec: BalanceSpec, prompts: PromptSpec, sampling: SamplingSpec, with_solutions: bool
    ) -> Candidate:
        """A candidate with the settings' own temperature."""
        tried = f"{len(spec.temperatures)} temperatures"
        self.calls.append(StageCall("search", tried, tables_of(Stages.search) or ()))
        return Candidate(sampling.temperature, 0.0, sampling.n, 0, 0.0)

    def select(self, *selections: Selection, filters: Sequence[Selection] = ()) -> str:
        """The table of the selections, as in a round."""
        own = [selection_table(one) for one in selections]
        about = ", ".join(one.name for one in (*filters, *selections))
        self.calls.append(StageCall("select", about, (*dict.fromkeys(own), "rejections")))
        return own[0]

    def select_asked(self, name: str, *selections: Selection, role: str = "") -> str:
        """As `select`, of what was said in another stage."""
        own = [selection_table(one) for one in selections]
        about = f"{role or name} by {', '.join(one.name for one in selections)}"
        self.calls.append(StageCall("select_asked", about, (*dict.fromkeys(own), "rejections")))
        return own[0]

    def _recorder(self, name: str, tables: tuple[str, ...]) -> Callable[..., Any]:
        def stage(*args: object, **kwargs: object) -> Anything:
            # Problems of the environment are what a stage asks about unless something else is said.
            said = [value for value in (*args, *kwargs.values()) if value != "environment"]
            words = [describe(value) for value in said]
            about = ", ".join(dict.fromkeys(word for word in words if word))
            self.calls.append(StageCall(name, about, tables))
            return Anything()

        return stage


class Anything:
    """What a recorded stage gives back: has every attribute, and is none of them."""

    def __getattr__(self, name: str) -> Anything:
        """Anything again; but not what the language itself asks for."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __iter__(self) -> Iterator[Anything]:
        """Holds nothing."""
        return iter(())


def describe(value: object) -> str:
    """A few words about what a stage was given; empty where it says nothing new."""
    if isinstance(value, list | tuple):
        return ", ".join(dict.fromkeys(filter(None, map(describe, value))))
    if isinstance(value, Chain):
        return " -> ".join(link.role for link in value.links)
    if isinstance(value, Sample):
        return value.role
    if isinstance(value, SamplingSpec):
        heat = f"T {value.temperature:g}" if value.temperature else "greedy"
        return f"{value.n} at {heat}"
    if isinstance(value, PromptSpec | PromptRules | Anything):
        return ""
    if isinstance(value, BaseModel) or not isinstance(value, str):
        name = getattr(value, "name", "")
        return name if isinstance(name, str) else ""
    return re.sub(r"-\d+$", "", value)  # the turns of a loop are numbered
