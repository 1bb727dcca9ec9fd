"""Settings from a file and from the command line: who wins, and what is said of mistakes."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.errors import SettingError, UnknownRecipeError
from flows.plans import make_config
from flows.recipes import RECIPES, find_recipe


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_without_anything_the_defaults_are_the_recipes(recipe: str) -> None:
    assert make_config(recipe, None, []) == find_recipe(recipe).config()


def test_a_printed_configuration_can_be_read_back(tmp_path: Path) -> None:
    config = find_recipe("scpo").config.model_validate({"sampling": {"n": 5}, "seed": 9})
    file = tmp_path / "settings.json"
    file.write_text(config.model_dump_json(), encoding="utf-8")
    assert make_config("scpo", file, []) == config


def test_single_settings_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"sampling": {"n": 5, "temperature": 0.5}}), encoding="utf-8")
    config = make_config("scpo", file, ["sampling.n=6", "sampling.n=7"])
    assert (config.sampling.n, config.sampling.temperature, config.sampling.top_p) == (7, 0.5, 0.9)


@given(st.integers(1, 4096), st.floats(0, 5), st.booleans(), st.lists(st.integers(1, 9)))
def test_values_are_json(n: int, temperature: float, wrong: bool, levels: list[int]) -> None:
    settings = {
        "sampling.n": n,
        "sampling.temperature": temperature,
        "unparsed_is_wrong": wrong,
        "prompts.difficulties": levels,
    }
    texts = [f"{path}={json.dumps(value)}" for path, value in settings.items()]
    config = make_config("iterative_rpo", None, texts)
    assert (config.sampling.n, config.sampling.temperature) == (n, temperature)
    assert config.model_dump()["unparsed_is_wrong"] is wrong
    assert config.prompts.difficulties == levels


def test_what_is_no_json_is_a_text() -> None:
    config = make_config("lmsi", None, ["environment.options.path=data/x=1.jsonl", "gate.seed=4"])
    assert config.environment.options == {"path": "data/x=1.jsonl"}
    assert config.gate.seed == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["sampling.n=0"],
            r"recipe 'lmsi': sampling\.n: .*greater than or equal to 1 \(given: 0\)",
        ),
        (["samplings.n=3"], r"samplings: there is no such field"),
        (
            ["sampling.temprature=1"],
            r"there is no such field \(did you mean sampling\.temperature\?\)",
        ),
        (["sampling.n=many"], r"sampling\.n: .*valid integer.*\(given: 'many'\)"),
        (["seed=-1", "shard_size=0"], r"shard_size: .*; seed: |seed: .*; shard_size: "),
        (["training.method=sgd"], r"training\.method: .*'sft', 'dpo' or 'kto'"),
        (["training.lora_alpha=4"], "lora_alpha=4 without lora_r"),
        (["sampling.n"], "setting 'sampling.n': expected field=value"),
    ],
)
def test_a_bad_setting_is_named_with_what_was_given(settings: list[str], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make_config("lmsi", None, settings)


def test_the_command_that_prints_all_fields_is_named() -> None:
    with pytest.raises(SettingError, match=r"`selfloom recipes --settings lmsi` prints all fields"):
        make_config("lmsi", None, ["x=1"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting property name"),
        ("[1]", r"expected a JSON object, found \[1\]"),
        ("", "JSON"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "settings.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingError, match=f"settings file {file}: .*{message}"):
        make_config("lmsi", file, [])


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"settings file .*missing.json: .*No such file"):
        make_config("lmsi", tmp_path / "missing.json", [])
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingError, match=r"settings file .*binary.json: "):
        make_config("lmsi", binary, [])


def test_an_unknown_recipe_is_refused_before_its_settings() -> None:
    with pytest.raises(UnknownRecipeError, match="recipe 'grpo'"):
        make_config("grpo", None, ["x=1"])
