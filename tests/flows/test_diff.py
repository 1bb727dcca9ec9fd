"""selfloom diff: two rounds, two models, two warehouses."""

import json
import shutil

import pytest

from storage import Warehouse
from tests.flows.test_cli import Selfloom, refused, selfloom
from tests.tasks.conftest import finished_warehouse, warehouse_of_two_runs

__all__ = ["finished_warehouse", "selfloom", "warehouse_of_two_runs"]  # fixtures


@pytest.fixture
def house(warehouse_of_two_runs: Warehouse) -> Warehouse:
    return warehouse_of_two_runs


def test_two_rounds(selfloom: Selfloom, house: Warehouse) -> None:
    ended = selfloom("diff", "labels/1", "labels/2", "--limit", "3")
    assert "entered" in ended.out and "left" in ended.out
    assert "--limit shows more" in ended.out
    told = json.loads(selfloom("diff", "labels/1", "labels/2", "--json", "--limit", "3").out)
    assert (told["kind"], len(told["changes"])) == ("training rows", 3)
    rows = sum(own["rows_before"] for own in told["counts"])
    assert rows == house.read("examples", run="labels", round=1).num_rows
    assert "the same training rows" in selfloom("diff", "labels/1", "labels/1").out


def test_two_warehouses(selfloom: Selfloom, house: Warehouse) -> None:
    shutil.copytree(house.root, "copy")
    assert "the same rows in every table" in selfloom("diff", "warehouse", "copy").out
    other = Warehouse.open("copy")
    votes = other.read("votes", run="votes", round=1)
    other.write("votes", votes.slice(1), run="votes", round=1, part="all")
    told = json.loads(selfloom("diff", "warehouse", "copy", "--json").out)
    assert told["kind"] == "warehouses"
    assert [own["table"] for own in told["counts"] if own["only_first"]] == ["votes"]
    (change,) = told["changes"]
    assert (change["id"], change["kind"]) == (votes["id"][0].as_py(), "only in first")
    assert "1 tables differ" in selfloom("diff", "warehouse", "copy").out


def test_what_cannot_be_compared(selfloom: Selfloom, house: Warehouse) -> None:
    refused(selfloom("diff", "labels/1", "labels/9"), "labels/9: no training rows", "[1, 2, 3]")
    refused(selfloom("diff", "warehouse", "labels/1"), "with a warehouse only")
    refused(selfloom("diff", "labels/1", "nothing"), "snapshot 'nothing' is neither a model")
    refused(selfloom("diff", "labels/1", "model-labels-1"), "was trained on nothing here")
