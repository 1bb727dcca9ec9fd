"""One Prefect server for the folder, and loops of the shipped seed models at a tiny size."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from flows.recipes import find_recipe
from flows.recipes.config import LoopSpec, RecipeConfig
from flows.self_training import LOOPS, LoopResult
from storage import Warehouse
from tasks.seed_models import seed_model_path


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    # A heartbeat thread would outlive the server of the harness.
    quiet = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
    with quiet, prefect_test_harness(server_startup_timeout=600):
        yield


def tiny_config(recipe: str, **changes: Any) -> RecipeConfig:
    """Settings that make a round of a seed model take seconds; the gate lets everything pass."""
    model = find_recipe(recipe).config
    words = recipe != "length_generalization"
    values: dict[str, Any] = {
        "environment": {"name": "word_problems" if words else "copy"},
        "prompts": {"num": 40, "difficulties": [1, 2] if words else None},
        "sampling": {"n": 4, "temperature": 0.8, "max_new_tokens": 48 if words else 24},
        "evaluation": {
            "num": 60,
            "difficulties": [1, 2] if words else [9, 10, 11],
            "num_samples": 2,
        },
        "training": {
            "method": model().training.method,
            "learning_rate": 1e-4,
            "steps": 6,
            "batch_size": 8,
            "gradient_accumulation": 1,
            "max_length": 192,
        },
        "monitors": {"min_training_rows": 1},
        "gate": {"alpha": 1.0, "min_gain": 0.0, "non_inferiority": "off"},
        "shard_size": 25,
    }
    if not words:
        values["num_seed_examples"] = 100
    return model.model_validate(values | changes)


class TinyLoop(NamedTuple):
    """A loop that ran: where, what, and how it ended."""

    house: Warehouse
    recipe: str
    config: RecipeConfig
    loop: LoopSpec
    result: LoopResult

    def again(self, house: Path | None = None, rounds: int | None = None) -> LoopResult:
        """The same loop once more, there or in a copy of its warehouse."""
        changes = {"warehouse": str(house or self.house.root), "rounds": rounds or self.loop.rounds}
        return run_loop(self.recipe, self.config, self.loop.model_copy(update=changes))

    def copy(self, folder: Path) -> Path:
        """A copy of its warehouse, to be broken."""
        return Path(shutil.copytree(self.house.root, folder / "copy"))


def run_loop(recipe: str, config: RecipeConfig, loop: LoopSpec) -> LoopResult:
    result: LoopResult = LOOPS[recipe](config, loop)
    return result


RunTiny = Callable[..., TinyLoop]


@pytest.fixture(scope="session")
def run_tiny(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> RunTiny:
    """Runs a recipe for one round in a warehouse of its own, from a copy of a seed model."""

    def run(recipe: str, **changes: Any) -> TinyLoop:
        folder = tmp_path_factory.mktemp(recipe)
        name = "copy" if recipe == "length_generalization" else "programs"
        base = shutil.copytree(seed_model_path(name), folder / "base")
        config = tiny_config(recipe, **changes)
        loop = LoopSpec(run="tiny", rounds=1, base_model=str(base), warehouse=str(folder / "w"))
        result = run_loop(recipe, config, loop)
        return TinyLoop(Warehouse.open(folder / "w"), recipe, config, loop, result)

    return run


@pytest.fixture(scope="session")
def promoted(run_tiny: RunTiny) -> TinyLoop:
    """One promoted round of ReST-EM, gated on a second suite too; only for reading."""
    harder = {"name": "harder", "num": 10, "difficulties": [3]}
    evaluation = tiny_config("rest_em").evaluation.model_dump() | {"suites": [harder]}
    return run_tiny("rest_em", evaluation=evaluation)


@pytest.fixture(scope="session")
def stopped(run_tiny: RunTiny) -> TinyLoop:
    """One round of LMSI that a monitor stopped before training; only for reading."""
    return run_tiny("lmsi", monitors={"min_training_rows": 10_000})
