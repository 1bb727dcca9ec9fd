"""Runs one read-only query over a warehouse and renders or saves its rows."""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import BinaryIO, Final, Literal, NamedTuple, TextIO, get_args

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from storage.commit import replace_beside
from storage.errors import QueryError
from storage.warehouse import Warehouse

Format = Literal["table", "csv", "json", "parquet", "arrow"]
"""How rows are written: a drawn table, comma-separated, an array of objects, or a file of columns.

In CSV null is an empty cell and an empty text is `""`, which DuckDB tells apart with
`allow_quoted_nulls = false`; lists and structs are JSON. JSON has null for NaN and infinities.
Parquet and Arrow keep every type.
"""

FORMATS: Final[tuple[Format, ...]] = get_args(Format)

_BATCH_ROWS = 2_000
_SHOWN_ROWS = 200
_NEEDS_FILE = ("parquet", "arrow")
_NEEDS_QUOTES = re.compile(r'[",\r\n]')
_PLAN = ["explain_key", "explain_value"]  # the columns of EXPLAIN
_EXPLAIN = re.compile(r"\s*EXPLAIN\s+(\([^)]*\)\s*|ANALYZE\s+)?", re.IGNORECASE)
_CHECK = 'at or near "check"'


class QueryResult(NamedTuple):
    """What a query gave."""

    text: str | None
    """The rendered rows; None when they went to a file."""
    num_rows: int | None
    """Rows of the result; None for a drawn table, which may leave rows out."""


def run_sql(
    warehouse: Warehouse,
    query: str,
    fmt: Format = "table",
    output: str | Path | None = None,
    *,
    max_width: int = 160,
) -> QueryResult:
    """Runs one query, read-only: it sees the tables, views and macros, and no other file.

    Args:
        warehouse: Warehouse to query.
        query: One reading statement: SELECT, FROM, WITH, PIVOT, VALUES, SHOW, DESCRIBE,
            SUMMARIZE or EXPLAIN.
        fmt: How the rows are written. A drawn table leaves out the middle of more than 200 rows; a
            plan of EXPLAIN is drawn as it is.
        output: File to write, complete or not at all; None to return the text.
        max_width: Characters of a line of a drawn table.

    Returns:
        The text, or the number of rows that went to the file.

    Raises:
        QueryError: If the format is unknown, Parquet or Arrow has no output path, or the query is
            no reading statement, fails, or names a file outside the tables.
        WarehouseFullError: If the disk of the output is full.
    """
    if fmt not in FORMATS:
        raise QueryError(f"format {fmt!r}: expected one of {', '.join(FORMATS)}")
    if fmt in _NEEDS_FILE and output is None:
        raise QueryError(f"format {fmt!r} is not text; give the path of an output file")
    with warehouse.connect() as connection:
        _check_reads_only(connection, query)
        _harden(connection, warehouse)
        try:
            relation = connection.sql(query)
            if relation is None:
                raise QueryError(f"the query has no rows to show; {_help()}")
            path = None if output is None else Path(output)
            return _interruptible(connection, lambda: _render(relation, fmt, path, max_width))
        except duckdb.PermissionException as error:
            raise QueryError(
                f"{error}\nA query sees the warehouse's tables only; open {warehouse.root}/"
                "selfloom.duckdb with a DuckDB client of your own for other files"
            ) from error
        except duckdb.Error as error:
            raise _explained(error) from error


def _interruptible(
    connection: duckdb.DuckDBPyConnection, work: Callable[[], QueryResult]
) -> QueryResult:
    """Works in a thread, so that Ctrl-C reaches this one: DuckDB 2.0 misses it now and then."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            while not future.done():
                # It refuses between two calls of the worker.
                with contextlib.suppress(duckdb.Error):
                    connection.interrupt()
                wait([future], timeout=0.05)
            raise


def _check_reads_only(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    try:
        query.encode()
        statements = connection.extract_statements(query)
    except UnicodeEncodeError as error:
        raise QueryError(f"the query is not UTF-8: {error}") from error
    except duckdb.Error as error:
        raise _explained(error) from error
    if len(statements) != 1:
        raise QueryError(f"expected one statement, got {len(statements)}; {_help()}")
    kind = statements[0].type
    if kind == duckdb.StatementType.EXPLAIN:
        # EXPLAIN ANALYZE runs what it explains, so that has to be a reading statement too.
        _check_reads_only(connection, _EXPLAIN.sub("", statements[0].query, count=1))
    # DuckDB turns a PIVOT without fixed columns into several statements.
    elif kind not in (duckdb.StatementType.SELECT, duckdb.StatementType.MULTI):
        raise QueryError(f"{kind.name} statements are refused, queries only read; {_help()}")


def _harden(connection: duckdb.DuckDBPyConnection, warehouse: Warehouse) -> None:
    tables = f"{warehouse.uri}/tables".replace("'", "''")
    connection.execute("SET python_enable_replacements = false")
    connection.execute(f"SET allowed_directories = ['{tables}']")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _help() -> str:
    return "SHOW TABLES lists the tables and views, DESCRIBE <table> the columns of one"


def _explained(error: duckdb.Error) -> QueryError:
    """DuckDB's error with what to look at."""
    lines = [str(error)]
    if _CHECK in lines[0].lower():  # the one column with a name that SQL keeps for itself
        lines.append('the column is written "check", in quotes')
    return QueryError("\n".join([*lines, _help()]))


def _render(
    relation: duckdb.DuckDBPyRelation, fmt: Format, output: Path | None, max_width: int
) -> QueryResult:
    if fmt in _NEEDS_FILE:
        assert output is not None
        return QueryResult(None, _save_columns(relation, fmt, output))
    if output is None:
        text = io.StringIO()
        num_rows = _write_text(relation, fmt, text, max_width)
        return QueryResult(text.getvalue(), num_rows)
    counts: list[int | None] = []

    def write(path: Path) -> None:
        with open(path, "w", encoding="utf-8", newline="") as stream:
            counts.append(_write_text(relation, fmt, stream, max_width))

    replace_beside(output, write)
    return QueryResult(None, counts[0])


def _save_columns(relation: duckdb.DuckDBPyRelation, fmt: Format, output: Path) -> int:
    num_rows = 0

    def write(path: Path) -> None:
        nonlocal num_rows
        reader = relation.to_arrow_reader(_BATCH_ROWS)
        # A file in which two columns have one name can't be read again.
        schema = pa.schema(map(pa.Field.with_name, reader.schema, _distinct(reader.schema.names)))
        with open(path, "wb") as sink, _column_writer(fmt, sink, schema) as writer:
            for batch in reader:
                num_rows += batch.num_rows
                writer.write_batch(pa.record_batch(batch.columns, schema=schema))

    replace_beside(output, write)
    return num_rows


def _column_writer(
    fmt: Format, sink: BinaryIO, schema: pa.Schema
) -> pq.ParquetWriter | pa.RecordBatchFileWriter:
    if fmt == "parquet":
        return pq.ParquetWriter(sink, schema, compression="zstd")
    return pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(compression="zstd"))


def _write_text(
    relation: duckdb.DuckDBPyRelation, fmt: Format, stream: TextIO, max_width: int
) -> int | None:
    if fmt == "table" and relation.columns == _PLAN:
        stream.write("\n".join(str(row[1]).rstrip() for row in _rows(relation)) + "\n")
        return None
    if fmt == "table":
        with contextlib.redirect_stdout(stream):
            relation.show(max_rows=_SHOWN_ROWS, max_width=max_width)
        return None
    names = _distinct(relation.columns)
    num_rows = 0
    if fmt == "csv":
        stream.write(_csv_line(names))
        for row in _rows(relation):
            stream.write(_csv_line(row))
            num_rows += 1
        return num_rows
    stream.write("[")
    for row in _rows(relation):
        stream.write(",\n " if num_rows else "")
        stream.write(_to_json(dict(zip(names, row, strict=True))))
        num_rows += 1
    stream.write("]\n")
    return num_rows


def _rows(relation: duckdb.DuckDBPyRelation) -> Iterator[tuple[object, ...]]:
    for batch in relation.to_arrow_reader(_BATCH_ROWS):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _distinct(names: list[str]) -> list[str]:
    """Returns the names with a number after repeated ones, so that no JSON key hides another."""
    result: list[str] = []
    for name in names:
        own, number = name, 1
        while own in result:
            own, number = f"{name}_{number}", number + 1
        result.append(own)
    return result


def _csv_line(values: Iterable[object]) -> str:
    return ",".join(map(_csv_cell, values)) + "\n"


def _csv_cell(value: object) -> str:
    # Python's csv module can't tell null from an empty text before 3.12.
    if value is None:
        return ""
    text = _to_json(value) if isinstance(value, list | dict) else str(value)
    if text and not _NEEDS_QUOTES.search(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def _to_json(value: object) -> str:
    return json.dumps(_finite(value), ensure_ascii=False, default=str)


def _finite(value: object) -> object:
    """Returns the value with null for NaN and infinities, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
