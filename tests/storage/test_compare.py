"""Warehouses are compared row by row without what clocks measured; snapshots hash content."""

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage import (
    TableCount,
    UnknownTableError,
    Warehouse,
    count_differences,
    diff_tables,
    table_hash,
)

MakeRow = Callable[..., dict[str, Any]]


@pytest.fixture
def other(tmp_path: Path) -> Warehouse:
    return Warehouse.open(tmp_path / "other")


def test_order_parts_and_clocks_do_not_count(
    warehouse: Warehouse, other: Warehouse, make_row: MakeRow
) -> None:
    rows = [make_row("executions", str(i), stdout=str(i), wall_ms=1.0) for i in range(6)]
    warehouse.write("executions", rows, run="r", round=1, part="all")
    again = [row | {"wall_ms": 2.0, "cpu_ms": 9.0, "peak_memory_mib": 3.0} for row in rows[::-1]]
    other.write("executions", again[:2], run="r", round=1, part="a")
    other.write("executions", again[2:], run="r", round=1, part="b")
    assert diff_tables(warehouse, other) == []


def test_every_kind_of_difference(
    warehouse: Warehouse, other: Warehouse, make_row: MakeRow
) -> None:
    rows = [make_row("votes", id) for id in "abcd"]
    warehouse.write("votes", rows[:3], run="r", round=1, part="p")
    changed = [rows[0], rows[1] | {"share": 0.25, "rank": 2}, rows[3]]
    other.write("votes", changed, run="r", round=1, part="p")
    found = diff_tables(warehouse, other)
    assert [(d.table, d.id, d.run, d.round, d.kind, d.columns) for d in found] == [
        ("votes", "b", "r", 1, "differs", ("share", "rank")),
        ("votes", "c", "r", 1, "only in first", ()),
        ("votes", "d", "r", 1, "only in second", ()),
    ]
    assert found[0].detail == "0.5 against 0.25"
    ignored = diff_tables(warehouse, other, ignore=["votes.share", "votes.rank"])
    assert [d.id for d in ignored] == ["c", "d"]
    assert len(diff_tables(warehouse, other, limit=1)) == 1
    assert diff_tables(warehouse, other, run="another") == []
    assert diff_tables(warehouse, other, tables=["samples"]) == []


def test_a_row_written_twice_is_a_difference(
    warehouse: Warehouse, other: Warehouse, make_row: MakeRow
) -> None:
    for part in "ab":
        warehouse.write("prompts", [make_row("prompts", "x")], run="r", round=1, part=part)
    other.write("prompts", [make_row("prompts", "x")], run="r", round=1, part="a")
    assert [(d.id, d.kind) for d in diff_tables(warehouse, other)] == [("x", "only in first")]


def test_wrong_questions(warehouse: Warehouse) -> None:
    with pytest.raises(UnknownTableError):
        diff_tables(warehouse, warehouse, tables=["vote"])
    for name in ("votes.nope", "votes.id"):
        with pytest.raises(ValueError, match="ignored column"):
            diff_tables(warehouse, warehouse, ignore=[name])


def test_snapshots_hash_content(warehouse: Warehouse, other: Warehouse, make_row: MakeRow) -> None:
    rows = [make_row("pairs", str(i), margin=i / 7) for i in range(20)]
    warehouse.write("pairs", rows, run="r", round=1, part="all")
    shuffled = random.Random(0).sample(rows, len(rows))
    other.write("pairs", shuffled[:5], run="r", round=1, part="a")
    other.write("pairs", shuffled[5:], run="r", round=1, part="b")
    other.write("pairs", rows[:1], run="r", round=2, part="later")
    other.write("pairs", rows[:1], run="s", round=1, part="elsewhere")
    first = table_hash(warehouse, "pairs", run="r")
    assert first == table_hash(other, "pairs", run="r", rounds=[1])
    # The documented definition, without DuckDB; the hash is stored with models.
    texts = (json.dumps(row, separators=(",", ":")) for row in warehouse.read("pairs").to_pylist())
    hashes = sorted(hashlib.sha256(text.encode()).hexdigest() for text in texts)
    assert first == hashlib.sha256("".join(hashes).encode()).hexdigest()
    different = {
        table_hash(other, "pairs", run="r"),
        table_hash(other, "pairs", run="r", rounds=[2]),
        table_hash(other, "pairs", run="r", rounds=[]),
        table_hash(other, "pairs", run="s"),
    }
    assert len(different | {first}) == 5
    rows[3]["chosen"] = [{"role": "assistant", "content": "another"}]
    warehouse.write("pairs", rows, run="r", round=1, part="all")
    assert table_hash(warehouse, "pairs", run="r") != first


def test_differences_are_counted(warehouse: Warehouse, other: Warehouse, make_row: MakeRow) -> None:
    rows = [make_row("votes", id) for id in "abcd"]
    warehouse.write("votes", [*rows[:3]], run="r", round=1, part="p")
    warehouse.write("votes", [rows[0]], run="r", round=1, part="again")
    other.write("votes", [rows[0], rows[1] | {"rank": 2}, rows[3]], run="r", round=1, part="p")
    votes, samples = count_differences(warehouse, other, tables=["votes", "samples"])
    assert votes == TableCount("votes", 4, 3, only_first=1, only_second=1, differs=2)
    assert samples == TableCount("samples", 0, 0, 0, 0, 0)
    assert count_differences(warehouse, other, tables=["votes"], run="x")[0].rows_first == 0
