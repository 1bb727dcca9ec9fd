"""Runs selections: SQL files that turn samples, scores and votes into training rows.

Every candidate sample of the round ends up in a training row or in `rejections` with the reason,
never in both and never in neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from storage import TRAINING_TABLES, Warehouse
from storage.columns import MESSAGES
from tasks.engines import Messages
from tasks.errors import DataFormatError, OptionError
from tasks.selection.plans import (
    SCRIPTS,
    SELECTIONS,
    Plan,
    Selection,
    plan_filters,
    plan_selections,
)
from tasks.selection.rules import count, find_candidates, run_filter, run_rule
from tasks.sql_script import connect, write_query

REJECTIONS_PART = "selection"
# Rows about what a model was asked have that as their prompt, not the prompt of their problem.
_ASKED = (
    "SELECT s.* REPLACE (a.messages AS prompt) FROM selected AS s "
    "JOIN asked AS a ON a.sample_id = s.sample_ids[1] ORDER BY s.id"
)


@dataclass(frozen=True)
class AskedFor:
    """Samples of another role than answers, to be selected from: what a stage asked for.

    Attributes:
        name: Names the parts that are written; one per stage.
        role: The samples' role.
        sampling: Their `samples.sampling`.
        messages: Gives the messages that some of them answer, by sample id.
    """

    name: str
    role: str
    sampling: str
    messages: Callable[[Sequence[str]], Mapping[str, Messages]]


@dataclass(frozen=True)
class Selected:
    """What one selection made.

    Attributes:
        name: The selection, also the prefix of its parts in `table`.
        table: `examples`, `pairs` or `labels`.
        num_rows: Training rows written.
        num_used: Samples that are in at least one of them.
        reasons: How many samples it left out, by reason.
    """

    name: str
    table: str
    num_rows: int
    num_used: int
    reasons: dict[str, int]


@dataclass(frozen=True)
class SelectionReport:
    """What the selections of a round made: num_candidates = num_used + num_rejected.

    Attributes:
        num_candidates: Samples that could become training rows; those that tasks/dedup dropped
            before are none.
        num_used: Samples that are in at least one training row.
        num_rejected: Samples that are in none: rows of `rejections`.
        selections: One entry per selection, in the order they ran.
    """

    num_candidates: int
    num_used: int
    num_rejected: int
    selections: tuple[Selected, ...]


def select(
    warehouse: Warehouse,
    selections: Sequence[Selection],
    *,
    run: str,
    round: int,
    seed: int = 0,
    allow_references: bool = False,
    filters: Sequence[Selection] = (),
    asked: AskedFor | None = None,
    memory_gib: float | None = None,
) -> SelectionReport:
    """Turn the samples of a round into training rows, and write why the others were left out.

    With several selections a sample is rejected if none of them used it; its row in `rejections`
    names the first selection and its reason, and has the reasons of all in `detail`.

    Args:
        warehouse: Holds prompts, samples, scores and, for votes, `votes` of the round.
        selections: What to run, in order; names must differ.
        run: The run.
        round: Its round.
        seed: Decides which of equally good samples are picked: the same seed, the same rows.
        allow_references: Whether the recipe declares that it needs labels. If not, reference
            answers and scores against them are not even visible to the SQL.
        filters: What drops candidates before the selections, in order.
        asked: Select from these samples instead of answers; they get parts of their own.
        memory_gib: Memory that DuckDB may use before it spills to disk; None for its default.

    Raises:
        UnknownNameError: There is no such selection, filter or parameter.
        OptionError: A parameter is out of range, two selections have one name, or an earlier
            call wrote another selection into the round.
        ReferencesNotAllowedError: A selection needs references and `allow_references` is False.
        DataFormatError: The round's tables don't fit together, e.g. prompts are missing, or a
            selection of your own lacks a column or does not decide once about every candidate.
    """
    plans = plan_selections(selections, allow_references)
    drops = plan_filters(filters, allow_references)
    if asked is None:
        _check_free(warehouse, [plan.name for plan in plans], run, round)
    role, sampling = (asked.role, asked.sampling) if asked else ("", "")
    place: dict[str, object] = {"run": run, "round": round, "seed": seed}
    with connect(warehouse, memory_gib) as connection:
        find_candidates(connection, place, allow_references, role=role, sampling=sampling)
        num_candidates = _check_candidates(connection, run, round)
        for plan in drops:
            run_filter(connection, plan, place)
        connection.execute(
            "CREATE TEMP TABLE all_decisions "
            "(position INTEGER, filter VARCHAR, sample UBIGINT, reason VARCHAR)"
        )
        made = [
            _run_plan(warehouse, connection, plan, place, position, asked)
            for position, plan in enumerate(plans)
        ]
        connection.execute(SCRIPTS["rejections"].bind(connection, place))
        num_rejected = write_query(
            warehouse,
            connection,
            "FROM rejected",
            "rejections",
            run=run,
            round=round,
            part=f"{REJECTIONS_PART}-{asked.name}" if asked else REJECTIONS_PART,
        )
        num_used = count(
            connection, "count(DISTINCT sample) FROM all_decisions WHERE reason IS NULL"
        )
    assert num_candidates == num_used + num_rejected, (num_candidates, num_used, num_rejected)
    return SelectionReport(num_candidates, num_used, num_rejected, tuple(made))


def _check_free(warehouse: Warehouse, names: Sequence[str], run: str, round: int) -> None:
    """Check that no other selection wrote to the round: its rows would have no rejections."""
    others = {
        own.name.rpartition("-")[0]
        for table in TRAINING_TABLES
        for own in warehouse.parts(table, run=run, round=round)
    }
    found = sorted((others & set(SELECTIONS)) - set(names))
    if found:
        raise OptionError(
            f"run {run!r} round {round} already has the selection {', '.join(found)}; give all "
            f"selections of a round in one call, or select into another round; now: {names}"
        )


def _run_plan(
    warehouse: Warehouse,
    connection: duckdb.DuckDBPyConnection,
    plan: Plan,
    place: Mapping[str, object],
    position: int,
    asked: AskedFor | None,
) -> Selected:
    run_rule(connection, plan, place)
    connection.execute(
        "INSERT INTO all_decisions SELECT $position, $filter, sample, reason FROM decisions",
        {"position": position, "filter": plan.name},
    )
    reasons = connection.execute(
        "SELECT reason, count(*) FROM decisions WHERE reason IS NOT NULL GROUP BY 1 ORDER BY 1"
    ).fetchall()
    if asked is not None:
        _find_messages(connection, asked)
    num_rows = write_query(
        warehouse,
        connection,
        "FROM selected" if asked is None else _ASKED,
        plan.table,
        run=str(place["run"]),
        round=int(str(place["round"])),
        part=plan.name if asked is None else f"{plan.name}-{asked.name}",
    )
    num_used = count(connection, "count(*) FROM decisions WHERE reason IS NULL")
    return Selected(plan.name, plan.table, num_rows, num_used, dict(reasons))


def _find_messages(connection: duckdb.DuckDBPyConnection, asked: AskedFor) -> None:
    """Make the table `asked`: what the samples of the selected rows answer."""
    rows = connection.execute("SELECT DISTINCT sample_ids[1] FROM selected ORDER BY 1").fetchall()
    found = asked.messages([row[0] for row in rows])
    table = pa.table(
        {
            "sample_id": pa.array(found.keys(), pa.string()),
            "messages": pa.array(found.values(), MESSAGES),
        }
    )
    connection.register("given", table)
    connection.execute("CREATE OR REPLACE TEMP TABLE asked AS FROM given")
    connection.unregister("given")


def _check_candidates(connection: duckdb.DuckDBPyConnection, run: str, round: int) -> int:
    """The number of candidates, after checking that each is there once and has its prompt."""
    total = count(connection, "count(*) FROM candidates")
    distinct = count(connection, "count(DISTINCT sample) FROM candidates")
    if distinct < total:
        raise DataFormatError(
            f"run {run!r} round {round}: {total - distinct} samples have more than one score of "
            "the check 'answer' or 'reference'; write each check of a sample once"
        )
    homeless = count(
        connection,
        "count(*) FROM candidates WHERE prompt_id NOT IN (SELECT id FROM prompts "
        "WHERE run = getvariable('run') AND round = getvariable('round'))",
    )
    if homeless:
        raise DataFormatError(
            f"run {run!r} round {round}: {homeless} samples have a prompt that is not in the "
            "table prompts of this round; write the prompts before selecting"
        )
    return total
