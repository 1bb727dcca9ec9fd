"""Recipes: one file per published method, all composed of the same stages.

A module in this folder with a `RECIPE` is a recipe; there is no other registry. A recipe does no
I/O and has no loop over samples.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from flows.errors import UnknownRecipeError
from flows.recipes.loading import is_outside, load_recipe
from flows.recipes.recipe import Recipe

__all__ = ["RECIPES", "Recipe", "find_recipe"]


@cache
def _found() -> dict[str, Recipe]:
    modules = [import_module(f"{__name__}.{name}") for _, name, _ in iter_modules(__path__)]
    recipes = [module.RECIPE for module in modules if hasattr(module, "RECIPE")]
    return {recipe.name: recipe for recipe in recipes}


def __getattr__(name: str) -> dict[str, Recipe]:
    # Recipes import stages, and stages the settings in this package: found when first asked for,
    # so that either can be imported first.
    if name != "RECIPES":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _found()


def find_recipe(name: str) -> Recipe:
    """The recipe called `name`; or the one in a file `name.py`, or at `module:RECIPE`.

    Raises:
        UnknownRecipeError: There is none.
    """
    recipes = _found()
    if name not in recipes and is_outside(name):
        return load_recipe(name)
    if name not in recipes:
        raise UnknownRecipeError(
            f"recipe {name!r}: there are {', '.join(recipes)}; see `selfloom recipes`, or "
            "give a .py file or module:RECIPE of your own"
        )
    return recipes[name]
