"""Settings that change from round to round: values per round for any setting, by its dotted path.

    {"sampling.temperature": [0.8, 0.8, 1.3]}    round 1 and 2 at 0.8, from round 3 on at 1.3

The last value holds for all rounds that follow. On the command line:
`--set schedule.sampling.temperature=[0.8,0.8,1.3]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

ScheduledValue = int | float | bool | str | list[int] | None
Schedule = dict[str, list[ScheduledValue]]

# What a run is compared by, or what decides which table it trains on: the same in all rounds.
FIXED = ("environment", "evaluation", "seed", "schedule", "shard_size", "training.method")


def flatten(schedule: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Dotted paths instead of nested groups, as `--set` makes them; of two the last counts.

    Example:
        >>> flatten({"training.beta": [0.1], "training": {"beta": [0.2], "steps": [5, 9]}})
        {'training.beta': [0.2], 'training.steps': [5, 9]}
    """
    found: dict[str, Any] = {}
    for name, value in schedule.items():
        if isinstance(value, Mapping):
            found |= flatten(value, f"{start}{name}.")
        else:
            found[f"{start}{name}"] = value
    return found


def value_at(values: object, path: str) -> Any:
    """The value of a dotted path in nested mappings or models.

    Raises:
        KeyError: There is none.
    """
    for name in path.split("."):
        if isinstance(values, BaseModel) and name in type(values).model_fields:
            values = getattr(values, name)
        elif isinstance(values, Mapping) and name in values:
            values = values[name]
        else:
            raise KeyError(path)
    return values


def values_of_round(schedule: Schedule, number: int) -> dict[str, ScheduledValue]:
    """What a schedule says of a round, by dotted path.

    Args:
        schedule: Values per round, from round 1 on.
        number: The round; of round 0, which trains nothing, it says nothing.

    Example:
        >>> values_of_round({"training.beta": [0.1, 5.0]}, 7)
        {'training.beta': 5.0}
    """
    if number < 1:
        return {}
    return {path: values[min(number, len(values)) - 1] for path, values in schedule.items()}


def with_values(values: dict[str, Any], changes: Mapping[str, ScheduledValue]) -> dict[str, Any]:
    """Nested settings with other values at dotted paths.

    Args:
        values: Nested mappings, not changed.
        changes: Values by paths that exist.
    """
    changed = dict(values)
    for path, value in changes.items():
        name, _, rest = path.partition(".")
        changed[name] = with_values(changed[name], {rest: value}) if rest else value
    return changed


def complaints(schedule: Schedule, settings: BaseModel) -> Iterator[str]:
    """What is wrong with a schedule's paths and lengths; its values are for the settings to judge.

    Args:
        schedule: The schedule.
        settings: The settings whose values it changes.
    """
    for path, values in schedule.items():
        if any(path == fixed or path.startswith(f"{fixed}.") for fixed in FIXED):
            yield f"schedule.{path}: this setting is the same in all rounds"
        elif not values:
            yield f"schedule.{path}: give at least one value, for round 1"
        else:
            try:
                value_at(settings, path)
            except KeyError:
                yield f"schedule.{path}: there is no setting {path}"


def drop_overruled(values: Mapping[str, Any], default: BaseModel) -> dict[str, Any]:
    """The schedule of given settings, or the recipe's own, without what is set for all rounds.

    A recipe's own schedule of a setting ends where the user gives that setting another value and
    no schedule: `--set training.beta=0.2` means 0.2 in every round.

    Args:
        values: Given settings, groups complete, perhaps with a schedule.
        default: The recipe's default settings.
    """
    own: Schedule = getattr(default, "schedule", {})
    schedule = flatten(values["schedule"] or {}) if "schedule" in values else dict(own)
    for path, normal in own.items():
        try:
            is_changed = value_at(values, path) != value_at(default, path)
        except KeyError:
            continue
        if is_changed and schedule.get(path) == normal:
            del schedule[path]
    return schedule
