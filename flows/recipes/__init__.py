"""Recipes: one file per published method, all composed of the same stages.

`RECIPES` is the only registry. A recipe does no I/O and has no loop over samples.
"""

from __future__ import annotations

from flows.errors import UnknownRecipeError
from flows.recipes import iterative_rpo, length_generalization, lmsi, rest_em, scpo
from flows.recipes.recipe import Recipe

__all__ = ["RECIPES", "Recipe", "find_recipe"]

RECIPES: dict[str, Recipe] = {
    module.RECIPE.name: module.RECIPE
    for module in (rest_em, iterative_rpo, lmsi, scpo, length_generalization)
}


def find_recipe(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        UnknownRecipeError: There is none.
    """
    if name not in RECIPES:
        raise UnknownRecipeError(
            f"recipe {name!r}: there are {', '.join(RECIPES)}; see `selfloom recipes`"
        )
    return RECIPES[name]
