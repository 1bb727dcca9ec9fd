"""Whether two warehouses hold the same tables, and the content hash of a training table."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from itertools import zip_longest
from typing import Literal, NamedTuple

import duckdb

from storage.catalog import quoted, scan
from storage.places import let_read
from storage.rows import schema_of
from storage.schemas import TABLES, unmeasured_columns
from storage.warehouse import Warehouse

_SHOWN_CHARACTERS = 120
_FETCH_ROWS = 10_000


class Difference(NamedTuple):
    """One row that two warehouses do not share."""

    table: str
    id: str
    run: str
    round: int
    kind: Literal["only in first", "only in second", "differs"]
    columns: tuple[str, ...]
    """The columns that differ; none for a row that is in one warehouse only."""
    detail: str
    """The two values of the first such column, shortened."""


class TableCount(NamedTuple):
    """How many rows of a table two warehouses share; rows are told apart by id, run and round."""

    table: str
    rows_first: int
    rows_second: int
    only_first: int
    only_second: int
    differs: int
    """Rows that both have, with other values or another number of times."""


def diff_tables(
    first: Warehouse,
    second: Warehouse,
    *,
    tables: Collection[str] = tuple(TABLES),
    run: str | None = None,
    ignore: Collection[str] = (),
    limit: int = 20,
) -> list[Difference]:
    """Returns the rows that two warehouses do not share, in all but measured columns.

    Neither the order of rows nor their distribution over parts counts; a row that is there twice
    in one warehouse and once in the other does.

    Args:
        first: One warehouse.
        second: The other.
        tables: Tables to compare.
        run: Only rows of this run; None for all runs.
        ignore: Columns to leave out, as "<table>.<column>".
        limit: Largest number of ids per table to report.

    Returns:
        No differences where the tables are the same.

    Raises:
        UnknownTableError: If there is no such table.
        ValueError: If an ignored column does not exist, or tells rows apart.
    """
    _check_ignored(ignore)
    found: list[Difference] = []
    with first.connect() as connection:
        let_read(connection, second.place)
        for table in tables:
            names = _compared(table, ignore)
            sides = _sides(table, first, second, run, ignore)
            for key in _unequal(connection, sides, limit):
                found += _explain(connection, table, sides, names, key)
    return found


def count_differences(
    first: Warehouse,
    second: Warehouse,
    *,
    tables: Collection[str] = tuple(TABLES),
    run: str | None = None,
) -> list[TableCount]:
    """Returns how many rows of each table two warehouses share and do not share.

    Args:
        first: One warehouse.
        second: The other.
        tables: Tables to compare.
        run: Only rows of this run; None for all runs.

    Returns:
        One entry per table, in the order of `tables`.

    Raises:
        UnknownTableError: If there is no such table.
    """
    with first.connect() as connection:
        let_read(connection, second.place)
        return [_count(connection, table, _sides(table, first, second, run)) for table in tables]


def _count(connection: duckdb.DuckDBPyConnection, table: str, sides: list[str]) -> TableCount:
    ((rows_first, rows_second, only_first, only_second, differs),) = connection.execute(
        f"""
        WITH x AS (SELECT *, count(*) AS copies FROM ({sides[0]}) GROUP BY ALL),
        y AS (SELECT *, count(*) AS copies FROM ({sides[1]}) GROUP BY ALL),
        keys AS (
            SELECT id, run, round, bool_or(in_first) AS in_first, bool_or(NOT in_first) AS in_second
            FROM (
                SELECT id, run, round, true AS in_first FROM (FROM x EXCEPT FROM y)
                UNION ALL
                SELECT id, run, round, false FROM (FROM y EXCEPT FROM x)
            )
            GROUP BY id, run, round
        )
        SELECT
            (SELECT coalesce(sum(copies), 0)::BIGINT FROM x),
            (SELECT coalesce(sum(copies), 0)::BIGINT FROM y),
            count(*) FILTER (WHERE NOT in_second),
            count(*) FILTER (WHERE NOT in_first),
            count(*) FILTER (WHERE in_first AND in_second)
        FROM keys
        """
    ).fetchall()
    return TableCount(table, rows_first, rows_second, only_first, only_second, differs)


def _sides(
    table: str,
    first: Warehouse,
    second: Warehouse,
    run: str | None,
    ignore: Collection[str] = (),
) -> list[str]:
    names = _compared(table, ignore)
    columns = ", ".join(f'"{name}"' for name in names)
    chosen = "" if run is None else f"WHERE run = {quoted(run)}"
    return [f"SELECT {columns} FROM {scan(table, quoted(w.uri))} {chosen}" for w in (first, second)]


def _compared(table: str, ignore: Collection[str]) -> list[str]:
    return [
        name for name in unmeasured_columns(schema_of(table)) if f"{table}.{name}" not in ignore
    ]


def table_hash(
    warehouse: Warehouse, table: str, *, run: str | None, rounds: Sequence[int] | None = None
) -> str:
    """Returns a hash of a table's rows, whatever their order and parts.

    It names rows as they lie in the warehouse; `models.snapshot_hash` names what a model saw, in
    which order and repetitions count.

    Args:
        warehouse: Warehouse of the table.
        table: Name of the table, as a rule one of TRAINING_TABLES.
        run: Run whose rows count; None for all runs.
        rounds: Rounds whose rows count; None for all rounds.

    Returns:
        64 hex digits: the SHA-256 of the sorted SHA-256 hashes of the rows, each over the JSON of
        all unmeasured columns.

    Raises:
        UnknownTableError: If there is no such table.
    """
    names = unmeasured_columns(schema_of(table))
    fields = ", ".join(f'"{name}" := "{name}"' for name in names)
    chosen = "true" if run is None else f"run = {quoted(run)}"
    if rounds is not None:
        # The 'false' keeps an empty list of rounds valid, and empty.
        chosen += f" AND (false {''.join(f' OR round = {int(number)}' for number in rounds)})"
    digest = hashlib.sha256()
    with warehouse.connect() as connection:
        cursor = connection.execute(
            f"SELECT sha256(to_json(struct_pack({fields}))::VARCHAR) AS row_hash "
            f"FROM {table} WHERE {chosen} ORDER BY row_hash"
        )
        while batch := cursor.fetchmany(_FETCH_ROWS):
            digest.update("".join(row_hash for (row_hash,) in batch).encode("ascii"))
    return digest.hexdigest()


def _check_ignored(ignore: Collection[str]) -> None:
    for name in ignore:
        table, _, column = name.partition(".")
        if column in ("id", "run", "round") or column not in schema_of(table).names:
            raise ValueError(
                f"ignored column {name!r}: expected '<table>.<column>', and not id, run or round"
            )


def _unequal(
    connection: duckdb.DuckDBPyConnection, sides: list[str], limit: int
) -> list[tuple[str, str, int]]:
    """Returns (id, run, round) of the rows that are not equally often on both sides."""
    return connection.execute(
        f"""
        WITH x AS (SELECT *, count(*) AS copies FROM ({sides[0]}) GROUP BY ALL),
        y AS (SELECT *, count(*) AS copies FROM ({sides[1]}) GROUP BY ALL)
        SELECT DISTINCT id, run, round
        FROM ((FROM x EXCEPT FROM y) UNION ALL (FROM y EXCEPT FROM x))
        ORDER BY run, round, id
        LIMIT {limit}
        """
    ).fetchall()


def _explain(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    sides: list[str],
    names: list[str],
    key: tuple[str, str, int],
) -> list[Difference]:
    """Returns one difference per unequal copy of a row."""
    both = [
        connection.execute(
            f"FROM ({side}) WHERE id = ? AND run = ? AND round = ? ORDER BY ALL", key
        ).fetchall()
        for side in sides
    ]
    found = []
    for one, two in zip_longest(*both):
        if one is None:
            found.append(Difference(table, *key, "only in second", (), ""))
        elif two is None:
            found.append(Difference(table, *key, "only in first", (), ""))
        elif one != two:
            unequal = [i for i, name in enumerate(names) if one[i] != two[i]]
            detail = f"{_short(one[unequal[0]])} against {_short(two[unequal[0]])}"
            columns = tuple(names[i] for i in unequal)
            found.append(Difference(table, *key, "differs", columns, detail))
    return found


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
