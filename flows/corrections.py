"""What a finding changes in all later rounds: hotter samples, shorter training, surer labels.

A round records the corrections that it asks for in `rounds.metrics`. Every later round applies
those of the rounds before it, in their order and on top of what its schedule says, so a run that
is continued gets the same settings; `rounds.config` has them as they were used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.recipes.schedule import value_at, with_values
from storage import Warehouse
from tasks.monitors.spec import CORRECTIONS, Correction, Finding

AnyConfig = TypeVar("AnyConfig", bound=RecipeConfig)


@dataclass(frozen=True)
class Corrected:
    """One correction that a round asks for.

    Attributes:
        reason: What asked for it: a monitor's name.
        action: What is done.
        setting: Path of the setting that it changes.
        before: The next round's value without it.
        after: The next round's value with it; the same where a bound is reached.
    """

    reason: str
    action: Correction
    setting: str
    before: float
    after: float

    def __str__(self) -> str:
        """Returns the sentence for a round's reasons."""
        change = f"{self.setting} from {self.before:g} to {self.after:g}"
        if self.before == self.after:
            change = f"nothing, because {self.setting}={self.before:g} is at its bound already"
        return f"From the next round on {self.reason} changes {change}."


def asked_corrections(
    config: RecipeConfig,
    recipe: Recipe,
    number: int,
    earlier: Sequence[Correction],
    wanted: Iterable[tuple[str, Correction]],
) -> list[Corrected]:
    """What a round asks of those after it; a correction that several ask for is made once.

    Args:
        config: The run's settings.
        recipe: Its recipe.
        number: The round that asks.
        earlier: Corrections that rounds before it asked for.
        wanted: Who asks for what.
    """
    made: list[Corrected] = []
    for reason, action in wanted:
        if action in [one.action for one in made]:
            continue
        so_far = [*earlier, *(one.action for one in made)]
        now = with_corrections(config.for_round(number + 1), recipe, so_far)
        setting, after = _changed(now, recipe, action)
        made.append(Corrected(reason, action, setting, value_at(now, setting), after))
    return made


def earlier_corrections(house: Warehouse, run: str, number: int) -> list[Correction]:
    """The corrections that rounds before a round asked for, oldest first.

    Args:
        house: The warehouse.
        run: The run.
        number: The round.
    """
    with house.connect() as con:
        rows = con.execute(
            "SELECT metrics -> 'corrections' FROM rounds WHERE run = $run AND round < $round "
            "ORDER BY round",
            {"run": run, "round": number},
        ).fetchall()
    return [one["action"] for (text,) in rows if text for one in json.loads(text)]


def with_corrections(
    config: AnyConfig, recipe: Recipe, corrections: Iterable[Correction]
) -> AnyConfig:
    """The settings of a round after all corrections of the rounds before it.

    Args:
        config: The round's settings; they have no schedule.
        recipe: The recipe.
        corrections: What to do, in order.
    """
    for action in corrections:
        setting, after = _changed(config, recipe, action)
        group = setting.partition(".")[0]
        values: dict[str, Any] = {name: getattr(config, name) for name in type(config).model_fields}
        dumped = config.model_dump()
        values[group] = dumped[group]
        config = type(config).model_validate(with_values(values, {setting: after}))
    return config


def for_metrics(corrections: Iterable[Corrected]) -> list[dict[str, object]]:
    """The corrections as `rounds.metrics` keeps them."""
    return [asdict(one) for one in corrections]


def wanted_by(findings: Iterable[Finding]) -> list[tuple[str, Correction]]:
    """The corrections that findings ask for, with the monitors' names."""
    return [
        (finding.name, action)
        for finding in findings
        for action in CORRECTIONS
        if finding.done == action
    ]


def _changed(config: RecipeConfig, recipe: Recipe, action: Correction) -> tuple[str, float]:
    """The setting that an action changes, and its new value."""
    spec = config.monitors
    if action == "hotter":
        now = config.sampling.temperature
        hotter = round(min(now * spec.hotter_factor, spec.max_temperature), 6)
        return "sampling.temperature", max(now, hotter)
    if action == "shrink":
        if config.training.steps is not None:
            return "training.steps", max(1, round(config.training.steps * spec.shrink_factor))
        return "training.epochs", config.training.epochs * spec.shrink_factor
    now = value_at(config, recipe.threshold)
    bounds = [
        m.le for m in type(config).model_fields[recipe.threshold].metadata if hasattr(m, "le")
    ]
    return recipe.threshold, round(min([now + spec.raise_threshold_by, *bounds]), 6)
