"""Turns rows of queries into examples, and says why every other answer was left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import duckdb

from storage import Warehouse, content_id
from tasks.demonstrations.source import Demonstration, find_rows
from tasks.errors import OptionError
from tasks.selection import Selection
from tasks.selection.plans import plan_filters
from tasks.selection.rules import count, find_candidates, run_filter
from tasks.sql_script import connect, write_query

ROWS_PER_PIECE = 4_096
REJECTIONS_PART = "selection"

# What the queries see beside the tables: the round's own samples, and what was found in them.
_VIEWS = """
CREATE TEMP TABLE own AS
FROM samples
WHERE run = getvariable('run') AND round = getvariable('round')
  AND purpose IN ('train', 'imported');
CREATE TEMP TABLE graded AS
SELECT
    sample_id,
    max(label) FILTER ("check" = 'answer') AS answer,
    max(value) FILTER ("check" = 'reference') AS reference
FROM scores
WHERE run = getvariable('run') AND round = getvariable('round') AND status = 'ok'
  AND "check" IN ('answer', 'reference')
GROUP BY sample_id;
"""
# A sample that a filter or dedup dropped is in no example, whatever the query says.
_DECIDED = """
CREATE OR REPLACE TEMP TABLE decided AS
WITH dropped AS (
    SELECT c.sample_id, f.filter || ': ' || f.reason AS reason
    FROM filtered AS f JOIN candidates AS c USING (sample)
    UNION ALL
    SELECT row_id, filter || ': ' || reason
    FROM rejections
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND row_table = 'samples' AND starts_with(filter, 'dedup_')
),
placed AS (
    SELECT row_number() OVER (ORDER BY prompt_id, sample_ids, completion) AS place, * FROM told
),
hit AS (
    SELECT p.place, min(d.reason) AS reason
    FROM (SELECT place, unnest(sample_ids) AS sample_id FROM placed) AS p
    JOIN dropped AS d USING (sample_id)
    GROUP BY p.place
)
SELECT p.* REPLACE (coalesce(h.reason, p.reason)::VARCHAR AS reason)
FROM placed AS p LEFT JOIN hit AS h USING (place)
"""
_TOLD_ALL = """
INSERT INTO told_all
SELECT $position, $filter, unnest(sample_ids), reason FROM decided
"""
_EVIDENCE = """
CREATE OR REPLACE TEMP TABLE evidence AS
SELECT d.place, list(DISTINCT s.id ORDER BY s.id) AS score_ids
FROM (SELECT place, unnest(sample_ids) AS sample_id FROM decided WHERE reason IS NULL) AS d
JOIN scores AS s USING (sample_id)
WHERE s.run = getvariable('run') AND s.round = getvariable('round')
GROUP BY d.place
"""
_USED = """
SELECT d.*, coalesce(e.score_ids, []) AS score_ids
FROM decided AS d LEFT JOIN evidence AS e USING (place)
WHERE d.reason IS NULL
ORDER BY d.place
"""
_REJECTED = """
WITH used AS (
    SELECT DISTINCT sample_id FROM told_all WHERE reason IS NULL
),
said AS (
    SELECT
        sample_id,
        first(filter ORDER BY position) AS filter,
        first(reason ORDER BY position) AS reason
    FROM (SELECT position, filter, sample_id, min(reason) AS reason FROM told_all GROUP BY ALL)
    GROUP BY sample_id
)
SELECT
    'rejection-' || left(sha256(json_array(
        'rejection', getvariable('run'), getvariable('round'), 'samples', c.sample_id
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    'samples' AS row_table,
    c.sample_id AS row_id,
    coalesce(s.filter, getvariable('first_filter')) AS filter,
    coalesce(s.reason, c.reason, 'in_no_demonstration') AS reason,
    '{}' AS detail
FROM candidates AS c
LEFT JOIN said AS s ON s.sample_id = c.sample_id
ANTI JOIN used AS u ON u.sample_id = c.sample_id
"""


@dataclass(frozen=True)
class Demonstrated:
    """What one demonstration made.

    Attributes:
        name: The demonstration, also the prefix of its parts in `examples`.
        num_rows: Examples written.
        reasons: How many of its rows were left out, by reason.
    """

    name: str
    num_rows: int
    reasons: dict[str, int]


@dataclass(frozen=True)
class DemonstrationReport:
    """What the demonstrations of a round made.

    Attributes:
        num_candidates: Answers and programs that could have been learned from.
        num_rejected: Of these, those in no example: rows of `rejections`.
        demonstrations: One entry each, in the order given.
    """

    num_candidates: int
    num_rejected: int
    demonstrations: tuple[Demonstrated, ...]


def demonstrate(
    warehouse: Warehouse,
    demonstrations: Sequence[Demonstration],
    *,
    run: str,
    round: int,
    seed: int = 0,
    allow_references: bool = False,
    filters: Sequence[Selection] = (),
    memory_gib: float | None = None,
) -> DemonstrationReport:
    """Write the examples of some demonstrations, and why the other answers were left out.

    Doing it again writes the same rows.

    Args:
        warehouse: Holds the round.
        demonstrations: What is demonstrated, in order.
        run: The run.
        round: Its round.
        seed: Decides which of equally good rows a query picks.
        allow_references: Whether the recipe declares that it needs labels; if not, queries see
            neither reference answers nor scores against them.
        filters: What drops answers before, as in `tasks.selection.select`.
        memory_gib: Memory that DuckDB may use before it spills to disk; None for its default.

    Raises:
        UnknownNameError: There is no such query, parameter or filter.
        OptionError: There is no demonstration, two have one name, or a parameter is out of range.
        TemplateError: A template reads what its query does not give.
        DataFormatError: A query gives a row twice, or lacks a column.
    """
    names = [one.name for one in demonstrations]
    if not names or len(set(names)) < len(names):
        raise OptionError(f"demonstrations={names}; expected one or more, each name once")
    place: dict[str, object] = {"run": run, "round": round, "seed": seed}
    made: list[Demonstrated] = []
    with connect(warehouse, memory_gib) as connection:
        find_candidates(connection, place, allow_references)
        for plan in plan_filters(filters, allow_references):
            run_filter(connection, plan, place)
        connection.execute(_VIEWS)
        connection.execute(
            "CREATE TEMP TABLE told_all "
            "(position INTEGER, filter VARCHAR, sample_id VARCHAR, reason VARCHAR)"
        )
        connection.execute("SET VARIABLE first_filter = $name", {"name": names[0]})
        for position, one in enumerate(demonstrations):
            find_rows(connection, one)
            connection.execute(_DECIDED)
            connection.execute(_TOLD_ALL, {"position": position, "filter": one.name})
            made.append(_write(warehouse, connection, one, place))
        num_rejected = write_query(
            warehouse,
            connection,
            _REJECTED,
            "rejections",
            run=run,
            round=round,
            part=REJECTIONS_PART,
        )
        num_candidates = count(connection, "count(*) FROM candidates")
    return DemonstrationReport(num_candidates, num_rejected, tuple(made))


def _write(
    warehouse: Warehouse,
    connection: duckdb.DuckDBPyConnection,
    one: Demonstration,
    place: Mapping[str, object],
) -> Demonstrated:
    """Write the examples of what was decided to be used."""
    run, round = str(place["run"]), int(str(place["round"]))
    connection.execute(_EVIDENCE)
    reasons = connection.execute(
        "SELECT reason, count(*) FROM decided WHERE reason IS NOT NULL GROUP BY 1 ORDER BY 1"
    ).fetchall()
    part = f"{one.name}-0000"
    pieces = _pieces(connection, one, run, round)
    warehouse.write_all("examples", pieces, run=run, round=round, part=part)
    num_rows = count(connection, "count(*) FROM decided WHERE reason IS NULL")
    return Demonstrated(one.name, num_rows, dict(reasons))


def _pieces(
    connection: duckdb.DuckDBPyConnection, one: Demonstration, run: str, round: int
) -> Iterator[list[dict[str, object]]]:
    cursor = connection.execute(_USED)
    names = [column[0] for column in cursor.description or []]
    while rows := cursor.fetchmany(ROWS_PER_PIECE):
        yield [_example(one, dict(zip(names, row, strict=True)), run, round) for row in rows]


def _example(one: Demonstration, row: dict[str, object], run: str, round: int) -> dict[str, object]:
    identity = (run, round, one.name, row["sample_ids"], row["completion"])
    return {
        "id": content_id("example", *identity),  # type: ignore[arg-type]
        "prompt_id": row["prompt_id"],
        "prompt": one.template.render(row),
        "completion": [{"role": "assistant", "content": row["completion"]}],
        "sample_ids": row["sample_ids"],
        "score_ids": row["score_ids"],
        "vote_ids": [],
        "weight": row["weight"],
    }
