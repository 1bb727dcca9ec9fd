"""What differs between two sets of training rows: rounds, or the frozen tables of models."""

from __future__ import annotations

from typing import NamedTuple

from storage.catalog import quoted
from storage.snapshots import Snapshot
from storage.warehouse import Warehouse

_GOOD = {
    "examples": "completion[-1].content AS text, sample_ids[1] AS sample_id, true AS is_good",
    "pairs": "chosen[-1].content AS text, chosen_sample_id AS sample_id, true AS is_good",
    "labels": "completion[-1].content AS text, sample_ids[1] AS sample_id, label AS is_good",
}


class RoundRef(NamedTuple):
    """The training rows of one round of a run."""

    run: str
    round: int


class TrainingChange(NamedTuple):
    """One prompt whose training rows differ."""

    change: str
    """'entered', 'left', 'changed label', or 'other rows': other texts or weights, same labels."""
    table: str
    prompt_id: str
    labels_before: list[str]
    labels_after: list[str]
    rows_before: int
    rows_after: int
    problem: str | None


class ChangeCount(NamedTuple):
    """How many prompts of a table changed in one way; 'same' where nothing did."""

    table: str
    change: str
    prompts: int
    rows_before: int
    rows_after: int


class TrainingDiff(NamedTuple):
    """What differs between two sets of training rows."""

    counts: list[ChangeCount]
    changes: list[TrainingChange]
    """The first ones, changed labels before what entered and left."""


def diff_training(
    warehouse: Warehouse,
    before: RoundRef | Snapshot,
    after: RoundRef | Snapshot,
    *,
    limit: int = 20,
) -> TrainingDiff:
    """Returns what entered and left the training rows, and which prompts changed their label.

    Compared are prompts, table by table, as round_diff() does it in SQL.

    Args:
        warehouse: Warehouse that holds both.
        before: One set of rows.
        after: The other.
        limit: Largest number of changes to return; all are counted.
    """
    query = _PER_PROMPT.format(before=_rows(before), after=_rows(after))
    with warehouse.connect() as connection:
        connection.execute(f"CREATE TEMP TABLE compared AS {query}")
        counts = connection.execute(
            "SELECT table_name, change, count(*), sum(rows_before)::BIGINT, "
            "sum(rows_after)::BIGINT FROM compared GROUP BY ALL ORDER BY table_name, change"
        ).fetchall()
        changes = connection.execute(_CHANGES, {"limit": limit}).fetchall()
    return TrainingDiff(
        [ChangeCount(*row) for row in counts], [TrainingChange(*row) for row in changes]
    )


def _rows(side: RoundRef | Snapshot) -> str:
    """Returns SQL for the rows of one side: table_name, prompt_id, label, text, weight."""
    if isinstance(side, RoundRef):
        return (
            "SELECT table_name, prompt_id, label, text, weight FROM training_labels "
            f"WHERE run = {quoted(side.run)} AND round = {int(side.round)}"
        )
    return (
        f"SELECT {quoted(side.table)} AS table_name, own.prompt_id, "
        "CASE WHEN is_good THEN '' ELSE 'not ' END || coalesce(answers.answer, text) AS label, "
        "text, weight "
        f"FROM (SELECT *, {_GOOD[side.table]} FROM read_parquet({quoted(str(side.path))})) AS own "
        "LEFT JOIN answers ON answers.run = own.run AND answers.round = own.round "
        "AND answers.sample_id = own.sample_id"
    )


_PER_PROMPT = """
WITH sides AS (
    SELECT 'before' AS side, * FROM ({before})
    UNION ALL
    SELECT 'after', * FROM ({after})
),
grouped AS (
    SELECT
        table_name,
        prompt_id,
        list_sort(list(DISTINCT label) FILTER (WHERE side = 'before')) AS labels_before,
        list_sort(list(DISTINCT label) FILTER (WHERE side = 'after')) AS labels_after,
        list_sort(list({{'t': md5(text), 'w': weight}}) FILTER (WHERE side = 'before')) AS texts_a,
        list_sort(list({{'t': md5(text), 'w': weight}}) FILTER (WHERE side = 'after')) AS texts_b,
        count(*) FILTER (WHERE side = 'before') AS rows_before,
        count(*) FILTER (WHERE side = 'after') AS rows_after
    FROM sides
    GROUP BY table_name, prompt_id
)
SELECT
    CASE
        WHEN rows_before = 0 THEN 'entered'
        WHEN rows_after = 0 THEN 'left'
        WHEN labels_before IS DISTINCT FROM labels_after THEN 'changed label'
        WHEN texts_a IS DISTINCT FROM texts_b THEN 'other rows'
        ELSE 'same'
    END AS change,
    table_name,
    prompt_id,
    coalesce(labels_before, []) AS labels_before,
    coalesce(labels_after, []) AS labels_after,
    rows_before,
    rows_after
FROM grouped
"""

_CHANGES = """
SELECT compared.*, problem
FROM compared
LEFT JOIN (
    SELECT id AS prompt_id, any_value(messages)[-1].content AS problem FROM prompts GROUP BY id
) AS asked USING (prompt_id)
WHERE change <> 'same'
ORDER BY change, table_name, prompt_id
LIMIT $limit
"""
