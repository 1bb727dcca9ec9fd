"""What the report shows of single rows: samples as written, and a training row's origin."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import duckdb

_MAX_CHARACTERS = 1_200
_MAX_LINEAGE_ROWS = 24
_PER_ROUND = 4


@dataclass(frozen=True)
class SampleFacts:
    """One sample with what became of it; `share` is the vote share of its answer."""

    round: int
    sample_id: str
    prompt: str
    text: str
    answer: str | None
    reference: str | None
    verdict: str | None
    stdout: str | None
    share: float | None
    correct: bool | None
    selected: bool
    reason: str | None


@dataclass(frozen=True)
class Lineage:
    """Everything that made one training row: the columns and rows of `lineage(row_id)`."""

    row_id: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_hidden: int


def sample_rows(
    con: duckdb.DuckDBPyConnection, run: str, rounds: Sequence[int]
) -> list[SampleFacts]:
    """Return up to four samples of each round, different in verdict and fate, always the same.

    Args:
        con: A connection from `Warehouse.connect()`.
        run: Name of the run.
        rounds: Numbers of the rounds to show.
    """
    query = (resources.files("tasks") / "sql" / "report_samples.sql").read_text(encoding="utf-8")
    parameters = {"run": run, "rounds": list(rounds), "per_round": _PER_ROUND}
    return [SampleFacts(*row) for row in con.execute(query, parameters).fetchall()]


def lineage_example(con: duckdb.DuckDBPyConnection, run: str) -> Lineage | None:
    """Return where one training row of the run's last round with such rows came from.

    Args:
        con: A connection from `Warehouse.connect()`.
        run: Name of the run.

    Returns:
        The first pair, else the first example, else the first label by id; None without any.
    """
    found = con.execute(
        "SELECT id FROM ("
        "SELECT id, round, 0 AS kind FROM pairs WHERE run = $run "
        "UNION ALL SELECT id, round, 1 FROM examples WHERE run = $run "
        "UNION ALL SELECT id, round, 2 FROM labels WHERE run = $run) "
        "ORDER BY round DESC, kind, id LIMIT 1",
        {"run": run},
    ).fetchall()
    if not found:
        return None
    row_id = str(found[0][0])
    cursor = con.execute("SELECT * FROM lineage($id)", {"id": row_id})
    columns = tuple(column[0] for column in cursor.description or [])
    rows = cursor.fetchall()
    cells = tuple(tuple(visible(cell, 300) for cell in row) for row in rows[:_MAX_LINEAGE_ROWS])
    # Columns that are empty everywhere only push the others off a small screen.
    kept = [i for i in range(len(columns)) if any(row[i] for row in cells)]
    return Lineage(
        row_id=row_id,
        columns=tuple(columns[i] for i in kept),
        rows=tuple(tuple(row[i] for i in kept) for row in cells),
        num_hidden=max(0, len(rows) - _MAX_LINEAGE_ROWS),
    )


def visible(value: object, limit: int = _MAX_CHARACTERS) -> str:
    r"""Return text that shows every character and hides nothing, cut at `limit`.

    Control characters and marks that change the writing direction are written as escapes: text
    that a model wrote must not rearrange the page around it.

    Args:
        value: What to show; None becomes ''.
        limit: Most characters kept.

    Example:
        >>> visible("a\u202eb\x00")
        'a\\u202eb\\x00'
    """
    if value is None:
        return ""
    text = str(value)
    cut = len(text) - limit
    if cut > 0:
        text = text[:limit]
    text = re.sub(r"[^\n\t]", lambda match: _shown(match.group()), text)
    return f"{text} … ({cut:,} more characters)" if cut > 0 else text


def _shown(character: str) -> str:
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"):
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character
