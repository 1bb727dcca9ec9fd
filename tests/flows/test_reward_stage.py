"""Whose rewards are compared: the incumbent's, and those of the model that it took the place of."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from flows import reward_stage
from flows.reward_stage import Rewarded, implicit_reward, previous_model
from flows.stages import Stages
from storage import Warehouse
from tasks.measures import Likelihood
from tasks.models import ModelRef
from tasks.seed_models import seed_model_path

# Round 2 was rejected; round 3 took the place of round 1's model.
MODELS = [(0, "base", "base"), (1, "r1", "promoted"), (2, "r2", "rejected"), (3, "r3", "promoted")]


def model(name: str) -> ModelRef:
    return ModelRef(name, seed_model_path("programs"), f"weights {name}")


def stages(house: Warehouse, incumbent: str, number: int) -> Stages:
    found = SimpleNamespace(
        warehouse=house, run="r", number=number, incumbent=model(incumbent), base=model("base")
    )
    return cast(Stages, found)


@pytest.fixture
def house(tmp_path: Path) -> Warehouse:
    w = Warehouse.open(tmp_path / "w")
    for number, name, status in MODELS:
        row: dict[str, object] = {
            "id": name,
            "parent_id": None,
            "recipe": "cream",
            "recipe_hash": "h",
            "path": "seed:programs",
            "weight_hash": f"weights {name}",
            "status": status,
            "metrics": {},
        }
        w.write("models", [row], run="r", round=number, part="model")
    return w


@pytest.mark.parametrize(
    ("incumbent", "number", "previous"),
    [("base", 1, None), ("r1", 2, "base"), ("r1", 3, "base"), ("r3", 4, "r1"), ("r3", 9, "r1")],
)
def test_the_model_before_the_incumbent(
    house: Warehouse, incumbent: str, number: int, previous: str | None
) -> None:
    found = previous_model(stages(house, incumbent, number), None)
    assert (found and found.id) == previous


def test_before_the_base_is_the_initial_model(house: Warehouse) -> None:
    found = previous_model(stages(house, "base", 1), "seed:copy")
    assert found is not None and found.id == "seed:copy"


def test_a_model_that_is_the_reference_ranks_by_its_mean_logprob(
    house: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(
        reward_stage, "measure", lambda s, measure, *, model: asked.append((measure, model.id))
    )
    monkeypatch.setattr(
        reward_stage,
        "log_ratio",
        lambda s, reference, *, policy, name: asked.append((reference.id, policy.id, name)),
    )
    first = implicit_reward(stages(house, "base", 1), None)
    assert first == Rewarded("mean_logprob", "base", "base")
    second = implicit_reward(stages(house, "r1", 2), None)
    assert second == Rewarded("log_ratio", "r1", "base")
    assert asked == [(Likelihood("reward", value="mean"), "base"), ("base", "r1", "reward")]
