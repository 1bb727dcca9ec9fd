"""The rows that a model is asked about: an SQL query over the warehouse, read shard by shard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb

from storage import Warehouse, content_id
from storage.commit import replace_beside
from tasks.errors import DataFormatError, UnknownNameError
from tasks.sql_script import connect, hide_references, read_sql

# Read at once: a file that changes during a run must not change its rows.
SOURCES = {
    path.stem: read_sql(path).strip().rstrip(";")
    for path in sorted((Path(__file__).parent / "over").glob("*.sql"))
}
_KEYS = ("prompt_id", "parent_ids", "variant")

# Sorted by what identifies a row, so that shards are the same in every process. `origins` has the
# seeds of parents that are samples: unlike their ids, they don't depend on the run's name.
_ASKED = """
CREATE TEMP TABLE asked AS
SELECT *, row_number() OVER (ORDER BY prompt_id, parent_ids, variant) - 1 AS ask_position
FROM ({query}
)
"""
_ORIGINS = """
CREATE TEMP TABLE origins AS
SELECT id, any_value(seed) AS seed
FROM samples
WHERE id IN (SELECT unnest(parent_ids) FROM asked)
GROUP BY id
"""


@dataclass(frozen=True)
class AskedRow:
    """One row that a model is asked about.

    Attributes:
        key: Tells it from all other rows; made of prompt, parents and variant.
        prompt_id: The prompt that it is about.
        parent_ids: The samples, or prompts, that the question shows, in order.
        origin: What its seeds follow from: as the key, but the same in a run of another name.
        values: Its columns, for the template.
    """

    key: str
    prompt_id: str
    parent_ids: tuple[str, ...]
    origin: str
    values: Mapping[str, object]


def asked_row(values: Mapping[str, object], seeds: Mapping[str, int]) -> AskedRow:
    """A row with its key.

    Args:
        values: Its columns, with prompt_id, parent_ids and variant.
        seeds: Seeds of the parents that are samples.
    """
    prompt_id, variant = str(values["prompt_id"]), str(values["variant"])
    parents = values["parent_ids"]
    assert isinstance(parents, list)
    parent_ids = tuple(str(parent) for parent in parents)
    origins = [seeds.get(parent, parent) for parent in parent_ids]
    return AskedRow(
        content_id("ask", prompt_id, parent_ids, variant),
        prompt_id,
        parent_ids,
        content_id("origin", prompt_id, origins, variant),
        values,
    )


def query_of(over: str) -> str:
    """The SQL of a source: that of a name in `tasks/ask/over`, or the text itself.

    Raises:
        UnknownNameError: If it is one word and there is no source of that name.
    """
    if len(over.split()) > 1:
        return over.strip().rstrip(";")
    if over not in SOURCES:
        raise UnknownNameError(f"over={over!r}: there are {', '.join(SOURCES)}, or an SQL query")
    return SOURCES[over]


class RowSource:
    """The rows of one query, sorted; use it in a `with` statement.

    The query reads the warehouse's tables and views, with getvariable('run') and
    getvariable('round'). It gives `prompt_id`, as it likes `parent_ids` (a list of sample ids) and
    `variant` (a text that tells rows with the same prompt and parents apart), and whatever columns
    the template uses.

    Attributes:
        columns: The columns of the query, with parent_ids and variant.
        num_rows: How many rows there are.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        over: str,
        *,
        run: str,
        round: int,
        variables: Mapping[str, object] | None = None,
        allow_references: bool = False,
        memory_gib: float | None = None,
        keep: Path | None = None,
    ) -> None:
        """Run the query, or read the rows that it gave before.

        Args:
            warehouse: What it reads.
            over: A query, or the name of one.
            run: The run.
            round: Its round.
            variables: More variables that the query may read.
            allow_references: Whether it may see reference answers.
            memory_gib: Memory that DuckDB may use before it spills to disk; None for its default.
            keep: Working file for the rows, named after the query and its variables as well. What
                is asked may change what the query gives ("prompts without a right answer"), so a
                stage that goes on after a crash asks about the rows that it began with.

        Raises:
            UnknownNameError: If there is no source of that name.
            DataFormatError: If the query can't run, lacks `prompt_id`, or gives a row twice.
        """
        self._over = over
        self._connection = connect(warehouse, memory_gib, None if keep is None else keep.parent)
        try:
            if not allow_references:
                hide_references(self._connection)
            given = {**(variables or {}), "run": run, "round": round}
            for name, value in given.items():
                self._connection.execute(f"SET VARIABLE {name} = $value", {"value": value})
            query = query_of(over)
            digest = content_id("asked", query, given, allow_references)  # type: ignore[arg-type]
            kept = None if keep is None else keep.with_name(f"{keep.name}-{digest}.parquet")
            if kept is None or not kept.is_file():
                self._run(query)
                if kept is not None:
                    self._keep(kept)
            else:
                self._connection.read_parquet(str(kept)).create_view("asked")
            self._connection.execute(_ORIGINS)
            self.columns = self._columns("asked")
            self.num_rows = self._count()
        except BaseException:
            self._connection.close()
            raise

    def rows(self, start: int, size: int) -> list[AskedRow]:
        """The rows from a position on, `size` at most."""
        bounds = {"start": start, "last": start + size - 1}
        seeds = dict(
            self._connection.execute(
                "SELECT id, seed FROM origins WHERE id IN (SELECT unnest(parent_ids) FROM asked "
                "WHERE ask_position BETWEEN $start AND $last)",
                bounds,
            ).fetchall()
        )
        cursor = self._connection.execute(
            "SELECT * EXCLUDE (ask_position) FROM asked "
            "WHERE ask_position BETWEEN $start AND $last ORDER BY ask_position",
            bounds,
        )
        names = [column[0] for column in cursor.description or []]
        return [asked_row(dict(zip(names, row, strict=True)), seeds) for row in cursor.fetchall()]

    def _columns(self, query: str) -> tuple[str, ...]:
        described = self._connection.execute(f"DESCRIBE {query}").fetchall()
        return tuple(str(row[0]) for row in described if row[0] != "ask_position")

    def _keep(self, path: Path) -> None:
        def write(unfinished: Path) -> None:
            name = str(unfinished).replace("'", "''")
            self._connection.execute(f"COPY asked TO '{name}' (FORMAT parquet, COMPRESSION zstd)")

        replace_beside(path, write)

    def _run(self, query: str) -> None:
        try:
            columns = self._columns(query)
            if "prompt_id" not in columns:
                raise DataFormatError(
                    f"over={self._over[:80]!r}: its rows have no prompt_id; their columns are "
                    f"{', '.join(columns)}"
                )
            full = f"SELECT * FROM ({query}\n)"
            if "parent_ids" not in columns:
                full = f"SELECT *, []::VARCHAR[] AS parent_ids FROM ({full})"
            if "variant" not in columns:
                full = f"SELECT *, '' AS variant FROM ({full})"
            self._connection.execute(_ASKED.format(query=full))
        except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException) as error:
            raise DataFormatError(f"over={self._over[:80]!r} can't run: {error}") from None

    def _count(self) -> int:
        keys = ", ".join(_KEYS)
        ((total, twice),) = self._connection.execute(
            f"SELECT coalesce(sum(n), 0), count(*) FILTER (n > 1) FROM "
            f"(SELECT count(*) AS n FROM asked GROUP BY {keys})"
        ).fetchall()
        if twice:
            raise DataFormatError(
                f"over={self._over[:80]!r}: {twice} rows come more than once with the same prompt "
                "and parents; add a column `variant` that tells them apart"
            )
        return int(total)

    def __enter__(self) -> Self:
        """The source itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close its connection."""
        self._connection.close()
