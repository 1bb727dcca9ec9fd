"""Promotion by hand: what is in force, what is recorded, what is refused, what follows it."""

import json
import shutil
from pathlib import Path

import pytest

from storage import Warehouse
from tasks.engines import weight_hash
from tasks.errors import ModelFolderError, PromotionError
from tasks.models import incumbent_of, resolve_model
from tasks.promotion import decided_rounds, promote, promoted_models, renew_alias, rollback


@pytest.fixture
def house(tmp_path: Path, tiny_llama: Path) -> Warehouse:
    """A run `r` of a base and three rounds: promoted, promoted, rejected."""
    w = Warehouse.open(tmp_path / "w")
    for number, status in enumerate(("base", "promoted", "promoted", "rejected")):
        model_id = "r-base" if number == 0 else f"r-r{number}"
        shutil.copytree(tiny_llama, w.models_dir / model_id)
        row: dict[str, object] = {
            "id": model_id,
            "parent_id": None,
            "recipe": "lmsi",
            "recipe_hash": "h",
            "path": f"models/{model_id}",
            "weight_hash": weight_hash(tiny_llama),
            "status": status,
            "metrics": {},
        }
        w.write("models", [row], run="r", round=number, part="model")
    return w


def promoted(w: Warehouse, before_round: int | None = None) -> str:
    model = incumbent_of(w, "r", before_round=before_round)
    assert model is not None
    return model.id


def test_a_rejected_model_can_be_promoted_and_its_row_stays(house: Warehouse) -> None:
    before = house.read("models").to_pylist()
    decision = promote(house, "r", "3", " the suite was wrong ")
    assert (decision.model_id, decision.previous_model_id) == ("r-r3", "r-r2")
    assert promoted(house) == resolve_model(house, "promoted:r").id == "r-r3"
    (row,) = house.read("decisions").to_pylist()
    assert (row["round"], row["action"], row["reason"]) == (3, "promote", "the suite was wrong")
    assert row["decided_by"] and row["decided_at"].endswith("+00:00")
    assert house.read("models").to_pylist() == before
    assert decided_rounds(house, "r") == {3}


def test_rolling_back_goes_further_back_each_time(house: Warehouse) -> None:
    assert [rollback(house, "r", "why").model_id for _ in range(2)] == ["r-r1", "r-base"]
    with pytest.raises(PromotionError, match="r-base is its first model"):
        rollback(house, "r", "why")
    promote(house, "r", "r-r2", "better after all")
    assert promoted_models(house, "r") == ["r-base", "r-r2"]
    assert rollback(house, "r", "why").model_id == "r-base"


def test_a_decision_holds_for_later_rounds_only(house: Warehouse) -> None:
    promote(house, "r", "r-r1", "why")
    assert promoted(house, before_round=4) == "r-r1"
    # Round 3 run again after a crash has the incumbent that it had.
    assert promoted(house, before_round=3) == "r-r2"


def test_a_later_promotion_by_the_gate_is_in_force_again(house: Warehouse) -> None:
    rollback(house, "r", "why")
    row = house.read("models", round=2).to_pylist()[0] | {"id": "r-r4", "round": 4}
    house.write("models", [row], run="r", round=4, part="model")
    assert promoted(house) == "r-r4"
    with house.connect() as con:
        found = con.execute("SELECT model_id, cause FROM promotions ORDER BY step").fetchall()
    causes = [("r-base", "base"), ("r-r1", "gate"), ("r-r2", "gate"), ("r-r1", "rollback")]
    assert found == [*causes, ("r-r4", "gate")]


@pytest.mark.parametrize(
    ("run", "target", "reason", "message"),
    [
        ("s", "1", "why", "run 's' has no models"),
        ("r", "7", "why", "no model '7'; name a round or a model of 0: r-base, 1: r-r1"),
        ("r", "2", "why", "r-r2 is promoted already"),
        ("r", "1", "  ", "--reason"),
    ],
)
def test_what_decides_nothing_is_refused(
    house: Warehouse, run: str, target: str, reason: str, message: str
) -> None:
    with pytest.raises(PromotionError, match=message):
        promote(house, run, target, reason)
    assert house.read("decisions").num_rows == 0


def test_a_model_that_is_gone_is_not_promoted(house: Warehouse) -> None:
    shutil.rmtree(house.model_path("r-r1"))
    with pytest.raises(ModelFolderError, match="r-r1"):
        promote(house, "r", "1", "why")


def test_the_alias_is_replaced_and_moves_with_the_warehouse(
    house: Warehouse, tmp_path: Path
) -> None:
    renew_alias(house, "nobody")
    renew_alias(house, "r")
    assert (house.root / "promoted" / "r").resolve() == house.model_path("r-r2")
    rollback(house, "r", "why")
    copied = Path(shutil.copytree(house.root, tmp_path / "copied"))  # follows the link
    promote(Warehouse.open(copied), "r", "0", "why")
    assert (copied / "promoted" / "r").resolve() == copied / "models" / "r-base"
    moved = house.root.rename(tmp_path / "moved")
    assert (moved / "promoted" / "r").resolve() == moved / "models" / "r-r1"
    assert json.loads((moved / "promoted" / "r.json").read_text())["model_id"] == "r-r1"
    assert sorted(p.name for p in (moved / "promoted").iterdir()) == ["r", "r.json"]
