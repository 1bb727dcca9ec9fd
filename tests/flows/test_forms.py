"""The form of a recipe: order and names for people, and the same values accepted."""

from typing import Any

import pytest
from prefect.utilities.callables import parameter_schema

from flows.forms import form_of, offer_names
from flows.recipes import RECIPES
from flows.recipes.config import RecipeConfig
from flows.self_training import LOOPS

FOR_PEOPLE = {"title", "description", "position"}


def what_is_checked(schema: Any) -> Any:
    """A schema without what only people read."""
    if isinstance(schema, dict):
        is_property_list = all(isinstance(value, dict) for value in schema.values())
        return {
            key: what_is_checked(value)
            for key, value in schema.items()
            if is_property_list or key not in FOR_PEOPLE
        }
    return schema


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_only_what_people_read_and_the_choice_of_names_are_changed(name: str) -> None:
    before = parameter_schema(LOOPS[name])
    after = form_of(RECIPES[name], before)
    offer_names(before)
    assert what_is_checked(after.properties) == what_is_checked(before.properties)
    assert what_is_checked(after.definitions) == what_is_checked(before.definitions)
    assert after.properties != before.properties


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_loop_comes_first_then_the_recipes_own_switches_all_with_help(name: str) -> None:
    recipe = RECIPES[name]
    form = form_of(recipe, parameter_schema(LOOPS[name]))
    assert form.properties["loop"]["position"] < form.properties["config"]["position"]
    fields = form.definitions[recipe.config.__name__]["properties"]
    assert [entry["position"] for entry in fields.values()] == list(range(len(fields)))
    own = [field for field in recipe.config.model_fields if field not in RecipeConfig.model_fields]
    assert list(fields)[: len(own)] == own
    for field, entry in fields.items():
        assert entry["title"] == field  # the name that --set takes
        assert "$ref" in entry or "allOf" in entry or entry["description"]
    for definition in form.definitions.values():
        assert definition["description"] and "\n" not in definition["description"]
