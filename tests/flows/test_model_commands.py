"""What a person does with the models and files of a real run, by the verbs of the command."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.cli import app
from flows.run_lock import hold_run
from storage import Warehouse
from tests.flows.conftest import TinyLoop

pytestmark = [pytest.mark.prefect, pytest.mark.sandbox]


def selfloom(house: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--warehouse", str(house)])


def test_a_real_run_is_whole_and_stays_so_without_what_nothing_needs(
    promoted: TinyLoop, tmp_path: Path
) -> None:
    house = promoted.copy(tmp_path)
    ended = selfloom(house, "verify")
    assert (ended.exit_code, ended.stdout.startswith("0 problems")) == (0, True)
    left = house / "models" / ".tiny-r1.training" / "checkpoint"
    left.parent.mkdir()
    left.write_text("x")
    assert "gc --delete` frees them" in selfloom(house, "gc", "--older-than", "0").stdout
    assert left.is_file()
    assert selfloom(house, "gc", "--delete", "--older-than", "0").exit_code == 0
    assert not left.exists()
    assert selfloom(house, "verify").exit_code == 0
    assert promoted.again(house).rounds == promoted.result.rounds


def test_changed_weights_and_rows_are_found(promoted: TinyLoop, tmp_path: Path) -> None:
    house = promoted.copy(tmp_path)
    weights = house / "models" / "tiny-r1" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"0000")
    (snapshot,) = (house / "snapshots").iterdir()
    snapshot.unlink()
    ended = selfloom(house, "verify")
    assert ended.exit_code == 1
    assert "weights: tiny-r1: " in ended.stdout and "the file is missing" in ended.stdout
    assert "2 problems in" in ended.stdout


def test_models_are_compared_by_what_was_recorded(promoted: TinyLoop) -> None:
    ended = selfloom(promoted.house.root, "compare", "tiny-base", "promoted:tiny", "--json")
    found = json.loads(ended.stdout)
    assert (found["first"], found["second"]) == ("tiny-base", "tiny-r1")
    names = [(one["name"], one["num_problems"]) for one in found["suites"]]
    assert names == [("harder", 10), ("word_problems", 60)]
    (row,) = promoted.house.read("rounds", run="tiny", round=1).to_pylist()
    (_, of_gate) = reversed(json.loads(row["metrics"])["gate"]["suites"])
    assert found["suites"][1] == of_gate
    table = selfloom(promoted.house.root, "compare", "tiny-base", "tiny-r1", "--samples", "2")
    assert "tiny-r1 against tiny-base" in table.stdout and "word_problems" in table.stdout


@pytest.mark.slow
def test_a_decision_by_hand_is_what_the_loop_goes_on_from(
    promoted: TinyLoop, tmp_path: Path
) -> None:
    house = promoted.copy(tmp_path)
    ended = selfloom(house, "rollback", "tiny", "--reason", "it got longer")
    assert "tiny: tiny-base is promoted (before: tiny-r1)" in ended.stdout
    result = promoted.again(house)
    assert (result.model_id, result.rounds) == ("tiny-base", promoted.result.rounds)
    assert json.loads((house / "promoted" / "tiny.json").read_text())["model_id"] == "tiny-base"
    assert selfloom(house, "promote", "tiny", "1", "--reason", "no").exit_code == 0
    assert promoted.again(house).model_id == "tiny-r1"
    with hold_run(Warehouse.open(house), "tiny"):
        ended = selfloom(house, "rollback", "tiny", "--reason", "again")
    assert "being worked on by another process" in str(ended.exception)
