"""Turns rows into an Arrow table of the right schema, or says which row and field is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from storage.errors import RowError, UnknownTableError
from storage.schemas import TABLES

Rows: TypeAlias = Sequence[Mapping[str, object]] | pa.Table
"""What can be written: one mapping per row, or an Arrow table."""

_PREVIEW_CHARACTERS = 80
_REFUSED = (pa.ArrowException, TypeError, ValueError, OverflowError)
# What Arrow converts without a word: 1.5 to 1, True to 1, and "ab" to ["a", "b"].
_MISREAD: dict[int, tuple[type, ...]] = {
    pa.int32().id: (float, bool),
    pa.int64().id: (float, bool),
    pa.list_(pa.string()).id: (str, bytes, Mapping),
}


def schema_of(table: str) -> pa.Schema:
    """Returns the schema of a table.

    Raises:
        UnknownTableError: If there is no such table.
    """
    if table not in TABLES:
        raise UnknownTableError(f"table {table!r}: expected one of {', '.join(TABLES)}")
    return TABLES[table]


def to_arrow(table: str, rows: Rows, *, run: str, round: int) -> pa.Table:
    """Returns the rows as an Arrow table with exactly the table's schema.

    Fills in `run` and `round`, and null for nullable columns that no row has. Mappings and lists
    in JSON columns become JSON text.

    Args:
        table: Name of the table.
        rows: One mapping per row, or an Arrow table; keys are column names.
        run: Run that the rows belong to.
        round: Round that the rows belong to.

    Returns:
        One Arrow row per input row, in the same order.

    Raises:
        UnknownTableError: If there is no such table.
        RowError: If a row does not fit: an unknown or missing column, a value of another type, a
            null or NaN, a word that is not allowed, text that is not JSON, a repeated id.
    """
    schema = schema_of(table)
    given = set(rows.column_names) if isinstance(rows, pa.Table) else set().union(*rows)
    unknown = sorted(given - set(schema.names))
    if unknown:
        row = 0 if isinstance(rows, pa.Table) else _first(rows, lambda r: unknown[0] in r)
        _fail(
            table,
            row,
            unknown[0],
            f"no such column; expected {', '.join(schema.names)}",
        )
    num_rows = rows.num_rows if isinstance(rows, pa.Table) else len(rows)
    columns = []
    for field in schema:
        if field.name == "run":
            columns.append(_key_column(table, field, rows, given, run, num_rows))
        elif field.name == "round":
            columns.append(_key_column(table, field, rows, given, round, num_rows))
        elif isinstance(rows, pa.Table):
            columns.append(_cast_column(table, field, rows))
        else:
            columns.append(_build_column(table, field, [r.get(field.name) for r in rows]))
        _check_column(table, field, columns[-1])
    result = pa.table(columns, schema=schema)
    _check_ids(table, result.column("id"))
    return result


def _key_column(
    table: str,
    field: pa.Field,
    rows: Rows,
    given: set[str],
    value: str | int,
    num_rows: int,
) -> pa.Array:
    """Returns the partition key repeated, after comparing it with what the rows say."""
    if field.name in given:
        found = (
            rows.column(field.name).to_pylist()
            if isinstance(rows, pa.Table)
            else [r.get(field.name, value) for r in rows]
        )
        for row, own in enumerate(found):
            if own != value:
                _fail(table, row, field.name, f"is {own!r} but the part is of {value!r}")
    return pa.array([value] * num_rows, type=field.type)


def _build_column(table: str, field: pa.Field, values: list[Any]) -> pa.Array:
    if _is_json(field):
        values = [_to_json(table, row, field, value) for row, value in enumerate(values)]
    misread = _MISREAD.get(field.type.id, ())
    try:
        array = pa.array(values, type=field.type)
    except _REFUSED:
        array = None
    if array is not None and not any(isinstance(value, misread) for value in values):
        return array
    for row, value in enumerate(values):
        problem = _problem(field, value, misread)
        if problem is not None:
            _fail(table, row, field.name, f"expected {field.type}, got {_show(value)}: {problem}")
    return pa.array(values, type=field.type)


def _problem(field: pa.Field, value: Any, misread: tuple[type, ...]) -> object:
    """Returns why a value does not fit a column, None if it does."""
    if isinstance(value, misread) and not (isinstance(value, float) and value.is_integer()):
        return f"it is a {type(value).__name__}"
    try:
        pa.array([value], type=field.type)
    except _REFUSED as error:
        return error
    return None


def _to_json(table: str, row: int, field: pa.Field, value: object) -> object:
    if not isinstance(value, Mapping | list | tuple):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        _fail(
            table,
            row,
            field.name,
            f"expected a JSON value, got {_show(value)}: {error}",
        )


def _cast_column(table: str, field: pa.Field, rows: pa.Table) -> pa.Array:
    if field.name not in rows.column_names:
        return pa.nulls(rows.num_rows, type=field.type)
    column = rows.column(field.name).combine_chunks()
    try:
        return column.cast(field.type)
    except (pa.ArrowException, ValueError):
        for row in range(len(column)):
            try:
                column.slice(row, 1).cast(field.type)
            except (pa.ArrowException, ValueError) as error:
                _fail(
                    table,
                    row,
                    field.name,
                    f"expected {field.type}, got {_show(column[row].as_py())}: {error}",
                )
        raise


def _check_column(table: str, field: pa.Field, column: pa.Array) -> None:
    """Checks what the Arrow type cannot say: nulls, NaN, allowed words, JSON."""
    if column.null_count and not field.nullable:
        row = pc.index(column.is_null(), True).as_py()
        _fail(table, row, field.name, f"missing or null; expected {field.type}")
    if pa.types.is_floating(field.type):
        row = pc.index(pc.is_nan(column), True).as_py()
        if row >= 0:
            _fail(
                table,
                row,
                field.name,
                "is NaN; expected a number, or null where allowed",
            )
    if pa.types.is_list(field.type):
        _check_items(table, field, column)
    allowed = bytes((field.metadata or {}).get(b"values", b"")).decode()
    if allowed:
        words = pa.array(allowed.split("|"))
        row = pc.index(pc.is_in(column, value_set=words), False).as_py()
        if row >= 0:
            _fail(
                table,
                row,
                field.name,
                f"is {_show(column[row].as_py())}; expected {allowed}",
            )
    if _is_json(field):
        _check_json(table, field, column)


def _check_items(table: str, field: pa.Field, column: pa.Array) -> None:
    """Refuses nulls inside lists, and messages without a role or content."""
    items = pc.list_flatten(column)
    parts = items.flatten() if pa.types.is_struct(items.type) else []
    if not items.null_count and not any(part.null_count for part in parts):
        return
    for row, value in enumerate(column.to_pylist()):
        for item in value or []:
            if item is None or (isinstance(item, dict) and None in item.values()):
                _fail(table, row, field.name, f"has an empty item: {_show(value)}")


def _check_json(table: str, field: pa.Field, column: pa.Array) -> None:
    # Sampling parameters repeat over a whole part, so only the distinct texts are parsed.
    for text in pc.unique(column.drop_null()).to_pylist():
        try:
            json.loads(text, parse_constant=_refuse_constant)
        except ValueError as error:
            row = pc.index(column, text).as_py()
            _fail(
                table,
                row,
                field.name,
                f"expected JSON text, got {_show(text)}: {error}",
            )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_ids(table: str, ids: pa.ChunkedArray) -> None:
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    seen: set[str] = set()
    for row, own in enumerate(ids.to_pylist()):
        if own in seen:
            _fail(table, row, "id", f"{own!r} is there twice; ids must tell rows apart")
        seen.add(own)


def _is_json(field: pa.Field) -> bool:
    return bool((field.metadata or {}).get(b"format") == b"json")


def _first(rows: Sequence[Mapping[str, object]], matches: Any) -> int:
    return next(index for index, row in enumerate(rows) if matches(row))


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _PREVIEW_CHARACTERS else text[: _PREVIEW_CHARACTERS - 1] + "…"


def _fail(table: str, row: int, field: str, problem: str) -> NoReturn:
    raise RowError(f"table {table!r}, row {row}, field {field!r}: {problem}")
