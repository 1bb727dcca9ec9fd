"""The form of a recipe in the Prefect UI: what is asked first comes first, named as in `--set`."""

from __future__ import annotations

from typing import Any

from prefect.utilities.callables import ParameterSchema

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from tasks.engines import ENGINES
from tasks.environments import ENVIRONMENTS

_PARAMETERS = ("loop", "config")


def form_of(recipe: Recipe, schema: ParameterSchema) -> ParameterSchema:
    """The schema with another order, other titles, the missing help texts, and choices of names.

    Args:
        recipe: The recipe whose form it is.
        schema: The schema that Prefect made of the flow's parameters.
    """
    form = schema.model_copy(deep=True)
    for position, name in enumerate(_PARAMETERS):
        form.properties[name]["position"] = position
    for name, definition in form.definitions.items():
        definition["title"] = name
        # Only the sentence for users; the rest is for readers of the code.
        definition["description"] = definition.get("description", "").partition("\n")[0]
        for field, entry in definition.get("properties", {}).items():
            entry["title"] = field
    offer_names(form)
    settings = form.definitions[recipe.config.__name__]
    settings["properties"] = _own_first(recipe, settings["properties"])
    return form


def offer_names(form: ParameterSchema) -> None:
    """Make the names that settings know choices of the form; an environment may be a class too."""
    environment = form.definitions["EnvironmentSpec"]["properties"]["name"]
    del environment["type"]
    environment["anyOf"] = [
        {"title": "shipped", "type": "string", "enum": list(ENVIRONMENTS)},
        {"title": "own class", "type": "string", "pattern": "^[^:]+:[^:]+$"},
    ]
    form.definitions["EngineSpec"]["properties"]["name"]["enum"] = list(ENGINES)


def _own_first(recipe: Recipe, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a recipe's settings: first those that only it has."""
    shared = RecipeConfig.model_fields
    own = [name for name in fields if name not in shared]
    ordered = {name: fields[name] for name in (*own, *(n for n in fields if n in shared))}
    for position, (name, entry) in enumerate(ordered.items()):
        entry["position"] = position
        if name in shared and shared[name].description:
            entry.setdefault("description", shared[name].description)
    return ordered
