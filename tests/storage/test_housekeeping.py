"""What nothing refers to is found and deleted; what a row or an unfinished round needs stays."""

import os
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import Warehouse
from storage.housekeeping import delete_garbage, find_garbage
from tests.storage.conftest import valid_row


def record_round(w: Warehouse, number: int) -> None:
    row = valid_row("rounds", f"round-{number}", parent_model_id="r-base")
    w.write("rounds", [row], run="r", round=number, part="round")


def put(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def house(tmp_path: Path) -> Warehouse:
    """A run `r` with a finished round 1 and an unfinished round 2."""
    w = Warehouse.open(tmp_path / "w")
    w.write("prompts", [valid_row("prompts", "p")], run="r", round=0, part="heldout")
    facts = {"path": "models/r-r1", "snapshot_hash": "used", "status": "rejected"}
    w.write("models", [valid_row("models", "r-r1", **facts)], run="r", round=1, part="model")
    record_round(w, 1)
    return w


KEPT = (
    "models/r-r1/model.safetensors",  # also of a rejected model: its row names it
    "models/r-r2/model.safetensors",  # trained, not recorded yet
    "models/.r-r2.training/checkpoint",
    "snapshots/used.parquet",
    "pending/samples/run=r/round=2/answer-0000.parquet",
    "pending/samples/run=r/round=2/answer-0001.journal",
    "scratch/r/2/estimate.json",
    "scratch/r/lock",
)
DROPPED = (
    "models/.r-r1.training/checkpoint",
    "models/mine/model.safetensors",
    "models/other-r1/model.safetensors",
    "snapshots/unused.parquet",
    "pending/samples/run=r/round=1/answer-0000.parquet",
    "scratch/r/1/estimate.json",
)


def test_what_nothing_refers_to_goes_and_all_else_stays(house: Warehouse) -> None:
    for name in (*KEPT, *DROPPED):
        put(house.root / name)
    tables = {part.path: part.path.read_bytes() for part in house.parts("models")}
    found = find_garbage(house, 0)
    assert all((house.root / name).is_file() for name in DROPPED)  # nothing is deleted yet
    assert {one.num_bytes for one in found} == {1}
    delete_garbage(house, found)
    assert not any((house.root / name).exists() for name in DROPPED)
    assert all((house.root / name).is_file() for name in KEPT)
    assert {path: path.read_bytes() for path in tables} == tables
    assert find_garbage(house, 0) == []


def test_what_changed_lately_is_left_alone(house: Warehouse) -> None:
    new = put(house.root / "models" / "mine" / "new")
    old = put(house.root / "snapshots" / "unused.parquet")
    then = time.time() - 3600
    os.utime(old, (then, then))
    assert [one.path for one in find_garbage(house, 1800)] == [old]
    os.utime(new, (then, then))
    assert len(find_garbage(house, 1800)) == 2


def test_an_empty_warehouse_has_no_garbage(tmp_path: Path) -> None:
    assert find_garbage(Warehouse.open(tmp_path / "w"), 0) == []


def test_a_file_of_a_table_is_never_garbage(house: Warehouse) -> None:
    foreign = house.root / "tables" / "samples" / "run=x" / "round=0" / "notes.parquet"
    foreign.parent.mkdir(parents=True)
    pq.write_table(pa.table({"a": [1]}), foreign)
    assert find_garbage(house, 0) == []
