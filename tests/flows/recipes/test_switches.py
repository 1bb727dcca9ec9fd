"""What papers disagree on is a switch of every recipe, on the command line and in the form."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from flows.errors import SettingError
from flows.plans import make_config
from flows.recipes import RECIPES
from flows.recipes.config import LoopSpec
from flows.self_training import find_loop

HERE = Path(__file__).parent
SWITCHES = [
    *(f"start_from={value}" for value in ("base", "previous")),
    *(f"reference={value}" for value in ("base", "previous")),
    *(f"mix.rounds={value}" for value in ("new", "new_and_previous", "all")),
    "sampling.temperature=0.9",
    "steps_growth=1.5",
    "seed=7",
]
# Thresholds of the recipes' own: any that there is can change from round to round.
THRESHOLDS = ("min_share", "min_margin", "keep_share", "rho", "min_strength", "critic_mix")


def value_of(config: BaseModel, path: str) -> Any:
    found: Any = config
    for name in path.split("."):
        found = getattr(found, name)
    return found


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_switch_is_taken_from_the_command_line(recipe: str) -> None:
    for setting in SWITCHES:
        path, _, text = setting.partition("=")
        found = value_of(make_config(recipe, None, [setting]), path)
        assert str(found) == text, setting
    weights = ["mix.rounds=new", "mix.newest_share=null", "mix.round_weights=[2, 1]"]
    assert make_config(recipe, None, weights).mix.round_weights == [2, 1]
    fixed = make_config(recipe, None, ["reference=fixed", "fixed_reference=seed:programs"])
    assert "seed:programs" in fixed.other_models


@pytest.mark.parametrize("recipe", RECIPES)
def test_temperature_and_thresholds_may_differ_from_round_to_round(recipe: str) -> None:
    config = make_config(recipe, None, ["schedule.sampling.temperature=[0.7, 1.3]"])
    heats = [config.for_round(number).sampling.temperature for number in (1, 2, 3)]
    assert heats == [0.7, 1.3, 1.3]
    for name in THRESHOLDS:
        if isinstance(getattr(config, name, None), float):
            hotter = make_config(recipe, None, [f"schedule.{name}=[0.6, 0.5]"])
            rounds = [getattr(hotter.for_round(number), name) for number in (1, 2, 3)]
            assert rounds == [0.6, 0.5, 0.5]


def test_options_of_an_engine_may_differ_too() -> None:
    threads = "engine.options.num_threads"
    config = make_config("rest_em", None, [f"{threads}=1", f"schedule.{threads}=[1, 2]"])
    rounds = [config.for_round(number).engine.options["num_threads"] for number in (1, 2)]
    assert rounds == [1, 2]
    with pytest.raises(SettingError, match=f"{threads}=3, but schedule.{threads} begins with 1"):
        make_config("rest_em", None, [f"{threads}=3", f"schedule.{threads}=[1, 2]"])
    with pytest.raises(SettingError, match=f"there is no setting {threads}"):
        make_config("rest_em", None, [f"schedule.{threads}=[1, 2]"])


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_form_has_the_switches(recipe: str) -> None:
    schema = find_loop(recipe).parameters.model_dump()
    text = str(schema)
    for name in ("start_from", "reference", "mix", "schedule", "sampling", "rounds"):
        assert f"'{name}'" in text, name
    assert LoopSpec(rounds=4).rounds == 4


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_test_runs_it_for_two_rounds(recipe: str) -> None:
    texts = [path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py")]
    own = [text for text in texts if f'"{recipe}"' in text and "pytest.mark.recipes" in text]
    assert own or any(f'"{recipe}"' in text and '"recipes"' in text for text in texts)
