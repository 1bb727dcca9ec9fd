"""Any DuckDB client can open selfloom.duckdb: while a round writes, empty, and after a move."""

import itertools
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from storage import TABLES, Warehouse
from storage.schemas import doc_of

MakeRow = Callable[..., dict[str, Any]]
Start = Callable[..., subprocess.Popen[str]]

VIEWS = [
    *TABLES,
    "rounds_overview",
    "promotions",
    "row_counts",
    "answers",
    "disagreements",
    "worst_prompts",
    "flaky",
    "training_labels",
]
MACROS = {"lineage", "learned_from", "round_diff", "pass_rate_migration"}

WRITE = """
import sys
from storage import Warehouse
warehouse = Warehouse.open(sys.argv[1])
for part in range(60):
    rows = [
        dict(id=f"{part}-{i}", prompt_id="p", answer="1", count=1, weight=1.0, share=1.0, rank=1,
             num_samples=1)
        for i in range(100)
    ]
    warehouse.write("votes", rows, run="r", round=part % 3, part=f"part-{part}")
    if part % 20 == 10:
        (warehouse.root / "selfloom.duckdb").unlink()
        warehouse.refresh_catalog()
    print(part, flush=True)
"""

# A client that knows nothing of us, started in a folder of its own.
CLIENT = """
import os, sys, duckdb
os.chdir(sys.argv[1])
connection = duckdb.connect(sys.argv[2], read_only=True)
print(connection.execute("SELECT id, run, round FROM votes").fetchall())
print(len(connection.execute("SELECT * FROM lineage('a')").fetchall()))
"""


def client(path: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(path / "selfloom.duckdb"), read_only=True)


def test_empty_tables_have_all_their_columns(warehouse: Warehouse) -> None:
    connections = (client(warehouse.root), warehouse.connect())
    for connection, view in itertools.product(connections, VIEWS):
        relation = connection.sql(f"SELECT * FROM {view}")
        assert relation.fetchall() == []
        if view in TABLES:
            assert relation.columns == TABLES[view].names


def test_the_schema_file_is_no_partition(warehouse: Warehouse, make_row: MakeRow) -> None:
    warehouse.write("votes", [make_row("votes", "a")], run="20261121", round=1, part="p")
    rows = client(warehouse.root).sql("SELECT DISTINCT run, round FROM votes").fetchall()
    assert rows == [("20261121", 1)], "a run that looks like a number stays text"


def test_comments_describe_tables_and_columns(warehouse: Warehouse) -> None:
    connection = client(warehouse.root)
    found = connection.execute(
        "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal"
    ).fetchall()
    comments = {(table, column): comment for table, column, comment in found}
    for table, schema in TABLES.items():
        for field in schema:
            assert comments[table, field.name] == doc_of(field)
    nameless = {key for key, comment in comments.items() if not comment}
    assert {table for table, _ in nameless} <= {"catalog_info"}
    rows = connection.execute("SELECT view_name FROM duckdb_views() WHERE comment <> ''").fetchall()
    assert {name for (name,) in rows} == set(VIEWS)
    macros = connection.execute(
        "SELECT function_name FROM duckdb_functions() "
        "WHERE function_type = 'table_macro' AND NOT internal AND comment <> ''"
    ).fetchall()
    assert {name for (name,) in macros} == MACROS


def test_only_the_wanted_partition_is_read(warehouse: Warehouse, make_row: MakeRow) -> None:
    for number in range(4):
        warehouse.write("votes", [make_row("votes", "a")], run="r", round=number, part="p")
    plan = client(warehouse.root).execute("EXPLAIN FROM votes WHERE round = 2").fetchall()[0][1]
    assert "Scanning Files: 1/5" in plan


def test_readers_and_a_writer(warehouse: Warehouse, start: Start) -> None:
    with start(WRITE, warehouse.root) as writer:
        assert writer.stdout is not None
        seen = [0]
        connection = client(warehouse.root)
        for _ in writer.stdout:
            seen += connection.execute("SELECT count(*) FROM votes").fetchall()[0]
            parts = client(warehouse.root).sql(
                "SELECT count(*) FROM votes GROUP BY split_part(id, '-', 1)"
            )
            assert set(parts.fetchall()) <= {(100,)}, "a reader sees a whole part or none"
    assert writer.returncode == 0
    assert all(count % 100 == 0 for count in seen)
    assert seen == sorted(seen)
    assert seen[-1] == 6000


def test_a_moved_warehouse_works_for_a_plain_client(
    warehouse: Warehouse, make_row: MakeRow, start: Start, tmp_path: Path
) -> None:
    warehouse.write("votes", [make_row("votes", "a")], run="r", round=1, part="p")
    moved = tmp_path / "it's moved"
    warehouse.root.rename(moved)
    for folder, path in [
        ("/", str(moved / "selfloom.duckdb")),
        (str(tmp_path), "it's moved/selfloom.duckdb"),
        (str(moved), "selfloom.duckdb"),
        (str(moved), "./selfloom.duckdb"),
    ]:
        output, errors = start(CLIENT, folder, path).communicate()
        assert errors == ""
        assert output == "[('a', 'r', 1)]\n1\n"


def test_opening_renews_the_path_for_attached_catalogs(
    warehouse: Warehouse, make_row: MakeRow, tmp_path: Path
) -> None:
    warehouse.write("votes", [make_row("votes", "a")], run="r", round=1, part="p")
    moved = tmp_path / "it's moved"
    warehouse.root.rename(moved)

    def count() -> object:
        with duckdb.connect() as other:
            path = str(moved / "selfloom.duckdb").replace("'", "''")
            other.execute(f"ATTACH '{path}' AS loom (READ_ONLY)")
            return other.execute("SELECT count(*) FROM loom.votes").fetchall()

    with pytest.raises(duckdb.IOException, match="No files found"):
        count()
    Warehouse.open(moved)
    assert count() == [(1,)]


def test_renewed_only_when_needed(warehouse: Warehouse) -> None:
    path = warehouse.root / "selfloom.duckdb"
    assert not warehouse.refresh_catalog()
    path.unlink()
    assert warehouse.refresh_catalog()
    path.write_bytes(b"not a database")
    assert warehouse.refresh_catalog()
    path.unlink()
    with duckdb.connect(str(path)) as other:
        other.execute("CREATE TABLE mine (x INTEGER)")
    assert warehouse.refresh_catalog()
    assert not warehouse.refresh_catalog()


def test_a_missing_schema_file_is_restored(warehouse: Warehouse) -> None:
    for path in warehouse.table_dir("votes").rglob("schema.parquet"):
        path.unlink()
    again = Warehouse.open(warehouse.root)
    assert again.connect().execute("SELECT count(*) FROM votes").fetchall() == [(0,)]


def test_duckdb_1_can_read_the_file_format(warehouse: Warehouse) -> None:
    # Bytes 12 to 20 of the file are its format: 64 is what DuckDB 1.0 wrote.
    with open(warehouse.root / "selfloom.duckdb", "rb") as file:
        header = file.read(20)
    assert (header[8:12], int.from_bytes(header[12:20], "little")) == (b"DUCK", 64)


def test_connections_spill_into_folders_of_their_own(warehouse: Warehouse) -> None:
    query = "SELECT current_setting('temp_directory')"
    folders = [warehouse.connect().execute(query).fetchall()[0][0] for _ in range(2)]
    assert folders[0] != folders[1]
    assert {os.path.dirname(os.path.dirname(folder)) for folder in folders} == {
        str(warehouse.root / "tmp")
    }
    assert Warehouse.open(warehouse.root)
    assert Path(folders[0]).parent.is_dir(), "a living process is not swept"
