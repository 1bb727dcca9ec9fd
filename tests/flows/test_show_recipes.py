"""Recipes are explained by composing them: stages, tables, switches, and the page of methods."""

import inspect
from pathlib import Path

import pytest

from flows.recipes import RECIPES
from flows.recorded_stages import RecordedStages, recorded
from flows.show_recipes import methods_page, switches
from flows.stage_tables import tables_of
from flows.stages import Stages
from storage import TABLES

PROJECT = Path(__file__).parents[2]
# Methods of `Stages` that are no stages.
OTHERS = {"clock", "agreement", "model", "agent"}


def test_the_page_of_methods_is_up_to_date() -> None:
    page = (PROJECT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert page == methods_page(), "selfloom recipes --markdown > docs/methods.md"
    assert "(docs/methods.md)" in (PROJECT / "README.md").read_text(encoding="utf-8")


def test_every_stage_says_which_tables_it_writes() -> None:
    for name, method in vars(Stages).items():
        if inspect.isfunction(method) and not name.startswith("_") and name not in OTHERS:
            tables = tables_of(method)
            assert tables is not None, f"Stages.{name} lacks @writes(...)"
            assert set(tables) <= set(TABLES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_can_be_recorded_and_ends_with_training_rows(name: str) -> None:
    calls = recorded(RECIPES[name])
    tables = {table for call in calls for table in call.tables}
    assert tables & {"examples", "pairs", "labels"} and tables <= set(TABLES)


def test_a_recipe_is_known_by_what_it_asks_for() -> None:
    found = [(call.stage, call.about, call.tables) for call in recorded(RECIPES["scpo"])]
    assert found == [
        ("sample", "8 at T 0.7", ("prompts", "samples", "executions", "scores")),
        ("vote", "", ("votes",)),
        ("select", "vote_pairs", ("pairs", "rejections")),
    ]


def test_a_stage_that_declares_nothing_is_named() -> None:
    with pytest.raises(AttributeError, match=r"Stages\.clock does not say which tables"):
        _ = RecordedStages(RECIPES["lmsi"]).clock


def test_switches_are_those_that_a_recipe_adds_or_sets_otherwise() -> None:
    found = {path: value for path, value, _ in switches(RECIPES["lmsi"])}
    assert found == {
        "sampling.n": 32,
        "training.learning_rate": 5e-5,
        "training.steps": 10_000,
        "training.batch_size": 32,
        "start_from": "base",
        "min_share": 0.5,
        "max_per_prompt": 32,
    }
    texts = {path: text for path, _, text in switches(RECIPES["lmsi"])}
    assert texts["start_from"] == "Weights that training starts from."  # of the shared field
