"""Settings of a recipe from a JSON file and from `field=value` texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from flows.errors import SettingError
from flows.recipes import find_recipe
from flows.recipes.config import RecipeConfig


def make_config(recipe: str, file: Path | None, settings: Sequence[str]) -> RecipeConfig:
    """The settings of a recipe: its defaults, then the file's, then the single ones.

    Args:
        recipe: Name of the recipe.
        file: A JSON object of any subset of the settings.
        settings: Texts like `training.steps=200`; values are JSON, or text where that fails.

    Raises:
        UnknownRecipeError: There is no such recipe.
        SettingError: A field is unknown or its value out of range; the message names it.
    """
    model = find_recipe(recipe).config
    values = _merge(model().model_dump(mode="json"), _read(file))
    for text in settings:
        path, separator, value = text.partition("=")
        if not separator:
            raise SettingError(f"setting {text!r}: expected field=value, e.g. training.steps=200")
        values = _merge(values, _nested(path.split("."), _value(value)))
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, item['loc']))}: {item['msg']} (given: {item['input']!r})"
            for item in error.errors()
        ]
        raise SettingError(
            f"settings of recipe {recipe!r}: {'; '.join(lines)}. "
            f"`selfloom recipes --settings {recipe}` prints all fields"
        ) from error


def _read(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingError(f"settings file {file}: {error}; expected a JSON object") from error
    if not isinstance(values, dict):
        raise SettingError(f"settings file {file}: expected a JSON object, found {values!r:.60}")
    return values


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _nested(path: Sequence[str], value: object) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    return value if isinstance(value, dict) else {}


def _merge(base: dict[str, Any], update: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in update.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _merge(old, value) if both and isinstance(old, dict) else value
    return merged
