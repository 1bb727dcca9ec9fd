"""What is refused before any work begins, and the words it is refused with."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows.errors import SettingError
from flows.preflight import check_disk, check_plan
from flows.recipes import RECIPES, find_recipe
from sandbox import SandboxError
from storage import Warehouse, WarehouseFullError
from tasks.errors import OptionError, SourceError, UnknownNameError
from tests.flows.conftest import tiny_config


def check(recipe: str, **changes: Any) -> None:
    check_plan(find_recipe(recipe), tiny_config(recipe, **changes))


@pytest.mark.sandbox
@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_a_sound_plan_passes(recipe: str) -> None:
    check(recipe, sampling=find_recipe(recipe).config().sampling.model_dump())


def write_problems(folder: Path, rows: list[dict[str, str]]) -> dict[str, Any]:
    """An environment over a file of these rows."""
    file = folder / "problems.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    options = {"path": str(file), "question": "q", "reference": "a"}
    return {"name": "jsonl", "options": options}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"engine": {"name": "vlllm"}}, UnknownNameError, r"engine 'vlllm'.*transformers"),
        ({"engine": {"options": {"threads": 1}}}, OptionError, "threads"),
        ({"engine": {"options": {"num_threads": 0}}}, OptionError, "num_threads"),
        (
            {
                "engine": {
                    "name": "openai",
                    "options": {"base_urls": "http://gpu:8000", "trust_served_weights": True},
                }
            },
            SettingError,
            "the servers at http://gpu:8000/v1 cannot have the weights of a candidate",
        ),
        ({"environment": {"name": "gsm9k"}}, UnknownNameError, "environment 'gsm9k': there are"),
        (
            {"environment": {"name": "copy", "options": {"length": 3}}},
            UnknownNameError,
            "no option 'length'",
        ),
        (
            {"environment": {"name": "gsm8k", "options": {"path": "/nowhere"}}},
            SourceError,
            "/nowhere",
        ),
        (
            {"evaluation": {"suites": [{"name": "word_problems"}]}},
            SettingError,
            "'word_problems' is the name of two suites",
        ),
        (
            {"evaluation": {"suites": [{"name": "all", "difficulties": [0]}]}},
            SettingError,
            r"evaluation\.suites \(all\)\.num",
        ),
        (
            {"gate": {"primary_suites": ["skill"]}},
            SettingError,
            r"gate\.primary_suites: there is no suite 'skill'",
        ),
        (
            {"gate": {"answers": "samples"}, "evaluation": {"num": 60, "num_samples": 0}},
            SettingError,
            "evaluation.num_samples=0",
        ),
        (
            {"evaluation": {"difficulties": [0]}},
            SettingError,
            r"evaluation\.difficulties: difficulties=\[0\]",
        ),
        (
            {
                "environment": {"name": "copy"},
                "evaluation": {"difficulties": [5]},
                "prompts": {"num": 50, "difficulties": [1]},
            },
            SettingError,
            r"prompts\.difficulties: num=50 but there are 10 train problems",
        ),
        ({"training": {"method": "dpo"}}, SettingError, "makes rows for 'sft'"),
        ({"sampling": {"n": 1}}, SettingError, "sampling.n=1: recipe 'lmsi' compares several"),
        ({"sampling": {"n": 4, "temperature": 0}}, SettingError, "makes 4 equal samples"),
        (
            {"evaluation": {"difficulties": [1, 2], "headroom_difficulties": [3]}},
            SettingError,
            r"headroom_difficulties=\[3\], but the held-out problems have \[1, 2\]",
        ),
        ({"reference": "fixed"}, SettingError, "needs a model in fixed_reference"),
        ({"fixed_reference": "seed:copy"}, SettingError, "reference='previous' with fixed_ref"),
    ],
)
def test_what_could_only_fail_later_is_refused_now(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        check("lmsi", **changes)


@pytest.mark.sandbox
def test_an_unknown_sandbox_is_refused() -> None:
    with pytest.raises(SandboxError, match="nobody"):
        check("lmsi", sandbox={"backend": "nobody"})


def test_problems_without_answers_are_for_recipes_that_need_none(tmp_path: Path) -> None:
    rows = [{"q": f"What is {i}?", "a": str(i)} for i in range(200)]
    num = {"prompts": {"num": 20}, "evaluation": {"num": 10, "num_samples": 0}}
    check("lmsi", environment=write_problems(tmp_path, rows), **num)
    unanswered = write_problems(tmp_path, [{"q": row["q"]} for row in rows])
    del unanswered["options"]["reference"]
    with pytest.raises(OptionError, match=r"held-out problems without a reference.*map a refer"):
        check("lmsi", environment=unanswered, **num)


def test_a_disk_without_room_for_the_next_model_is_refused(
    tmp_path: Path, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = Warehouse.open(tmp_path / "w")
    check_disk(house, tiny_llama)
    # More than any disk has: the model's files are sparse, they only say that they are large.
    huge = tmp_path / "huge"
    huge.mkdir()
    with (huge / "model.safetensors").open("wb") as file:
        file.truncate(8 * 2**40)
    with pytest.raises(WarehouseFullError, match=r"MiB left, a round .* needs at least \d+ MiB"):
        check_disk(house, huge)
