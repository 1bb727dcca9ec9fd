"""The loop: done work stays done, and what would mix two runs is refused with the reason."""

import subprocess
import sys
from pathlib import Path

import pytest

from flows.errors import RunConflictError
from flows.recipes import find_recipe
from flows.self_training import default_run
from storage import Warehouse, diff_tables
from tasks.errors import WeightsChangedError
from tests.flows.conftest import TinyLoop, run_loop, tiny_config

pytestmark = [pytest.mark.prefect, pytest.mark.sandbox]

_HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def stamps(house: Path) -> dict[str, int]:
    """Modification times of every file of the tables and models."""
    files = [path for part in ("tables", "models") for path in (house / part).rglob("*.*")]
    return {str(path): path.stat().st_mtime_ns for path in files}


def flip_last_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_the_same_loop_again_does_nothing_and_returns_the_same(promoted: TinyLoop) -> None:
    before = stamps(promoted.house.root)
    assert promoted.again() == promoted.result
    assert stamps(promoted.house.root) == before


@pytest.mark.slow
def test_a_round_killed_before_its_last_writes_ends_the_same(
    promoted: TinyLoop, tmp_path: Path
) -> None:
    # The row of its own candidate is there, promoted: that must not become its incumbent.
    house = promoted.copy(tmp_path)
    for table in ("rounds", "evaluations"):
        for part in Warehouse.open(house).parts(table, run="tiny", round=1):
            part.path.unlink()
    result = promoted.again(house)
    assert result.rounds == promoted.result.rounds
    assert diff_tables(promoted.house, Warehouse.open(house)) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 3}, "seed: 0 -> 3"),
        ({"shard_size": 7}, "shard_size: 25 -> 7"),
        ({"max_per_prompt": 2}, "max_per_prompt: 10 -> 2"),
        ({"sandbox": {"workers": 1}}, "sandbox.workers: 2 -> 1"),
    ],
)
def test_other_settings_under_the_same_name_are_refused_by_field(
    promoted: TinyLoop, changes: dict[str, object], named: str
) -> None:
    before = stamps(promoted.house.root)
    evaluation = promoted.config.evaluation.model_dump()
    config = tiny_config("rest_em", evaluation=evaluation, **changes)
    with pytest.raises(RunConflictError, match=rf"\({named}\).*choose another name with --run"):
        run_loop("rest_em", config, promoted.loop)
    assert stamps(promoted.house.root) == before


def test_another_recipe_under_the_same_name_is_refused(promoted: TinyLoop) -> None:
    with pytest.raises(RunConflictError, match="recipe: rest_em -> lmsi"):
        run_loop("lmsi", tiny_config("lmsi"), promoted.loop)


def test_a_run_that_another_process_works_on_is_refused(promoted: TinyLoop) -> None:
    # Only the lock is taken, so that no second Prefect has to be imported.
    lock = promoted.house.root / "scratch" / "tiny" / "lock"
    command = [sys.executable, "-c", _HOLD, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdin is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RunConflictError, match="being worked on by another process"):
            promoted.again()
        other.kill()
        other.wait()
    # The lock went with the process.
    assert promoted.again() == promoted.result


def test_a_base_that_was_changed_is_another_base(promoted: TinyLoop, tmp_path: Path) -> None:
    weights = Path(promoted.loop.base_model) / "model.safetensors"
    original = weights.read_bytes()
    try:
        flip_last_byte(weights)
        with pytest.raises(RunConflictError, match="base_model: its weights are now those of"):
            promoted.again(promoted.copy(tmp_path), rounds=2)
    finally:
        weights.write_bytes(original)


@pytest.mark.slow
def test_a_promoted_model_that_was_changed_is_not_asked(promoted: TinyLoop, tmp_path: Path) -> None:
    house = promoted.copy(tmp_path)
    flip_last_byte(house / "models" / "tiny-r1" / "model.safetensors")
    with pytest.raises(WeightsChangedError, match=r"'tiny-r1' was recorded with weights"):
        promoted.again(house, rounds=2)
    assert Warehouse.open(house).read("samples", run="tiny", round=2).num_rows == 0


def test_the_default_name_follows_what_decides_the_rows() -> None:
    recipe, config = find_recipe("lmsi"), tiny_config("lmsi")
    name = default_run(recipe, config, "seed:programs")
    assert name == default_run(recipe, tiny_config("lmsi"), "seed:programs")
    assert name.startswith("lmsi-")
    others = {
        default_run(recipe, tiny_config("lmsi", seed=1), "seed:programs"),
        default_run(recipe, config, "seed:copy"),
        default_run(find_recipe("scpo"), tiny_config("scpo"), "seed:programs"),
    }
    assert len(others | {name}) == 4
