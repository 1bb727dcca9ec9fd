"""What the report shows of single rows: samples as written, and a training row's origin."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from tasks.sql_script import load_script

_MAX_CHARACTERS = 1_200
_MAX_STEPS = 24
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
class LineageStep:
    """One row of `lineage(...)`: what it is, what it says, what came out, and who made it."""

    relation: str
    row_id: str
    text: str
    outcome: list[tuple[str, str]]
    maker: list[tuple[str, str]]


@dataclass(frozen=True)
class Lineage:
    """Everything that made one training row; `num_hidden` further steps are not shown."""

    row_id: str
    steps: list[LineageStep]
    num_hidden: int


def sample_rows(
    con: duckdb.DuckDBPyConnection, run: str, rounds: Sequence[int]
) -> list[SampleFacts]:
    """Returns up to four samples of each round, different in verdict and fate, always the same.

    Args:
        con: A connection from `Warehouse.connect()`.
        run: Name of the run.
        rounds: Numbers of the rounds to show.
    """
    script = load_script(Path(__file__).parents[1] / "sql" / "report_samples.sql")
    numbers = ",".join(map(str, rounds))
    query = script.bind(con, {"run": run, "rounds": numbers, "per_round": _PER_ROUND})
    return [SampleFacts(*row) for row in con.execute(query).fetchall()]


def lineage_example(con: duckdb.DuckDBPyConnection, run: str) -> Lineage | None:
    """Returns where one training row of the run's last round with such rows came from.

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
    names = [column[0] for column in cursor.description or []]
    rows = [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]
    steps = [_step(row) for row in rows[:_MAX_STEPS]]
    return Lineage(row_id, steps, max(0, len(rows) - _MAX_STEPS))


def _step(row: Mapping[str, object]) -> LineageStep:
    def kept(*columns: str) -> list[tuple[str, str]]:
        return [(name, visible(row[name], 200)) for name in columns if row[name] is not None]

    return LineageStep(
        relation=visible(row["relation"]),
        row_id=visible(row["id"]),
        text=visible(row["text"], 300),
        outcome=kept("label", "value", "verdict", "filter", "reason"),
        maker=kept("name", "policy_id", "weight_hash", "sampling", "seed"),
    )


def visible(value: object, limit: int = _MAX_CHARACTERS) -> str:
    r"""Returns text that shows every character and hides nothing, cut at `limit`.

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


def brief(value: object, limit: int = 110) -> str:
    """Returns the start of a text as one line, with an ellipsis where it was cut.

    Args:
        value: What to show.
        limit: Most characters kept.
    """
    line = " ".join(str(value).split())
    return visible(line, limit) if len(line) <= limit else visible(line[:limit], limit) + "…"


def _shown(character: str) -> str:
    if unicodedata.category(character) in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"):
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character
