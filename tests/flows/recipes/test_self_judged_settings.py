"""Self-judged recipes at rest: published numbers, what each round selects, and help texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import BaseModel

from flows.launch import check_loop
from flows.recipes import find_recipe
from flows.recipes.config import LoopSpec, RecipeConfig
from flows.recipes.osp import OSP
from flows.stages import Stages
from tasks.errors import ModelFolderError
from tasks.selection import Selection, check_selections

# Sections are named beside the defaults; what is not published is not here.
PUBLISHED: dict[str, dict[str, object]] = {
    "self_rewarding": {
        "sampling.n": 4,
        "sampling.temperature": 0.7,
        "sampling.top_p": 0.9,
        "judge.num_judgements": 3,
        "judge.high": 5.0,
        "training.beta": 0.1,
        "training.learning_rate": 1e-6,
        "training.final_lr_share": 0.1,
        "training.batch_size": 16,
    },
    "meta_rewarding": {
        "sampling.n": 7,
        "sampling.temperature": 0.8,
        "sampling.top_p": 0.95,
        "judge.num_judgements": 11,
        "rho": [0.0, 0.32, 0.32, 0.4],
        "judge_rounds": 2,
        "training.learning_rate": 5e-6,
        "training.lr_schedule": "cosine",
        "training.batch_size": 32,
        "training.epochs": 10,
    },
    "cream": {
        "sampling.n": 5,
        "sampling.temperature": 0.8,
        "sampling.top_p": 0.95,
        "training.beta": 0.1,
        "training.learning_rate": 1e-6,
        "training.epochs": 1,
        "training.batch_size": 32,
    },
    "scir": {"judge.inconsistent": "abstain"},
    "osp": {"judge.inconsistent": "mean", "judge.reference": "none"},
    "self_reference": {"judge.reference": "own", "sampling.n": 2},
    "salmon": {"sampling.n": 2, "sampling.temperature": 0.7, "hard_labels": True},
    "self_align": {
        "sampling.n": 1,
        "sampling.temperature": 0.7,
        "sampling.top_p": 0.95,
        "start_from": "base",
        "training.method": "sft",
        "training.lora_r": 64,
    },
    "self_rationalization": {"target": "reference", "judge.temperature": 1.0},
}


class Recorder:
    """Stands where the stages are: keeps what a recipe selects, and does nothing else."""

    answer_role = "answer"

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls: list[str] = []
        self.selections: list[tuple[str, Selection]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: self.calls.append(name)

    def select(self, *selections: Selection) -> str:
        self.selections += [("", one) for one in selections]
        return "pairs"

    def select_asked(self, name: str, *selections: Selection) -> str:
        self.selections += [(name, one) for one in selections]
        return "pairs"


def composed(name: str, number: int = 1, **changes: object) -> Recorder:
    recipe, recorder = find_recipe(name), Recorder(number)
    recipe.compose(cast(Stages, recorder), recipe.config.model_validate(changes))
    return recorder


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [(name, path, value) for name, own in PUBLISHED.items() for path, value in own.items()],
)
def test_defaults_are_the_papers(name: str, path: str, value: object) -> None:
    found: object = find_recipe(name).config()
    for step in path.split("."):
        found = getattr(found, step)
    assert found == value


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_round_selects_what_can_run(name: str) -> None:
    recipe = find_recipe(name)
    for number in (1, 2, 3, 7):
        own = [one for _, one in composed(name, number).selections]
        tables = {
            table
            for one in own
            for table in check_selections([one], allow_references=recipe.allow_references)
        }
        assert tables == {"examples" if recipe.config().training.method == "sft" else "pairs"}


def test_meta_rewarding_follows_its_schedule() -> None:
    def found(number: int) -> list[tuple[str, object, object]]:
        return [
            (name, one.parameters.get("rho"), one.parameters["max_chosen_length"])
            for name, one in composed("meta_rewarding", number).selections
        ]

    assert found(1) == [("", 0.0, 2500), ("judge", None, 1100)]
    assert found(2) == [("", 0.32, 0), ("judge", None, 1000)]
    assert found(3) == [("", 0.32, 0)]
    assert found(4) == found(9) == [("", 0.4, 0)]


def test_a_judge_of_another_name_is_followed() -> None:
    ((_, one),) = composed("self_rewarding", judge={"name": "critic"}).selections
    assert one.parameters["check_name"] == "critic"
    (_, (asked, pairs)) = composed("meta_rewarding", judge={"name": "critic"}).selections
    assert asked == "critic" and pairs.parameters["check_name"] == "meta_judge_elo"


def test_two_recipes_are_settings_of_osp() -> None:
    for name in ("self_reference", "salmon"):
        recipe = find_recipe(name)
        assert issubclass(recipe.config, OSP) and recipe.compose is find_recipe("osp").compose


@pytest.mark.parametrize("name", ["cream", "scir"])
def test_the_initial_model_has_to_be_there_before_the_run(name: str, tmp_path: Path) -> None:
    config = find_recipe(name).config.model_validate({"initial_model": "/no/such/model"})
    loop = LoopSpec(run="r", base_model="seed:programs", warehouse=str(tmp_path / "w"))
    with pytest.raises(ModelFolderError, match="'/no/such/model' is neither a folder nor"):
        check_loop(name, config, loop)
    assert find_recipe(name).config().other_models == []


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_setting_of_a_form_has_a_help_text(name: str) -> None:
    def undocumented(model: type[BaseModel], path: str) -> list[str]:
        found = []
        for key, field in model.model_fields.items():
            inner = field.annotation
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                assert inner.__doc__
                found += undocumented(inner, f"{path}{key}.")
            elif not field.description and key not in RecipeConfig.model_fields and key != "kind":
                found.append(f"{path}{key}")
        return found

    assert undocumented(find_recipe(name).config, "") == []
