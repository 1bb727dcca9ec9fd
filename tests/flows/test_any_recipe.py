"""The loop with the recipe as a parameter: settings by path, and one message for a bad one."""

from pathlib import Path

import pytest

from flows.any_recipe import RECIPES_OWN, any_recipe
from flows.errors import SettingError, UnknownRecipeError
from flows.plans import make_config
from flows.recipes import find_recipe
from flows.recipes.config import LoopSpec


def test_settings_by_path_are_those_of_the_command_line() -> None:
    by_path = make_config("scpo", None, (), {"sampling.n": 5, "environment.name": "copy"})
    by_text = make_config("scpo", None, ["sampling.n=5", "environment.name=copy"])
    assert by_path == by_text != find_recipe("scpo").config()


def test_a_bad_choice_is_named_before_the_warehouse_is_made(tmp_path: Path) -> None:
    loop = LoopSpec(warehouse=str(tmp_path / "w"))
    with pytest.raises(SettingError, match=r"sampling\.nn: there is no such field"):
        any_recipe.fn("scpo", RECIPES_OWN, {"sampling.nn": 5}, loop)
    with pytest.raises(UnknownRecipeError, match="recipe 'scpoo'"):
        any_recipe.fn("scpoo")
    assert not (tmp_path / "w").exists()
