"""Opening, writing and reading a warehouse, and what it refuses."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import (
    TABLES,
    NotAWarehouseError,
    PartitionError,
    SchemaVersionError,
    UnknownTableError,
    Warehouse,
    WarehouseNotFoundError,
)

MakeRow = Callable[..., dict[str, Any]]


def test_a_commit_can_be_read(warehouse: Warehouse, make_row: MakeRow) -> None:
    rows = [make_row("votes", id) for id in "ba"]
    path = warehouse.write("votes", rows, run="r", round=2, part="p-1")
    assert path == warehouse.root / "tables/votes/run=r/round=2/p-1.parquet"
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"
    assert warehouse.has("votes", run="r", round=2, part="p-1")
    assert not warehouse.has("votes", run="r", round=1, part="p-1")
    keys = {"run": "r", "round": 2}
    assert warehouse.read("votes", run="r", round=2).to_pylist() == [row | keys for row in rows]
    assert warehouse.read("votes", columns=["rank", "id"]).column_names == ["rank", "id"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(
    st.lists(
        st.tuples(st.sampled_from(["r1", "r2"]), st.integers(0, 12), st.sampled_from("ab")),
        max_size=8,
    )
)
def test_the_same_work_twice_is_there_once(
    warehouse: Warehouse, make_row: MakeRow, commits: list[tuple[str, int, str]]
) -> None:
    for run in ("r1", "r2"):
        shutil.rmtree(warehouse.root / f"tables/votes/run={run}", ignore_errors=True)
    for run, round, part in [*commits, *commits]:
        row = make_row("votes", f"{run}-{round}-{part}")
        warehouse.write("votes", [row], run=run, round=round, part=part)
    expected = [f"{run}-{round}-{part}" for run, round, part in sorted(set(commits))]
    assert warehouse.read("votes")["id"].to_pylist() == expected, "rounds count as numbers"
    assert [part.name for part in warehouse.parts("votes", run="r1")] == [
        part for run, _, part in sorted(set(commits)) if run == "r1"
    ]
    assert warehouse.read("votes", round=1, part="a").num_rows == len(
        {run for run, round, part in commits if (round, part) == (1, "a")}
    )


def test_a_part_without_rows_counts_as_done(warehouse: Warehouse) -> None:
    warehouse.write("rejections", [], run="r", round=1, part="p")
    assert warehouse.has("rejections", run="r", round=1, part="p")
    assert warehouse.read("rejections").num_rows == 0


def test_nothing_committed_reads_as_an_empty_table(warehouse: Warehouse) -> None:
    for table, schema in TABLES.items():
        assert warehouse.read(table, run="r", round=1).schema.equals(schema)
        assert warehouse.parts(table) == []


def test_files_older_than_a_column_read_as_null(warehouse: Warehouse, make_row: MakeRow) -> None:
    path = warehouse.write("samples", [make_row("samples", "a")], run="r", round=1, part="old")
    pq.write_table(pq.ParquetFile(path).read().drop_columns(["mean_entropy", "error"]), path)
    row = make_row("samples", "b", mean_entropy=0.25)
    warehouse.write("samples", [row], run="r", round=1, part="young")
    assert warehouse.read("samples")["mean_entropy"].to_pylist() == [None, 0.25]
    query = "SELECT id, mean_entropy FROM samples ORDER BY id"
    assert warehouse.connect().execute(query).fetchall() == [("a", None), ("b", 0.25)]


def test_other_readers_see_run_and_round(warehouse: Warehouse, make_row: MakeRow) -> None:
    datasets = pytest.importorskip("datasets")
    warehouse.write("pairs", [], run="1", round=1, part="empty")
    warehouse.write("pairs", [make_row("pairs", "a")], run="1", round=2, part="full")
    folder = str(warehouse.table_dir("pairs"))
    cache = str(warehouse.scratch_dir("1", 1))
    loaded = datasets.load_dataset("parquet", data_dir=folder, split="train", cache_dir=cache)
    assert loaded.column_names == TABLES["pairs"].names
    assert [(row["run"], row["round"], row["chosen"][0]["role"]) for row in loaded] == [
        ("1", 2, "user")
    ]
    found = pads.dataset(folder, partitioning="hive").to_table().to_pylist()
    assert [(row["id"], row["run"], row["round"]) for row in found] == [("a", "1", 2)]


def test_open_twice_changes_nothing(warehouse: Warehouse) -> None:
    def files() -> dict[Path, int]:
        return {p: p.stat().st_ino for p in warehouse.root.rglob("*") if p.is_file()}

    before = files()
    assert Warehouse.open(warehouse.root).root == warehouse.root
    assert files() == before


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_schema_version_is_refused(version: object, tmp_path: Path) -> None:
    text = json.dumps({"format": "selfloom-warehouse", "schema_version": version})
    (tmp_path / "selfloom.json").write_text(text)
    with pytest.raises(SchemaVersionError, match=f"schema version {version!r}; this selfloom"):
        Warehouse.open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["selfloom.json"], "nothing is changed"


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", '{"format": "x", "schema_version": 1}'])
def test_a_damaged_marker_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "selfloom.json").write_text(text)
    with pytest.raises(NotAWarehouseError, match=r"selfloom\.json"):
        Warehouse.open(tmp_path)


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    with pytest.raises(WarehouseNotFoundError, match="no warehouse at"):
        Warehouse.open(tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(NotAWarehouseError, match=r"holds notes\.txt"):
        Warehouse.open(tmp_path)
    with pytest.raises(NotAWarehouseError, match="is a file"):
        Warehouse.open(tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_crash_while_creating_is_repaired(tmp_path: Path) -> None:
    (tmp_path / "w" / "tmp" / "1-dead").mkdir(parents=True)
    (tmp_path / "w" / "lost+found").mkdir()
    assert Warehouse.open(tmp_path / "w").read("votes").num_rows == 0


def test_reading_survives_a_catalog_that_cannot_be_renewed(
    warehouse: Warehouse, make_row: MakeRow, caplog: pytest.LogCaptureFixture
) -> None:
    warehouse.write("votes", [make_row("votes", "a")], run="r", round=1, part="p")
    shutil.rmtree(warehouse.root / "tmp")
    (warehouse.root / "tmp").write_text("a file where the staging folder should be")
    (warehouse.root / "selfloom.duckdb").unlink()
    with caplog.at_level(logging.WARNING):
        again = Warehouse.open(warehouse.root)
    assert "was not renewed" in caplog.text
    assert again.read("votes").num_rows == 1
    assert again.connect().execute("SELECT count(*) FROM votes").fetchall() == [(1,)]


@pytest.mark.parametrize("name", ["", "..", ".a", "a/b", "a b", "run=1", "_x", "a" * 101, "ü"])
def test_names_that_cannot_be_paths(name: str, tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    with pytest.raises(PartitionError, match="expected 1 to 100 letters"):
        warehouse.write("votes", [], run=name, round=1, part="p")
    with pytest.raises(PartitionError, match="expected 1 to 100 letters"):
        warehouse.write("votes", [], run="r", round=1, part=name)
    with pytest.raises(PartitionError, match="expected 1 to 100 letters"):
        warehouse.model_path(name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("round", [-1, True, "1", 1.0, 2**31])
def test_rounds_that_are_no_numbers(round: Any, tmp_path: Path) -> None:
    with pytest.raises(PartitionError, match="round"):
        Warehouse(tmp_path).write("votes", [], run="r", round=round, part="p")


def test_unknown_table(warehouse: Warehouse) -> None:
    with pytest.raises(UnknownTableError, match="expected one of prompts, samples"):
        warehouse.read("vote")


def test_folders(warehouse: Warehouse) -> None:
    assert warehouse.model_path("model-1") == warehouse.models_dir / "model-1"
    assert warehouse.scratch_dir("r", 3).is_dir()
