"""Corrections: what each changes, how they add up, and that a loop really follows them."""

import json
from typing import Any

import pytest

from flows.corrections import asked_corrections, with_corrections
from flows.errors import SettingError
from flows.plans import make_config
from flows.preflight import check_plan
from flows.recipes import find_recipe
from tasks.monitors.spec import Correction
from tests.flows.conftest import RunTiny


def config_of(recipe: str, *settings: str) -> Any:
    return make_config(recipe, None, list(settings))


def test_each_correction_changes_its_setting_and_nothing_else() -> None:
    scpo = find_recipe("scpo")
    config = config_of("scpo", "training.epochs=10").for_round(1)
    changed = with_corrections(config, scpo, ["hotter", "shrink", "raise_threshold"])
    assert changed.sampling.temperature == pytest.approx(0.7 * 1.2)
    assert (changed.training.epochs, changed.min_share) == (5.0, 0.6)
    back = changed.model_dump() | {"min_share": 0.5}
    back["sampling"] |= {"temperature": 0.7}
    back["training"] |= {"epochs": 10.0}
    assert back == config.model_dump()
    steps = config_of("scpo", "training.steps=5").for_round(1)
    assert with_corrections(steps, scpo, ["shrink"] * 9).training.steps == 1


def test_corrections_add_up_to_a_bound_and_on_top_of_the_schedule() -> None:
    recipe = find_recipe("iterative_rpo")
    config = config_of("iterative_rpo")  # temperatures 0.8, 0.8, 1.3
    temperatures = [
        with_corrections(config.for_round(n), recipe, ["hotter"] * (n - 1)).sampling.temperature
        for n in (1, 2, 3, 4)
    ]
    assert temperatures == [0.8, 0.96, 1.5, 1.5]
    wanted: list[tuple[str, Correction]] = [
        ("diversity_loss", "hotter"),
        ("wrong_answers", "hotter"),
        ("truncation", "shrink"),
    ]
    asked = asked_corrections(config, recipe, 3, ["hotter"] * 2, wanted)
    assert [(one.reason, one.setting) for one in asked] == [
        ("diversity_loss", "sampling.temperature"),
        ("truncation", "training.steps"),
    ]
    assert str(asked[0]).endswith("because sampling.temperature=1.5 is at its bound already.")
    assert asked[1].after == asked[1].before / 2
    lmsi = config_of("lmsi", "min_share=0.95").for_round(2)
    assert with_corrections(lmsi, find_recipe("lmsi"), ["raise_threshold"] * 3).min_share == 1.0


def test_a_correction_without_a_setting_is_refused() -> None:
    config = config_of("rest_em", "monitors.actions.label_accuracy=raise_threshold")
    with pytest.raises(SettingError, match=r"label_accuracy=raise_threshold: recipe 'rest_em'"):
        check_plan(find_recipe("rest_em"), config)
    config = config_of(
        "rest_em", "monitors.actions.outage=hotter", "sampling.n=1", "sampling.temperature=0"
    )
    with pytest.raises(SettingError, match=r"outage=hotter with sampling\.temperature=0"):
        check_plan(find_recipe("rest_em"), config)
    config = config_of("rest_em", "after_reject=hotter", "sampling.n=1", "sampling.temperature=0")
    with pytest.raises(SettingError, match="after_reject=hotter with"):
        check_plan(find_recipe("rest_em"), config)


@pytest.mark.slow
@pytest.mark.prefect
@pytest.mark.sandbox
def test_a_loop_follows_its_corrections(run_tiny: RunTiny) -> None:
    # Three findings, one of them bad enough to keep the rows from training.
    monitors = {
        "min_training_rows": 10_000,
        "stop_truncated_share": 1.0,
        "warn_truncated_share": 0.0,
        "min_label_accuracy": 1.0,
        "actions": {
            "training_rows": "shrink",
            "truncation": "warn",
            "label_accuracy": "raise_threshold",
            "no_headroom": "ignore",
        },
    }
    sampling = {"n": 4, "max_new_tokens": 24}
    tiny = run_tiny("lmsi", monitors=monitors, sampling=sampling, after_reject="hotter")
    result = tiny.again(rounds=2)
    _, first, second = tiny.house.read("rounds", run="tiny").to_pylist()
    assert [r.verdict for r in result.rounds] == ["none", "rejected", "rejected"]
    assert first["gate_reasons"] == [
        "Nothing was trained (training_rows).",
        "From the next round on training_rows changes training.steps from 6 to 3.",
        "From the next round on label_accuracy changes min_share from 0.5 to 0.6.",
        "From the next round on after_reject changes sampling.temperature from 0.7 to 0.84.",
    ]
    before, after = json.loads(first["config"]), json.loads(second["config"])
    assert before["sampling"]["temperature"] == 0.7
    assert (after["sampling"]["temperature"], after["min_share"]) == (0.84, 0.6)
    assert (before["training"]["steps"], after["training"]["steps"]) == (6, 3)
    asked = json.loads(first["metrics"])["corrections"]
    assert [one["action"] for one in asked] == ["shrink", "raise_threshold", "hotter"]
    with tiny.house.connect() as con:
        drawn = con.execute(
            "SELECT round, any_value(sampling->>'temperature') FROM samples "
            "WHERE purpose = 'train' GROUP BY round ORDER BY round"
        ).fetchall()
    assert drawn == [(1, "0.7"), (2, "0.84")]
    assert tiny.again(rounds=2).rounds == result.rounds


@pytest.mark.slow
@pytest.mark.prefect
@pytest.mark.sandbox
def test_a_mild_finding_trains_and_shortens_the_next_training(run_tiny: RunTiny) -> None:
    monitors = {
        "min_training_rows": 1,
        "stop_truncated_share": 1.0,
        "warn_truncated_share": 0.0,
        "actions": {"truncation": "shrink"},
    }
    tiny = run_tiny("rest_em", monitors=monitors, sampling={"n": 4, "max_new_tokens": 24})
    tiny.again(rounds=2)
    rows = tiny.house.read("models", run="tiny").to_pylist()
    steps = [json.loads(row["metrics"]).get("training", {}).get("steps") for row in rows]
    assert steps == [None, 6, 3]
    _, first, second = tiny.house.read("rounds", run="tiny").to_pylist()
    assert "shrink: truncation: " in first["monitor_findings"][0]
    assert first["gate_reasons"][-1].endswith("changes training.steps from 6 to 3.")
    assert second["gate_reasons"][-1].endswith("changes training.steps from 3 to 2.")
