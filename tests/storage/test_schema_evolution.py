"""Warehouses outlive the code that wrote them: old ones open, and rows keep what they hold."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from storage import SCHEMA_VERSION, TABLES, SchemaVersionError, Warehouse, diff_tables

MakeRow = Callable[..., dict[str, Any]]
DATA = Path(__file__).parent / "data"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Returns a copy of a warehouse with one row in every table, as version 0.1.0 wrote it."""
    return Path(shutil.copytree(DATA / "warehouse_v1", tmp_path / "old"))


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives samples and rounds a further column, as a later version of the code might."""
    for table, kind in (("samples", pa.float64()), ("rounds", pa.list_(pa.string()))):
        field = pa.field("added_later", kind, nullable=True, metadata={"doc": "Something new."})
        monkeypatch.setitem(TABLES, table, TABLES[table].append(field))


def test_no_column_changes_while_the_version_stays() -> None:
    # To change a column, raise SCHEMA_VERSION and say in docs/schema.md how rows come over.
    recorded = json.loads((DATA / f"schema_v{SCHEMA_VERSION}.json").read_text())
    assert set(recorded) <= set(TABLES)
    for table, columns in recorded.items():
        now = {field.name: [str(field.type), field.nullable] for field in TABLES[table]}
        assert {name: now.get(name) for name in columns} == columns
        assert all(TABLES[table].field(name).nullable for name in set(now) - set(columns)), (
            f"a new column of {table} must be nullable: rows of older files don't have it"
        )


def test_a_warehouse_of_the_first_version_opens(old: Path) -> None:
    recorded = json.loads((DATA / "schema_v1.json").read_text())
    warehouse = Warehouse.open(old)
    with warehouse.connect() as connection:
        for table in TABLES:
            ids = [f"{table}-1"] if table in recorded else []  # later tables are empty
            assert warehouse.read(table)["id"].to_pylist() == ids
            found = connection.execute(f"SELECT id FROM {table}").fetchall()
            assert found == [(own,) for own in ids]
        assert connection.execute("FROM rounds_overview").fetchall()
        assert connection.execute("FROM lineage('pairs-1')").fetchall()


def test_rows_of_old_files_have_null_in_columns_that_came_later(
    old: Path, newer: None, make_row: MakeRow
) -> None:
    warehouse = Warehouse.open(old)
    row = make_row("samples", "young", added_later=0.5)
    warehouse.write("samples", [row], run="young", round=1, part="p")
    assert warehouse.read("samples")["added_later"].to_pylist() == [None, 0.5]
    assert warehouse.read("rounds")["added_later"].to_pylist() == [None]
    catalog = duckdb.connect(str(old / "selfloom.duckdb"), read_only=True)
    for connection in (warehouse.connect(), catalog):
        query = "SELECT id, added_later FROM samples ORDER BY id"
        assert connection.execute(query).fetchall() == [("samples-1", None), ("young", 0.5)]
        comment = (
            "SELECT comment FROM duckdb_columns() "
            "WHERE table_name = 'samples' AND column_name = 'added_later'"
        )
        assert connection.execute(comment).fetchall() == [("Something new.",)]
        connection.close()
    assert [own.id for own in diff_tables(warehouse, warehouse)] == []


def test_an_old_warehouse_on_a_read_only_disk_is_read(
    old: Path, newer: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    for name in ("write_schema_files", "refresh"):
        monkeypatch.setattr(f"storage.catalog.{name}", refuse)
    warehouse = Warehouse.open(old, create=False)
    assert warehouse.read("samples")["added_later"].to_pylist() == [None]
    with warehouse.connect() as connection:
        query = "SELECT id, added_later FROM samples WHERE run = 'old'"
        assert connection.execute(query).fetchall() == [("samples-1", None)]
        assert connection.execute("FROM lineage('pairs-1')").fetchall()
        assert ("complete",) not in connection.execute("SHOW TABLES").fetchall()


def test_older_code_reads_what_newer_code_wrote(
    old: Path, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        field = pa.field("added_later", pa.float64(), nullable=True, metadata={"doc": "New."})
        later.setitem(TABLES, "samples", TABLES["samples"].append(field))
        row = make_row("samples", "young", added_later=0.5)
        Warehouse.open(old).write("samples", [row], run="young", round=1, part="p")
    warehouse = Warehouse.open(old)
    assert warehouse.read("samples")["id"].to_pylist() == ["samples-1", "young"]
    assert "added_later" not in warehouse.read("samples").column_names
    with warehouse.connect() as connection:
        assert connection.execute("SELECT count(*) FROM samples").fetchall() == [(2,)]
        assert connection.execute("FROM lineage('young')").fetchall()


@pytest.mark.parametrize("version", [SCHEMA_VERSION - 1, SCHEMA_VERSION + 1])
def test_another_version_is_left_alone_and_the_way_is_named(version: int, old: Path) -> None:
    marker = old / "selfloom.json"
    marker.write_text(json.dumps({"format": "selfloom-warehouse", "schema_version": version}))
    with pytest.raises(SchemaVersionError, match=r"docs/schema\.md") as caught:
        Warehouse.open(old)
    assert f"schema version {version}; this selfloom reads" in str(caught.value)
