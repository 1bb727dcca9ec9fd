"""What a user writes on the command line, as the settings that flows and tasks take."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from flows.errors import SettingError
from flows.recipes import find_recipe
from flows.recipes.config import RecipeConfig
from tasks.errors import UnknownNameError
from tasks.sample_mapping import SampleMapping, guess_mapping

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def make_config(
    recipe: str,
    file: Path | None,
    settings: Sequence[str],
    by_path: Mapping[str, object] | None = None,
) -> RecipeConfig:
    """The settings of a recipe: its defaults, then the file's, then the single ones.

    Args:
        recipe: Name of the recipe.
        file: A JSON object of any subset of the settings.
        settings: Texts like `training.steps=200`; values are JSON, or text where that fails.
        by_path: The same as values, e.g. `{"training.steps": 200}`.

    Raises:
        UnknownRecipeError: There is no such recipe.
        SettingError: A field is unknown or its value out of range; the message names it.
    """
    model = find_recipe(recipe).config
    values = _read(file)
    for text in settings:
        path, separator, value = text.partition("=")
        if not separator or not all(path.split(".")):
            raise SettingError(f"setting {text!r}: expected field=value, e.g. training.steps=200")
        values = _merge(values, _nested(path.split("."), _value(value)))
    for path, given in (by_path or {}).items():
        values = _merge(values, _nested(path.split("."), given))
    # Only what is given: a setting that says the same as another one is then no contradiction.
    merged = _merge(model().model_dump(mode="json"), values)
    try:
        return model.model_validate({name: merged[name] for name in values})
    except ValidationError as error:
        known = list(_paths(model().model_dump(mode="json")))
        lines = [_complaint(item, known) for item in error.errors()]
        raise SettingError(
            f"settings of recipe {recipe!r}: {'; '.join(lines)}\n"
            f"`selfloom recipes --settings {recipe}` prints all fields"
        ) from error


def make_mapping(
    file: Path,
    prompt: str | None,
    completions: Sequence[str],
    reference: str | None,
    model: str | None,
) -> SampleMapping:
    """The columns of somebody else's file: the named ones, and what names suggest for the others.

    Args:
        file: The file.
        prompt: Column with the prompt.
        completions: Columns with completions.
        reference: Column with the reference answer.
        model: Column that names the model.

    Raises:
        SettingError: There is no such file.
        UnknownNameError: Prompt or completions are not named, and no column has a usual name.
        SourceError: The file can't be read.
        DataFormatError: No row of it is readable.
    """
    if not file.is_file():
        raise SettingError(f"{file}: no such file; the working folder is {Path.cwd()}")
    try:
        guess = guess_mapping(file)
    except UnknownNameError:
        if prompt is None or not completions:
            raise
        return SampleMapping(prompt, tuple(completions), reference, model)
    taken = {prompt, *completions}
    return replace(
        guess,
        prompt=prompt or guess.prompt,
        completions=tuple(completions) or guess.completions,
        reference=reference or (None if guess.reference in taken else guess.reference),
        model=model or (None if guess.model in taken else guess.model),
    )


def import_run(file: Path) -> str:
    """The run that a file is imported into: another one for each name of a file.

    Example:
        >>> import_run(Path("data/model solutions.jsonl"))
        'import-model-solutions'
    """
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", file.name.partition(".")[0]).strip("-")
    return f"import-{stem}"[:100].rstrip("-")


def _complaint(item: ErrorDetails, known: Sequence[str]) -> str:
    """What is wrong with one field, and the field that was probably meant."""
    path = ".".join(map(str, item["loc"]))
    if not path:  # of several settings together; the message names them
        return item["msg"].removeprefix("Value error, ")
    if item["type"] != "extra_forbidden":
        return f"{path}: {item['msg']} (given: {item['input']!r:.60})"
    close = get_close_matches(path, known, n=1)
    return f"{path}: there is no such field{f' (did you mean {close[0]}?)' if close else ''}"


def _paths(values: dict[str, Any], start: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield f"{start}{name}"
        if isinstance(value, dict):
            yield from _paths(value, f"{start}{name}.")


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
