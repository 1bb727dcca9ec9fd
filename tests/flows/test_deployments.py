"""Deployments: what a worker imports is the recipe's own flow, with the recipe's own form."""

import importlib
import re

import pytest
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from flows.deployments import deployments
from flows.recipes import RECIPES, find_recipe
from flows.self_training import LOOPS
from flows.server import TAG
from tasks.engines import ENGINES
from tasks.environments import ENVIRONMENTS

NAMES = sorted(RECIPES)


@pytest.mark.parametrize("recipe", NAMES)
def test_an_entrypoint_imports_to_the_loop(recipe: str) -> None:
    found: object = load_flow_from_entrypoint(f"flows.deployments.{recipe}")
    assert found is LOOPS[recipe]
    assert LOOPS[recipe].name == "self_training"


@pytest.mark.parametrize("recipe", NAMES)
def test_the_form_has_the_recipes_own_settings_with_help_and_bounds(recipe: str) -> None:
    schema = parameter_schema(load_flow_from_entrypoint(f"flows.deployments.{recipe}"))
    config = find_recipe(recipe).config
    assert list(schema.properties) == ["config", "loop"]
    form = schema.definitions[config.__name__]["properties"]
    assert form.keys() == config.model_fields.keys()
    own = [name for name, field in config.model_fields.items() if field.description]
    assert all(form[name]["description"] for name in own)
    assert schema.definitions["SamplingSpec"]["properties"]["temperature"]["maximum"] == 5.0
    assert schema.definitions["LoopSpec"]["properties"]["rounds"]["minimum"] == 1
    assert schema.properties["config"]["description"].startswith("Settings of the recipe")


def test_the_defaults_of_the_form_are_the_papers() -> None:
    schema = parameter_schema(load_flow_from_entrypoint("flows.deployments.scpo"))
    default = schema.properties["config"]["default"]
    assert find_recipe("scpo").config.model_validate(default) == find_recipe("scpo").config()


def test_there_is_one_deployment_per_recipe_by_module_path() -> None:
    made = {deployment.name: deployment for deployment in deployments()}
    assert made.keys() == {*RECIPES, "any_recipe", "evaluate_flow"}
    for name, deployment in made.items():
        assert deployment.entrypoint == f"flows.deployments.{name}"
        assert deployment.concurrency_limit == 1
        assert deployment.version and TAG in deployment.tags
        assert name not in RECIPES or RECIPES[name].paper in (deployment.description or "")


def test_names_are_choices_of_the_forms() -> None:
    made = {deployment.name: deployment._parameter_openapi_schema for deployment in deployments()}
    one = made["any_recipe"].properties
    assert one["recipe"]["enum"] == list(RECIPES) and one["recipe"]["default"] in RECIPES
    assert one["environment"]["enum"] == [one["environment"]["default"], *ENVIRONMENTS]
    for name in {*RECIPES, "evaluate_flow"}:
        definitions = made[name].definitions
        assert definitions["EngineSpec"]["properties"]["name"]["enum"] == list(ENGINES)
        environment = definitions["EnvironmentSpec"]["properties"]["name"]
        assert environment["anyOf"][0]["enum"] == list(ENVIRONMENTS)
        assert re.search(environment["anyOf"][1]["pattern"], "my.module:Problems")


def test_a_worker_that_imports_the_module_anew_finds_the_names() -> None:
    module = importlib.import_module("flows.deployments")
    assert all(getattr(module, name) is LOOPS[name] for name in NAMES)
