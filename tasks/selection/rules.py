"""Runs the rules of selections on a connection, and tries them on empty tables before a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from storage import TABLES
from storage.catalog import attach_memory
from tasks.errors import DataFormatError
from tasks.selection.plans import SCRIPTS, Plan, Selection, plan_filters, plan_selections
from tasks.sql_script import SqlScript, confine, hide_references

_TYPES = {"sample": ("UBIGINT",), "side": ("VARCHAR",), "reason": ("VARCHAR",)}
_NUMBERS = ("DOUBLE", "FLOAT", "INTEGER", "BIGINT")


def check_selections(
    selections: Sequence[Selection],
    *,
    filters: Sequence[Selection] = (),
    allow_references: bool,
) -> list[str]:
    """Check that selections can run before any work begins, by running them on empty tables.

    Args:
        selections: What is to run.
        filters: What is to drop candidates before that.
        allow_references: Whether reference answers may be read.

    Returns:
        The table that each selection makes, `examples`, `pairs` or `labels`.

    Raises:
        UnknownNameError: There is no such selection, filter or parameter.
        OptionError: A parameter is out of range.
        ReferencesNotAllowedError: A selection needs references and `allow_references` is False.
        SourceError: A file can't be read.
        DataFormatError: A file's SQL can't run, e.g. it reads a column that no table has, or what
            it writes lacks a column; the message names the column.
    """
    plans = plan_selections(selections, allow_references)
    drops = plan_filters(filters, allow_references)
    with duckdb.connect() as connection:
        attach_memory(connection)
        for table, schema in TABLES.items():
            connection.register("empty", schema.empty_table())
            connection.execute(f"CREATE TABLE {table} AS FROM empty")
            connection.unregister("empty")
        confine(connection)
        place: dict[str, object] = {"run": "check", "round": 0, "seed": 0}
        find_candidates(connection, place, allow_references)
        for plan in drops:
            run_filter(connection, plan, place)
        for plan in plans:
            run_rule(connection, plan, place)
    return [plan.table for plan in plans]


# The fault of the SQL, not of the machine or the rows.
_REFUSED = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ParserException,
    duckdb.PermissionException,
)


def find_candidates(
    connection: duckdb.DuckDBPyConnection,
    place: Mapping[str, object],
    allow_references: bool,
    *,
    role: str = "",
    sampling: str = "",
) -> None:
    """Make the tables `candidates` and `filtered`; hide references where they are not allowed."""
    if not allow_references:
        hide_references(connection)
    values = {**place, "use_references": allow_references, "role": role, "sampling": sampling}
    connection.execute(SCRIPTS["candidates"].bind(connection, values))
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE filtered (sample UBIGINT, filter VARCHAR, reason VARCHAR)"
    )


def run_filter(
    connection: duckdb.DuckDBPyConnection, plan: Plan, place: Mapping[str, object]
) -> None:
    """Run a filter, and give the candidates that it drops its reason.

    Raises:
        DataFormatError: Its SQL can't run, or the table `dropped` lacks a column.
    """
    _execute(connection, plan, plan.rule, {**place, **plan.parameters})
    _check_columns(connection, plan)
    # A candidate that is of no use already keeps its reason; a text without an answer may be used.
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE dropped_first AS "
        "SELECT sample, min(reason) AS reason FROM dropped SEMI JOIN "
        "(SELECT sample FROM candidates WHERE reason IS NULL "
        "OR reason IN ('no_answer', 'not_checked')) USING (sample) "
        "WHERE reason IS NOT NULL GROUP BY sample"
    )
    connection.execute(
        "INSERT INTO filtered SELECT sample, $filter, reason FROM dropped_first",
        {"filter": plan.name},
    )
    connection.execute(
        "UPDATE candidates SET reason = d.reason FROM dropped_first AS d "
        "WHERE d.sample = candidates.sample"
    )


def run_rule(
    connection: duckdb.DuckDBPyConnection, plan: Plan, place: Mapping[str, object]
) -> None:
    """Run a selection: afterwards there are `decisions` and the view `selected`.

    Raises:
        DataFormatError: Its SQL can't run, `judged` lacks a column, or it did not decide once
            about every candidate.
    """
    # The rule's own defaults win over those of the shared last step.
    given = {**place, **plan.parameters, "filter": plan.name}
    # Those of an earlier selection are not this one's.
    connection.execute("DROP TABLE IF EXISTS matches")
    _execute(connection, plan, plan.rule, given)
    _check_columns(connection, plan)
    if count(connection, "count(*) FROM filtered"):
        # A rule may overlook the reason that a candidate came with; a filter's word stands.
        connection.execute(
            "UPDATE judged SET reason = f.reason FROM filtered AS f WHERE f.sample = judged.sample"
        )
    for step in plan.steps:
        _execute(connection, plan, step, given)
    _check_decisions(connection, plan)


def count(connection: duckdb.DuckDBPyConnection, what: str) -> int:
    """The number that `SELECT what` gives."""
    return int(connection.execute(f"SELECT {what}").fetchall()[0][0])


def _execute(
    connection: duckdb.DuckDBPyConnection,
    plan: Plan,
    script: SqlScript,
    given: Mapping[str, object],
) -> None:
    try:
        connection.execute(script.bind(connection, given))
    except _REFUSED as error:
        raise DataFormatError(f"selection {plan.name!r} ({plan.path}) can't run: {error}") from None


def _check_columns(connection: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    """Check the table that a rule has written: the columns it needs and those it declares."""
    try:
        description = connection.execute(f"DESCRIBE {plan.writes}").fetchall()
    except duckdb.CatalogException:
        raise DataFormatError(
            f"selection {plan.name!r} ({plan.path}) writes no table {plan.writes!r}; end it with "
            f"CREATE OR REPLACE TEMP TABLE {plan.writes} AS SELECT {', '.join(plan.needs)} ..."
        ) from None
    types = {str(row[0]): str(row[1]) for row in description}
    wanted = dict.fromkeys((*plan.needs, *plan.rule.names("Columns")))
    missing = [name for name in wanted if name not in types]
    if missing:
        raise DataFormatError(
            f"selection {plan.name!r} ({plan.path}): its table {plan.writes} has no column "
            f"{', '.join(map(repr, missing))}; it needs {', '.join(plan.needs)}, and has "
            f"{', '.join(types)}"
        )
    for name in plan.needs:
        kinds = _TYPES.get(name, _NUMBERS)
        found = types[name]
        if not (found in kinds or found == '"NULL"' or (name in _TYPES) < found.startswith("DEC")):
            raise DataFormatError(
                f"selection {plan.name!r} ({plan.path}): column {name!r} of its table "
                f"{plan.writes} is {found}; expected {kinds[0]}"
            )


def _check_decisions(connection: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    """Check that a selection, which may be a user's file, decided once about every candidate."""
    # Sums and xors of 64-bit hashes are equal by chance once in 10^19 times; counting distinct ones
    # would take longer than deciding.
    found = {
        connection.execute(
            f"SELECT count(*), bit_xor(sample), sum(sample::HUGEINT) FROM {table}"
        ).fetchall()[0]
        for table in ("candidates", "decisions")
    }
    if len(found) == 1:
        return
    candidates = count(connection, "count(*) FROM candidates")
    total = count(connection, "count(*) FROM decisions")
    known = count(
        connection, "count(DISTINCT sample) FROM decisions SEMI JOIN candidates USING (sample)"
    )
    raise DataFormatError(
        f"selection {plan.name!r} decided {total} times about {known} of {candidates} "
        "candidates; its table judged needs exactly one row for every row of candidates"
    )
