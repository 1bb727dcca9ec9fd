"""A recipe of one's own: a file, or an object of a module; what is wrong with it is said."""

import sys
from pathlib import Path

import pytest

from flows.errors import UnknownRecipeError
from flows.plans import make_config
from flows.recipes import find_recipe
from flows.self_training import LOOPS, find_loop

OWN = """
from dataclasses import replace
from flows.recipes.scpo import RECIPE as SCPO

RECIPE = replace(SCPO, name="own")
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own_recipe.py"
    path.write_text(OWN, encoding="utf-8")
    return path


def test_a_file_is_loaded_once_and_has_settings_and_a_loop(own: Path) -> None:
    recipe = find_recipe(str(own))
    assert recipe.name == "own" and find_recipe(str(own)) is recipe
    assert make_config(str(own), None, ["min_share=0.7"]).model_dump()["min_share"] == 0.7
    assert find_loop(str(own)).fn.__name__ == "own"
    assert find_loop("scpo") is LOOPS["scpo"]


def test_an_object_of_a_module_is_a_recipe(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(own.parent))
    assert find_recipe("own_recipe:RECIPE").name == "own"
    monkeypatch.delitem(sys.modules, "own_recipe")


def test_two_files_of_one_name_are_two_recipes(own: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / own.name
    other.parent.mkdir()
    other.write_text(OWN.replace('"own"', '"second"'), encoding="utf-8")
    assert [find_recipe(str(path)).name for path in (own, other)] == ["own", "second"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RECIPE = 3", "RECIPE is a int"),
        ("", "AttributeError: .* no attribute 'RECIPE'"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UnknownRecipeError, match=message):
        find_recipe(str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownRecipeError, match=r"none\.py' can't be imported"):
        find_recipe(str(tmp_path / "none.py"))
