"""Recipes: the papers' numbers as defaults, bounds that name their field, one registry."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from flows.errors import UnknownRecipeError
from flows.recipes import RECIPES, find_recipe
from flows.recipes.config import LoopSpec, RecipeConfig
from flows.stages import Stages
from tasks.models import ModelRef
from tasks.selection import Selection, check_selections

# (setting, published value): the sections are named beside the defaults.
PUBLISHED: dict[str, dict[str, object]] = {
    "rest_em": {
        "sampling.n": 32,
        "sampling.temperature": 0.7,
        "sampling.top_k": 40,
        "max_per_prompt": 10,
        "start_from": "base",
        "training.method": "sft",
    },
    "iterative_rpo": {
        "sampling.n": 30,
        "sampling.temperature": 0.8,
        "max_pairs": 10,
        "start_from": "previous",
        "reference": "previous",
        "mix.rounds": "new",
        "training.method": "dpo",
        "training.beta": 0.1,
        "training.nll_weight": 1.0,
        "training.learning_rate": 7e-7,
        "training.batch_size": 16,
        "training.steps": 5000,
    },
    "lmsi": {
        "sampling.n": 32,
        "sampling.temperature": 0.7,
        "max_per_prompt": 32,
        "start_from": "base",
        "training.method": "sft",
        "training.learning_rate": 5e-5,
        "training.steps": 10_000,
        "training.batch_size": 32,
    },
    "scpo": {
        "sampling.n": 8,
        "sampling.temperature": 0.7,
        "sampling.top_p": 0.9,
        "min_share": 0.5,
        "max_pairs": 1,
        "start_from": "previous",
        "reference": "previous",
        "training.method": "dpo",
        "training.beta": 0.5,
        "training.nll_weight": 1.0,
        "training.learning_rate": 5e-6,
        "training.lr_schedule": "cosine",
        "training.epochs": 10,
        "training.batch_size": 16,
    },
    "length_generalization": {
        "base_difficulty": 10,
        "step": 1,
        "min_share": 1.0,
        "start_from": "previous",
        "mix.rounds": "all",
        "mix.newest_share": 0.5,
        "training.method": "sft",
        "training.learning_rate": 5e-4,
        "training.adam_beta2": 0.98,
        "training.weight_decay": 0.01,
        "training.batch_size": 1024,
    },
}
PAPERS = {
    "rest_em": ("2312.06585", "answers"),
    "iterative_rpo": ("2404.19733", "answers"),
    "lmsi": ("2210.11610", "none"),
    "scpo": ("2411.04109", "none"),
    "length_generalization": ("2502.01612", "seed answers"),
}
NAMES = sorted(PUBLISHED)


def nested(path: str, value: object) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def look_up(config: BaseModel, path: str) -> object:
    found: object = config
    for name in path.split("."):
        found = getattr(found, name)
    return found


def test_the_registry_holds_each_recipe_under_its_own_name() -> None:
    assert RECIPES.keys() >= PUBLISHED.keys() == PAPERS.keys()
    for name, recipe in RECIPES.items():
        assert find_recipe(name) is recipe and recipe.name == name
        assert recipe.title and recipe.reported and recipe.paper
    for name, facts in PAPERS.items():
        assert (RECIPES[name].paper, RECIPES[name].labels) == facts


def test_an_unknown_recipe_lists_those_there_are() -> None:
    with pytest.raises(UnknownRecipeError, match=r"'no_such': there are .*scpo") as e:
        find_recipe("no_such")
    assert str(e.value).startswith("recipe 'no_such'")  # a KeyError would show quotes


@pytest.mark.parametrize(
    ("recipe", "path", "value"),
    [(name, path, value) for name, all_ in PUBLISHED.items() for path, value in all_.items()],
)
def test_defaults_are_the_papers(recipe: str, path: str, value: object) -> None:
    assert look_up(find_recipe(recipe).config(), path) == value


OUT_OF_RANGE = [
    ("rest_em", "max_per_prompt", 0),
    ("iterative_rpo", "max_pairs", 0),
    ("iterative_rpo", "unparsed_is_wrong", "perhaps"),
    ("lmsi", "min_share", 1.5),
    ("lmsi", "max_per_prompt", 0),
    ("scpo", "min_share", -0.1),
    ("scpo", "max_pairs", 0),
    ("length_generalization", "min_share", 2),
    ("length_generalization", "step", 0),
    ("length_generalization", "base_difficulty", 0),
    ("length_generalization", "num_seed_examples", 0),
    *(
        (name, path, value)
        for name in NAMES
        for path, value in (
            ("prompts.num", 0),
            ("sampling.n", 0),
            ("sampling.temperature", -0.1),
            ("sampling.top_p", 0),
            ("training.learning_rate", 0),
            ("training.steps", 0),
            ("start_from", "middle"),
            ("reference", "none"),
            ("mix.rounds", "old"),
            ("mix.newest_share", 0),
            ("evaluation.num", 0),
            ("evaluation.num_samples", -1),
            ("gate.alpha", 0),
            ("monitors.min_training_rows", 0),
            ("sandbox.workers", 0),
            ("sandbox.cpu_s", 0),
            ("shard_size", 0),
            ("seed", -1),
        )
    ),
]


@pytest.mark.parametrize(("recipe", "path", "value"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused_by_its_name(recipe: str, path: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        find_recipe(recipe).config.model_validate(nested(path, value))
    assert {".".join(map(str, e["loc"])) for e in caught.value.errors()} == {path}


@pytest.mark.parametrize("recipe", NAMES)
@pytest.mark.parametrize("path", ["temperature", "sampling.num", "training.lr", "gate.p_value"])
def test_an_unknown_field_is_refused(recipe: str, path: str) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        find_recipe(recipe).config.model_validate(nested(path, 1))


@pytest.mark.parametrize("recipe", NAMES)
def test_every_setting_of_a_form_has_a_help_text(recipe: str) -> None:
    def undocumented(model: type[BaseModel], path: str) -> list[str]:
        found = []
        for name, field in model.model_fields.items():
            nested_model = field.annotation
            if isinstance(nested_model, type) and issubclass(nested_model, BaseModel):
                assert nested_model.__doc__
                found += undocumented(nested_model, f"{path}{name}.")
            elif not field.description and name not in RecipeConfig.model_fields:
                found.append(f"{path}{name}")
        return found

    assert undocumented(find_recipe(recipe).config, "") == []
    assert undocumented(LoopSpec, "") == []


class Recorder:
    """Stands where the stages are: keeps what a recipe asks for, and does nothing."""

    def __init__(self, num_promoted: int = 0) -> None:
        self.calls: list[str] = []
        self.selections: list[Selection] = []
        self.difficulties: list[int] | None = None
        self.num_promoted = num_promoted
        self.incumbent = ModelRef("recorded", Path(), "")

    def sample(self, prompts: Any, sampling: Any, of: str = "environment") -> None:
        self.calls.append("sample")
        self.difficulties = prompts.difficulties

    def vote(self) -> None:
        self.calls.append("vote")

    def seed_examples(self, num: int, difficulties: list[int]) -> None:
        self.calls.append(f"seed {num} {difficulties[0]}-{difficulties[-1]}")

    def select(self, *selections: Selection, filters: Sequence[Selection] = ()) -> str:
        self.calls.append("select")
        self.selections += selections
        return "examples"


def composed(recipe: str, recorder: Recorder, **changes: object) -> Recorder:
    method = find_recipe(recipe)
    config = method.config.model_validate(changes)
    assert method.compose(cast(Stages, recorder), config) == "examples"
    return recorder


@pytest.mark.parametrize("recipe", NAMES)
def test_selections_are_known_and_read_references_only_where_declared(recipe: str) -> None:
    method = find_recipe(recipe)
    recorder = composed(recipe, Recorder())
    assert [call for call in recorder.calls if " " not in call] == ["sample", "vote", "select"]
    check_selections(recorder.selections, allow_references=method.allow_references)
    assert method.allow_references == (method.labels == "answers")
    assert (method.labels_from == "references") == method.allow_references


@pytest.mark.parametrize("module", ["flows.stages", "flows.training_round"])
def test_a_module_can_be_the_first_that_is_imported(module: str) -> None:
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)


def test_settings_reach_the_selection() -> None:
    (one,) = composed("scpo", Recorder(), min_share=0.7, max_pairs=3).selections
    weights = {"weighted": True}
    assert one == Selection("vote_pairs", {"min_share": 0.7, "max_pairs": 3, **weights})
    (one,) = composed("rest_em", Recorder(), max_per_prompt=4).selections
    assert one == Selection("reference_correct", {"max_per_prompt": 4})


@given(st.integers(0, 20), st.integers(1, 4), st.integers(1, 12))
def test_the_frontier_moves_with_promotions_alone(promoted: int, step: int, base: int) -> None:
    settings = {"step": step, "base_difficulty": base, "num_seed_examples": 5}
    recorder = composed("length_generalization", Recorder(promoted), **settings)
    assert recorder.difficulties == [base + step * (promoted + 1)]
    assert recorder.calls[0] == f"seed 5 1-{base}"


def test_with_extend_at_the_frontier_follows_the_agreement_of_the_promoted_model() -> None:
    class Agreeing(Recorder):
        def agreement(self) -> dict[int, float]:
            return {9: 0.5, 11: 0.995, 12: 0.98}

    settings = {"extend_at": 0.99, "base_difficulty": 10}
    assert composed("length_generalization", Agreeing(5), **settings).difficulties == [12]
    settings["extend_at"] = 0.98
    assert composed("length_generalization", Agreeing(5), **settings).difficulties == [13]
    # No difficulty is passed over: the first round teaches the first one.
    assert composed("length_generalization", Agreeing(0), **settings).difficulties == [11]


def test_extend_at_without_held_out_samples_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"evaluation\.num_samples"):
        find_recipe("length_generalization").config.model_validate(
            {"extend_at": 0.99, "evaluation": {"num_samples": 0}}
        )


def test_the_hash_of_a_run_follows_recipe_base_and_every_setting() -> None:
    recipe = find_recipe("lmsi")
    config = recipe.config()
    first = recipe.hash(config, "weights")
    assert first == recipe.hash(recipe.config(), "weights")
    changed = config.model_copy(update={"min_share": 0.6})
    others = {
        recipe.hash(config, "other weights"),
        recipe.hash(changed, "weights"),
        find_recipe("scpo").hash(config, "weights"),
    }
    assert len(others | {first}) == 4


def test_a_group_given_in_part_keeps_the_recipes_own_defaults() -> None:
    config = RECIPES["scpo"].config.model_validate({"training": {"steps": 10}})

    assert config.training.steps == 10
    assert (config.training.method, config.training.beta) == ("dpo", 0.5)
