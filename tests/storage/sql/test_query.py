"""Queries read tables and nothing else; rows come out whole in every format."""

import csv
import io
import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import QueryError, Warehouse, run_sql
from storage.sql import FORMATS, Format

MakeRow = Callable[..., dict[str, Any]]


@pytest.fixture
def filled(warehouse: Warehouse, make_row: MakeRow) -> Warehouse:
    rows = [make_row("votes", id, answer=f"{id},\n'\"ü") for id in "ab"]
    warehouse.write("votes", rows, run="r", round=1, part="p")
    return warehouse


def test_formats(filled: Warehouse, tmp_path: Path) -> None:
    query = "SELECT id, answer, [1, 2] AS list, NULL AS nothing, 'nan'::DOUBLE AS x FROM votes"
    drawn = run_sql(filled, query).text
    assert drawn is not None and "│ a " in drawn
    read = list(csv.reader(io.StringIO(run_sql(filled, query, "csv").text)))
    assert read[:2] == [
        ["id", "answer", "list", "nothing", "x"],
        ["a", "a,\n'\"ü", "[1, 2]", "", "nan"],
    ]
    rows = json.loads(run_sql(filled, query, "json").text or "")
    assert rows[1] == {"id": "b", "answer": "b,\n'\"ü", "list": [1, 2], "nothing": None, "x": None}
    assert run_sql(filled, query, "parquet", tmp_path / "out.parquet") == (None, 2)
    assert pq.read_table(tmp_path / "out.parquet")["list"].to_pylist() == [[1, 2], [1, 2]]
    assert run_sql(filled, query, "arrow", tmp_path / "out.arrow") == (None, 2)
    with pa.ipc.open_file(tmp_path / "out.arrow") as file:
        assert file.read_all()["answer"].to_pylist() == ["a,\n'\"ü", "b,\n'\"ü"]


def test_csv_tells_null_from_an_empty_text(filled: Warehouse, tmp_path: Path) -> None:
    query = "SELECT '' AS empty, NULL AS nothing, 'a\rb' AS line, '\"' AS mark, ' ' AS blank"
    run_sql(filled, query, "csv", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == (
        b'empty,nothing,line,mark,blank\n"",,"a\rb","""", \n'
    )
    read = f"FROM read_csv('{tmp_path}/out.csv', all_varchar = true, allow_quoted_nulls = false)"
    assert duckdb.execute(read).fetchall() == [("", None, "a\rb", '"', " ")]


def test_a_plan_is_drawn_as_it_is(filled: Warehouse) -> None:
    text = run_sql(filled, "EXPLAIN SELECT id FROM votes").text or ""
    assert "READ_PARQUET" in text and "explain_value" not in text
    assert json.loads(run_sql(filled, "EXPLAIN FROM votes", "json").text or "")[0]["explain_value"]


def test_an_interrupt_ends_a_query(filled: Warehouse) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_sql(filled, "SELECT sum(a.i * b.i) FROM range(1e9::INT) a(i), range(1e9::INT) b(i)")
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("fmt", FORMATS)
def test_files_are_written_whole_or_not_at_all(
    fmt: Format, filled: Warehouse, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run_sql(filled, "FROM votes", fmt, out)
    before = out.read_bytes()
    assert before
    with pytest.raises(QueryError, match="stop here"):
        run_sql(filled, "SELECT error('stop here ' || i) FROM range(9) t(i)", fmt, out)
    assert out.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"out", "warehouse"}


def test_results_larger_than_a_batch(filled: Warehouse) -> None:
    result = run_sql(filled, "SELECT i FROM range(5001) t(i)", "csv")
    assert result.num_rows == 5001
    assert (result.text or "").count("\n") == 5002
    assert run_sql(filled, "SELECT 1 WHERE false", "json") == ("[]\n", 0)


def test_equal_names_are_kept_apart(filled: Warehouse) -> None:
    text = run_sql(filled, "SELECT 1 AS a, 2 AS a, 3 AS a", "json").text
    assert list(json.loads(text or "")[0].values()) == [1, 2, 3]
    run_sql(filled, "SELECT 1 AS a, 2 AS a", "parquet", filled.root / "out.parquet")
    (row,) = pq.read_table(filled.root / "out.parquet").to_pylist()
    assert list(row.values()) == [1, 2]


@pytest.mark.parametrize(
    "query",
    [
        "SHOW TABLES",
        "DESCRIBE votes",
        "SUMMARIZE votes",
        "EXPLAIN ANALYZE FROM votes",
        "PIVOT votes ON answer USING sum(weight)",
        "WITH x AS (FROM votes) FROM x;",
        "FROM rounds_overview",
        "FROM lineage('a')",
        "VALUES (1)",
    ],
)
def test_reading_statements(query: str, filled: Warehouse) -> None:
    assert (run_sql(filled, query, "csv").num_rows or 0) > 0 or "rounds" in query


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("", "expected one statement, got 0"),
        ("SELECT 1; SELECT 2", "expected one statement, got 2"),
        ("SELEC 1", "syntax error"),
        ("SELECT CHECK FROM scores", 'written "check", in quotes'),
        ("SELECT check FROM scores", 'written "check", in quotes'),
        ("SELECT nope FROM votes", "nope"),
        ("FROM nope", "SHOW TABLES lists"),
        ("COPY votes TO '{root}/tables/x.csv'", "COPY statements are refused"),
        ("EXPLAIN ANALYZE COPY votes TO '{root}/tables/x.csv'", "COPY statements are refused"),
        ("EXPLAIN (ANALYZE) COPY votes TO '{root}/tables/x.csv'", "COPY statements are refused"),
        ("CREATE TABLE t AS FROM votes", "CREATE statements are refused"),
        ("SET threads = 1", "SET statements are refused"),
        ("ATTACH '{root}/selfloom.duckdb'", "ATTACH statements are refused"),
        ("INSTALL httpfs", "refused"),
        ("FROM read_text('/etc/hostname')", "sees the warehouse's tables only"),
        ("FROM '{root}/selfloom.json'", ""),
        ("FROM filled", "filled"),
    ],
)
def test_refused(query: str, problem: str, filled: Warehouse) -> None:
    with pytest.raises(QueryError) as caught:
        run_sql(filled, query.replace("{root}", str(filled.root)), "csv")
    assert problem in str(caught.value)
    assert not (filled.root / "tables" / "x.csv").exists()


def test_unknown_formats(filled: Warehouse) -> None:
    with pytest.raises(QueryError, match="format 'xml': expected one of table, csv"):
        run_sql(filled, "FROM votes", "xml")  # type: ignore[arg-type]
    files: tuple[Format, ...] = ("parquet", "arrow")
    for fmt in files:
        with pytest.raises(QueryError, match="give the path of an output file"):
            run_sql(filled, "FROM votes", fmt)
    with pytest.raises(QueryError, match="not UTF-8"):
        run_sql(filled, "SELECT '\udcff'")
