"""Recipes outside of this folder: a file of your own, or an object of an importable module."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from flows.errors import UnknownRecipeError
from flows.recipes.recipe import Recipe


def is_outside(name: str) -> bool:
    """Whether a name is that of a file (`my_recipe.py`) or of an object (`module:RECIPE`)."""
    return name.endswith(".py") or ":" in name


def load_recipe(name: str) -> Recipe:
    """The recipe in a file, or an object of a module; once per process.

    Args:
        name: The path of a .py file with a `RECIPE`, or `module:NAME`.

    Raises:
        UnknownRecipeError: There is no such file, module or recipe, or it can't be imported.
    """
    path, _, attribute = (name, "", "RECIPE") if name.endswith(".py") else name.partition(":")
    try:
        module = (
            _module_of(Path(path).expanduser().resolve())
            if name.endswith(".py")
            else importlib.import_module(path)
        )
        found = getattr(module, attribute)
    except Exception as error:  # whatever the user's own code raises
        raise UnknownRecipeError(
            f"recipe {name!r} can't be imported: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, Recipe):
        raise UnknownRecipeError(
            f"recipe {name!r}: {attribute} is a {type(found).__name__}; make it a "
            "flows.recipes.Recipe(...)"
        )
    return found


@cache
def _module_of(path: Path) -> ModuleType:
    """The module in a file, under a name that no other file's module has."""
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    spec = importlib.util.spec_from_file_location(f"recipe_{path.stem}_{digest}", path)
    assert spec is not None and spec.loader is not None  # it is a .py file
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # pydantic looks there for the types of annotations
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module
