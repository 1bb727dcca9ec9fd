"""SQL files with declared parameters, runnable by hand and from Python.

A file declares each parameter in one line that is SQL itself, so that the whole file runs as it is
in any DuckDB client:

    SET VARIABLE min_share = 0.5;  -- DOUBLE in [0, 1]: smallest share of a confident majority

Run from here, those lines give the names, types, bounds (or, for a VARCHAR, `in {a, b}`) and
defaults, and values that a caller gives take their place. Header comments of the form
`-- Table: examples` are properties.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from storage import Warehouse
from storage.catalog import VIEWS
from tasks.errors import DataFormatError, OptionError, SourceError, UnknownNameError

Value = str | int | float | bool
ROWS_PER_PIECE = 65_536  # a row group of the file
BYTES_PER_PIECE = 2**27  # a piece ends sooner where texts are long: a few of them are in memory
ROWS_PER_BATCH = 4_096
THREADS_PER_GIB = 2  # a thread's buffers can't be spilled: with more of them a query may not fit

_DECLARATION = re.compile(
    r"^SET VARIABLE (?P<name>\w+) = (?P<default>.+?);[ ]*-- (?P<kind>[A-Z]+)"
    r"(?: in (?:\[(?P<low>[^,\]]+), (?P<high>[^\]]+)\]|\{(?P<words>[^}]+)\}))?: (?P<doc>.+)$",
    re.MULTILINE,
)
_PROPERTY = re.compile(
    r"^-- (?P<name>Table|References|After|Before|Columns|Needs): (?P<value>.+)$", re.MULTILINE
)
_KINDS: dict[str, tuple[type, ...]] = {
    "VARCHAR": (str,),
    "INTEGER": (int,),
    "DOUBLE": (int, float),
    "BOOLEAN": (bool,),
}


@dataclass(frozen=True)
class Parameter:
    """A declared parameter: its DuckDB type, inclusive bounds or allowed words, and default."""

    name: str
    kind: str
    low: float
    high: float
    default: Value
    doc: str
    words: tuple[str, ...] = ()

    def check(self, script: str, value: object) -> Value:
        """`value`, if it has the right type and is inside the bounds.

        Raises:
            OptionError: It is not.
        """
        wanted = self.kind
        if self.words:
            wanted += f" in {{{', '.join(self.words)}}}"
        elif not math.isinf(self.low):
            wanted += f" in [{self.low:g}, {self.high:g}]"
        fits = isinstance(value, _KINDS[self.kind]) and (
            isinstance(value, bool) == (self.kind == "BOOLEAN")
        )
        if fits and isinstance(value, int | float):
            fits = self.low <= value <= self.high
        fits = fits and (not self.words or value in self.words)
        if not fits:
            raise OptionError(
                f"{script}: {self.name}={value!r}; expected {wanted}: {self.doc} "
                f"(default {self.default})"
            )
        return value  # type: ignore[return-value]


@dataclass(frozen=True)
class SqlScript:
    """A SQL file: its text without the declarations, its parameters and its properties."""

    name: str
    sql: str
    parameters: dict[str, Parameter]
    properties: dict[str, str]

    def names(self, prop: str) -> tuple[str, ...]:
        """The names that a property lists, e.g. those of `-- Columns: sample, reason`."""
        listed = self.properties.get(prop, "").split(",")
        return tuple(name.strip() for name in listed if name.strip())

    def values(self, given: Mapping[str, object]) -> dict[str, Value]:
        """The value of every declared parameter: the given one, or the default.

        Raises:
            OptionError: A value has the wrong type or is out of bounds.
        """
        return {
            name: parameter.check(self.name, given.get(name, parameter.default))
            for name, parameter in self.parameters.items()
        }

    def bind(self, connection: duckdb.DuckDBPyConnection, given: Mapping[str, object]) -> str:
        """Set the parameters as variables of the connection and return the SQL to run.

        Raises:
            OptionError: A value has the wrong type or is out of bounds.
        """
        for name, value in self.values(given).items():
            connection.execute(f"SET VARIABLE {name} = $value", {"value": value})
        return self.sql


def load_script(path: Path) -> SqlScript:
    """The script in a file.

    Raises:
        SourceError: The file can't be read.
        DataFormatError: It is not UTF-8.
    """
    return parse_script(path.stem, read_sql(path))


def read_sql(path: Path) -> str:
    """The text of a SQL file.

    Raises:
        SourceError: The file can't be read.
        DataFormatError: It is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{path}: can't be read: {error}") from error
    except UnicodeDecodeError as error:
        raise DataFormatError(f"{path}: not a UTF-8 text: {error}") from error


def parse_script(name: str, text: str) -> SqlScript:
    """The script that a text is.

    Args:
        name: Its name.
        text: What its file holds.
    """
    parameters = {match["name"]: _parameter(match) for match in _DECLARATION.finditer(text)}
    properties = {match["name"]: match["value"].strip() for match in _PROPERTY.finditer(text)}
    return SqlScript(name, _DECLARATION.sub("", text), parameters, properties)


def check_names(given: Mapping[str, object], *scripts: SqlScript) -> None:
    """Check that every given parameter is declared by one of the scripts.

    Raises:
        UnknownNameError: One is not; the message lists those there are.
    """
    declared = {name: parameter for s in scripts for name, parameter in s.parameters.items()}
    unknown = [name for name in given if name not in declared]
    if unknown:
        raise UnknownNameError(
            f"{scripts[0].name}: no parameter {', '.join(map(repr, unknown))}; "
            f"the parameters are {', '.join(declared) or 'none'}"
        )


def connect(
    warehouse: Warehouse, memory_gib: float | None = None, folder: Path | None = None
) -> duckdb.DuckDBPyConnection:
    """A connection for work over whole rounds.

    Args:
        warehouse: What it is to read.
        memory_gib: Memory that DuckDB may use before it spills to disk; None for its default of
            80% of the machine's.
        folder: One more folder that SQL may read and write, beside the warehouse's tables.
    """
    connection = warehouse.connect()
    if memory_gib is not None:
        connection.execute(f"SET memory_limit = '{memory_gib * 1024:.0f}MiB'")
        ((threads,),) = connection.execute("SELECT current_setting('threads')").fetchall()
        allowed = max(1, int(memory_gib * THREADS_PER_GIB))
        connection.execute(f"SET threads = {min(threads, allowed)}")
    tables = f"{warehouse.uri}/tables", f"{warehouse.uri}/pending"
    confine(connection, *tables, *([] if folder is None else [str(folder)]))
    return connection


def measured_rows(
    connection: duckdb.DuckDBPyConnection, script: SqlScript, values: Mapping[str, object]
) -> list[dict[str, Any]]:
    """The rows of a script that measures, by column; the same tables give the same numbers.

    Args:
        connection: What it reads.
        script: The script.
        values: Its parameters and variables.
    """
    cursor = connection.execute(script.bind(connection, values))
    names = [column[0] for column in cursor.description or []]
    # Parallel sums of floats differ in their last bits.
    return [
        {
            name: float(f"{value:.9f}") if isinstance(value, float) else value
            for name, value in zip(names, row, strict=True)
        }
        for row in cursor.fetchall()
    ]


def confine(connection: duckdb.DuckDBPyConnection, *folders: str) -> None:
    """Let SQL, which may be the user's or a stranger's, reach these folders and nothing else."""
    listed = ", ".join("'" + folder.replace("'", "''") + "'" for folder in folders)
    connection.execute(f"SET allowed_directories = [{listed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def hide_references(connection: duckdb.DuckDBPyConnection) -> None:
    """Shadow the views that hold reference answers, for the user's own SQL too."""
    connection.execute(
        f"CREATE TEMP VIEW scores AS FROM {VIEWS}.scores WHERE \"check\" <> 'reference'"
    )
    connection.execute(
        "CREATE TEMP VIEW prompts AS SELECT * REPLACE (NULL::VARCHAR AS reference) "
        f"FROM {VIEWS}.prompts"
    )


def write_query(
    warehouse: Warehouse,
    connection: duckdb.DuckDBPyConnection,
    query: str,
    table: str,
    *,
    run: str,
    round: int,
    part: str,
) -> int:
    """Write a query's rows as the part `<part>-0000` and return how many there are.

    A reader sees all of them or none. They stream through in pieces, so memory does not grow with
    their number, and the query goes on while a piece is written. No rows still give an empty part:
    it says that the work was done.

    Args:
        warehouse: Where to write.
        connection: Where to query.
        query: One SELECT that gives the columns of `table`.
        table: The table to write.
        run: The run that the rows belong to.
        round: Its round.
        part: The prefix of the part's name.
    """
    num_rows = 0

    def counted(pieces: Iterator[pa.Table]) -> Iterator[pa.Table]:
        nonlocal num_rows
        for piece in pieces:
            num_rows += piece.num_rows
            # The warehouse fills both in; comparing them row by row would cost seconds per million.
            yield piece.drop_columns(["run", "round"])

    # Closed here, because where writing fails nobody else may use the connection meanwhile.
    with closing(_ahead(connection, _pieces(connection, query))) as pieces:
        name = f"{part}-0000"
        warehouse.write_all(table, counted(pieces), run=run, round=round, part=name)
    return num_rows


def _ahead(
    connection: duckdb.DuckDBPyConnection, pieces: Iterator[pa.Table]
) -> Generator[pa.Table, None, None]:
    """Yields the pieces, each while a thread fetches the next one."""
    with ThreadPoolExecutor(max_workers=1) as fetcher:
        coming = fetcher.submit(next, pieces, None)
        try:
            while (piece := coming.result()) is not None:
                coming = fetcher.submit(next, pieces, None)
                yield piece
        except (GeneratorExit, KeyboardInterrupt):
            with suppress(duckdb.Error):  # it may be done just now
                connection.interrupt()
            raise


def _pieces(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.Table]:
    pending: list[pa.RecordBatch] = []
    num_rows = num_bytes = 0
    for batch in connection.sql(query).to_arrow_reader(ROWS_PER_BATCH):
        pending.append(batch)
        num_rows += batch.num_rows
        num_bytes += batch.nbytes
        if num_rows >= ROWS_PER_PIECE or num_bytes >= BYTES_PER_PIECE:
            yield pa.Table.from_batches(pending)
            pending, num_rows, num_bytes = [], 0, 0
    if num_rows:
        yield pa.Table.from_batches(pending)


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.sql")):
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


SQL_DIGEST = _digest(Path(__file__).parent)
"""Hash of all SQL files of `tasks`, as they were when this process started."""


def _parameter(match: re.Match[str]) -> Parameter:
    kind, text = match["kind"], match["default"].strip()
    default: Value
    if kind == "VARCHAR":
        default = text.strip("'").replace("''", "'")
    elif kind == "BOOLEAN":
        default = text.upper() == "TRUE"
    else:
        default = int(text) if kind == "INTEGER" else float(text)
    low, high = float(match["low"] or "-inf"), float(match["high"] or "inf")
    words = tuple(word.strip() for word in (match["words"] or "").split(",") if word.strip())
    return Parameter(match["name"], kind, low, high, default, match["doc"].strip(), words)
