"""The DuckDB catalog: views and macros over the Parquet files, and nothing else.

`selfloom.duckdb` is renewed by rename, so any DuckDB client can keep it open while a round writes.
Its views find the tables beside the file that the client opened: DuckDB folds a constant
expression in `read_parquet`, and the default `temp_directory` of a database is its own path plus
".tmp". A moved warehouse therefore works for a plain client at once. Where that setting says
something else (the file is attached to another database, or the user changed the setting), the
views use the absolute path of the last renewal.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Collection
from importlib import resources
from pathlib import Path

import duckdb
import pyarrow as pa

from storage.commit import publish, publish_parquet, spill_folder
from storage.places import AnyPath, let_read, read_metadata
from storage.schemas import SCHEMA_VERSION, TABLES, doc_of

CATALOG = "selfloom.duckdb"
"""Name of the catalog in the warehouse."""

# A file without rows under each table: globs always match, and every column has its type, also
# while the table is empty. No run can have this name.
SCHEMA_FILE = "run=__schema__/round=0/schema.parquet"

VIEWS = "warehouse.main"
"""Where the views are in every connection of `connect`; for one that shadows a view by its name."""

# In this order: later ones read earlier ones.
_SQL_FILES = (
    "rounds_overview.sql",
    "promotions.sql",
    "row_counts.sql",
    "answers.sql",
    "disagreements.sql",
    "worst_prompts.sql",
    "flaky.sql",
    "training_labels.sql",
    "round_diff.sql",
    "pass_rate_migration.sql",
    "lineage.sql",
    "learned_from.sql",
)


def write_schema_files(root: Path, place: AnyPath | None = None) -> None:
    """Commits the row-less schema file of every table where it is missing or outdated.

    Args:
        root: Local folder of the warehouse.
        place: Where its tables are; None for the same folder.

    Raises:
        WarehouseFullError: If the disk is full.
    """
    for table, schema in TABLES.items():
        path = (place or root) / "tables" / table / SCHEMA_FILE
        if not path.is_file() or not _schema(path).equals(schema, check_metadata=True):
            publish_parquet(root, path, schema.empty_table())


def connect(root: Path, place: AnyPath | None = None) -> duckdb.DuckDBPyConnection:
    """Returns a connection with all views and macros, by absolute paths, and room for own tables.

    Args:
        root: Local folder of the warehouse.
        place: Where its tables are; None for the same folder.
    """
    connection = duckdb.connect()
    try:
        folder = spill_folder(root)
        connection.execute(f"SET temp_directory = {quoted(str(folder) if folder else '')}")
        # What takes long says so itself, and only where someone is looking.
        connection.execute("SET enable_progress_bar = false")
        if place is not None and place != root:
            let_read(connection, place)
            _attach(connection, root)
        elif not _attach_current(connection, root):
            _define_in_memory(connection, root)
        # Own tables and views go to the first, and stand before those of the warehouse.
        connection.execute("SET search_path = 'memory,warehouse'")
    except BaseException:
        connection.close()
        raise
    return connection


def _attach(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    """Takes views and macros from the catalog file: defining all of them costs half a second."""
    connection.execute(f"ATTACH {quoted(str(root / CATALOG))} AS warehouse (READ_ONLY)")


def _attach_current(connection: duckdb.DuckDBPyConnection, root: Path) -> bool:
    """Does so if the file has today's definitions, and returns whether it has; else leaves it."""
    try:
        _attach(connection, root)
        rows = connection.execute("SELECT fingerprint FROM warehouse.catalog_info").fetchall()
    except duckdb.Error:
        rows = []
    if rows == [(_fingerprint_of(_file_definitions(root)),)]:
        return True
    connection.execute("DETACH DATABASE IF EXISTS warehouse")
    return False


def attach_memory(connection: duckdb.DuckDBPyConnection) -> None:
    """Makes a place at `VIEWS` that has no file, and takes what is created next there."""
    connection.execute("ATTACH IF NOT EXISTS ':memory:' AS warehouse; USE warehouse")


def _define_in_memory(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    """Defines everything anew: a read-only warehouse of other definitions, or one in damage."""
    root_sql = quoted(str(root))
    attach_memory(connection)
    try:
        _define(connection, _definitions(root_sql))
    except (duckdb.BinderException, duckdb.IOException):
        # An older warehouse on a read-only disk: its schema files could not be renewed.
        connection.execute("ROLLBACK")
        _define_columns(connection)
        missing = [name for name in TABLES if not (root / "tables" / name).is_dir()]
        _define(connection, _definitions(root_sql, complete=True, missing=missing))


def refresh(root: Path, place: AnyPath | None = None) -> bool:
    """Renews the catalog file if it is missing, of other definitions, or was moved.

    Args:
        root: Local folder of the warehouse, which the file is in.
        place: Where its tables are; None for the same folder.

    Returns:
        Whether it was renewed.

    Raises:
        WarehouseFullError: If the disk is full.
    """
    target = root / CATALOG
    definitions = _file_definitions(root, place)
    fingerprint = _fingerprint_of(definitions)
    if _fingerprint(target) == fingerprint:
        return False

    def write(path: Path) -> None:
        try:
            build(path)
        except duckdb.IOException as error:
            # DuckDB gives the cause of a failed write in words only.
            for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                if os.strerror(number) in str(error):
                    raise OSError(number, str(error)) from error
            raise

    def build(path: Path) -> None:
        with duckdb.connect() as connection:
            let_read(connection, place or root, for_long=False)
            # The oldest storage format, so that every client from DuckDB 1.0 on can open it; the
            # default of 2.0 is unreadable by 1.x.
            connection.execute(
                f"ATTACH {quoted(str(path))} AS unfinished (STORAGE_VERSION 'v1.0.0')"
            )
            connection.execute("USE unfinished")
            info = (
                f"CREATE VIEW catalog_info AS SELECT {quoted(fingerprint)} AS fingerprint, "
                f"{quoted(str(place or root))} AS root, {SCHEMA_VERSION} AS schema_version"
            )
            _define(connection, [*definitions, info])

    publish(root, target, write)
    return True


def _schema(path: AnyPath) -> pa.Schema:
    return read_metadata(path).schema.to_arrow_schema()


def _file_definitions(root: Path, place: AnyPath | None = None) -> list[str]:
    remote = place is not None and place != root
    return _definitions(quoted(str(place)) if remote else _folder_of_database(root))


def _fingerprint_of(definitions: list[str]) -> str:
    return hashlib.sha256("\n".join(definitions).encode()).hexdigest()


def _fingerprint(path: Path) -> str | None:
    if not path.is_file():
        return None
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            rows = connection.execute("SELECT fingerprint FROM catalog_info").fetchall()
    except duckdb.Error:
        # Damaged, of another DuckDB, or held for writing by someone: a fresh one is right for all.
        return None
    return str(rows[0][0])


def _define(connection: duckdb.DuckDBPyConnection, statements: list[str]) -> None:
    # One transaction: on its own each of the 130 statements would wait for the disk.
    connection.execute("BEGIN")
    for statement in statements:
        connection.execute(statement)
    connection.execute("COMMIT")


def _define_columns(connection: duckdb.DuckDBPyConnection) -> None:
    """Makes empty tables with all columns, in a schema of their own that SHOW TABLES leaves out."""
    connection.execute("CREATE SCHEMA complete")
    for table, schema in TABLES.items():
        connection.register("empty_table", schema.empty_table())
        connection.execute(f"CREATE TABLE complete.{table} AS FROM empty_table")
        connection.unregister("empty_table")


def _definitions(
    root_sql: str, *, complete: bool = False, missing: Collection[str] = ()
) -> list[str]:
    """Returns the statements that make the catalog.

    Args:
        root_sql: SQL expression for the folder of the warehouse.
        complete: Take columns that no file has from the schema `complete`; they are null.
        missing: Tables that have no file, with `complete`; they are empty.
    """
    statements = []
    for table, schema in TABLES.items():
        rows = scan(table, root_sql)
        if table in missing:
            rows = f"complete.{table}"
        elif complete:
            rows = f"(FROM {rows} UNION ALL BY NAME FROM complete.{table})"
        statements += _table_view(table, schema, rows)
    folder = resources.files("storage") / "sql"
    return statements + [(folder / name).read_text(encoding="utf-8") for name in _SQL_FILES]


def scan(table: str, root_sql: str) -> str:
    """Returns the table function that reads all parts of a table.

    Args:
        table: Name of the table.
        root_sql: SQL expression for the folder of the warehouse.
    """
    # Without hive_types a run named 20261121 would be a number; without union_by_name files that
    # are older than a column could not be read.
    return (
        f"read_parquet({root_sql} || '/tables/{table}/*/*/*.parquet', hive_partitioning = true, "
        "hive_types = {'run': VARCHAR, 'round': INTEGER}, union_by_name = true)"
    )


def _table_view(table: str, schema: pa.Schema, rows_sql: str) -> list[str]:
    columns = ", ".join(f'"{name}"' for name in schema.names)
    view = f"CREATE VIEW {table} AS SELECT {columns} FROM {rows_sql}"
    doc = (schema.metadata or {}).get(b"doc", b"").decode()
    comments = [f"COMMENT ON VIEW {table} IS {quoted(doc)}"]
    comments += [
        f'COMMENT ON COLUMN {table}."{field.name}" IS {quoted(doc_of(field))}' for field in schema
    ]
    return [view, *comments]


def _folder_of_database(root: Path) -> str:
    """Returns an SQL expression for the folder of the database file that a client has opened."""
    setting = "current_setting('temp_directory')"
    ending = f"{CATALOG}.tmp"
    return (
        f"(CASE WHEN {setting} = '{ending}' THEN '.' "
        f"WHEN suffix({setting}, '/{ending}') "
        f"THEN left({setting}, length({setting}) - {len(ending) + 1}) "
        f"ELSE {quoted(str(root))} END)"
    )


def quoted(text: str) -> str:
    """Returns a text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"
