"""Recipes: one file per published method, all composed of the same stages.

A module in this folder with a `RECIPE` is a recipe; there is no other registry. A recipe does no
I/O and has no loop over samples.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from flows.errors import UnknownRecipeError
from flows.recipes.loading import is_outside, load_recipe
from flows.recipes.recipe import Recipe

__all__ = ["RECIPES", "Recipe", "find_recipe"]


def _found() -> dict[str, Recipe]:
    modules = [import_module(f"{__name__}.{name}") for _, name, _ in iter_modules(__path__)]
    recipes = [module.RECIPE for module in modules if hasattr(module, "RECIPE")]
    return {recipe.name: recipe for recipe in recipes}


RECIPES: dict[str, Recipe] = _found()


def find_recipe(name: str) -> Recipe:
    """The recipe called `name`; or the one in a file `name.py`, or at `module:RECIPE`.

    Raises:
        UnknownRecipeError: There is none.
    """
    if name not in RECIPES and is_outside(name):
        return load_recipe(name)
    if name not in RECIPES:
        raise UnknownRecipeError(
            f"recipe {name!r}: there are {', '.join(RECIPES)}; see `selfloom recipes`, or "
            "give a .py file or module:RECIPE of your own"
        )
    return RECIPES[name]
