"""Runs selections: SQL files that turn samples, scores and votes into training rows.

Every candidate sample of the round ends up in a training row or in `rejections` with the reason,
never in both and never in neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from storage import TRAINING_TABLES, Warehouse
from tasks.errors import (
    DataFormatError,
    OptionError,
    ReferencesNotAllowedError,
    UnknownNameError,
)
from tasks.sql_script import SqlScript, check_names, load_script, write_query

FOLDER = Path(__file__).parent
SELECTIONS = ("confident_majority", "reference_correct", "vote_pairs", "reference_pairs")
REJECTIONS_PART = "selection"


@dataclass(frozen=True)
class Selection:
    """A selection to run: one of `SELECTIONS` or the path of a .sql file, and its parameters."""

    name: str
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Selected:
    """What one selection made.

    Attributes:
        name: The selection, also the prefix of its parts in `table`.
        table: `examples` or `pairs`.
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
        num_candidates: Samples that could become training rows.
        num_used: Samples that are in at least one training row.
        num_rejected: Samples that are in none: rows of `rejections`.
        selections: One entry per selection, in the order they ran.
    """

    num_candidates: int
    num_used: int
    num_rejected: int
    selections: tuple[Selected, ...]


@dataclass(frozen=True)
class _Plan:
    """The scripts of one selection and the values of all their parameters."""

    name: str
    table: str
    rule: SqlScript
    last: SqlScript
    parameters: Mapping[str, object]


def select(
    warehouse: Warehouse,
    selections: Sequence[Selection],
    *,
    run: str,
    round: int,
    seed: int = 0,
    allow_references: bool = False,
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

    Raises:
        UnknownNameError: There is no such selection or parameter.
        OptionError: A parameter is out of range, two selections have one name, or an earlier
            call wrote another selection into the round.
        ReferencesNotAllowedError: A selection needs references and `allow_references` is False.
        DataFormatError: The round's tables don't fit together, e.g. prompts are missing, or a
            selection of your own does not decide once about every candidate.
    """
    plans = [_plan(selection, allow_references) for selection in selections]
    names = [plan.name for plan in plans]
    if not plans or len(set(names)) < len(names):
        raise OptionError(f"selections={names}; expected one or more, each name once")
    _check_free(warehouse, names, run, round)
    place: dict[str, object] = {"run": run, "round": round, "seed": seed}
    made: list[Selected] = []
    with warehouse.connect() as connection:
        spill = warehouse.scratch_dir(run, round) / "spill"
        connection.execute("SET temp_directory = $folder", {"folder": str(spill)})
        if not allow_references:
            _hide_references(connection)
        candidates = load_script(FOLDER / "candidates.sql")
        values = {**place, "use_references": allow_references}
        connection.execute(candidates.bind(connection, values))
        num_candidates = _check_candidates(connection, run, round)
        connection.execute(
            "CREATE TEMP TABLE all_decisions "
            "(position INTEGER, filter VARCHAR, sample UBIGINT, reason VARCHAR)"
        )
        for position, plan in enumerate(plans):
            given = {**place, **plan.parameters, "filter": plan.name}
            made.append(_run_plan(warehouse, connection, plan, given, position))
        query = load_script(FOLDER / "rejections.sql").bind(connection, place)
        num_rejected = write_query(
            warehouse, connection, query, "rejections", run=run, round=round, part=REJECTIONS_PART
        )
        num_used = _count(
            connection, "count(DISTINCT sample) FROM all_decisions WHERE reason IS NULL"
        )
    assert num_candidates == num_used + num_rejected, (num_candidates, num_used, num_rejected)
    return SelectionReport(num_candidates, num_used, num_rejected, tuple(made))


def check_selections(selections: Sequence[Selection], *, allow_references: bool) -> None:
    """Check names, parameters and the need for references before any work begins.

    Raises:
        UnknownNameError: There is no such selection or parameter.
        OptionError: A parameter is out of range.
        ReferencesNotAllowedError: A selection needs references and `allow_references` is False.
    """
    for selection in selections:
        _plan(selection, allow_references)


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


def _plan(selection: Selection, allow_references: bool) -> _Plan:
    path = FOLDER / f"{selection.name}.sql"
    if selection.name.endswith(".sql"):
        path = Path(selection.name)
    elif selection.name not in SELECTIONS:
        raise UnknownNameError(
            f"selection {selection.name!r}: there are {', '.join(SELECTIONS)}; "
            "or give the path of a .sql file of your own"
        )
    rule = load_script(path)
    table, last_name = rule.properties.get("Table"), rule.properties.get("Before")
    needs_references = rule.properties.get("References")
    if table not in TRAINING_TABLES or not last_name or needs_references not in ("yes", "no"):
        raise DataFormatError(
            f"{path}: its header needs the lines '-- Table: examples|pairs', "
            "'-- References: yes|no' and '-- Before: pick_examples.sql|pair_up.sql'"
        )
    if needs_references == "yes" and not allow_references:
        raise ReferencesNotAllowedError(
            f"selection {rule.name!r} reads reference answers, but this recipe does not declare "
            "labels; declare them in the recipe, or choose a selection by votes "
            "(confident_majority, vote_pairs)"
        )
    last = load_script(FOLDER / last_name)
    own = {"run", "round", "filter", "seed"}
    reserved = sorted(own & set(selection.parameters))
    if reserved:
        raise OptionError(f"selection {rule.name!r}: {', '.join(reserved)} can't be parameters")
    check_names(selection.parameters, rule)
    # The rule's own defaults win over those of the shared last step.
    parameters = {**rule.values(selection.parameters), **selection.parameters}
    return _Plan(rule.name, table, rule, last, parameters)


def _run_plan(
    warehouse: Warehouse,
    connection: duckdb.DuckDBPyConnection,
    plan: _Plan,
    given: Mapping[str, object],
    position: int,
) -> Selected:
    connection.execute(plan.rule.bind(connection, given))
    connection.execute(plan.last.bind(connection, given))
    _check_decisions(connection, plan.name)
    connection.execute(
        "INSERT INTO all_decisions SELECT $position, $filter, sample, reason FROM decisions",
        {"position": position, "filter": plan.name},
    )
    reasons = connection.execute(
        "SELECT reason, count(*) FROM decisions WHERE reason IS NOT NULL GROUP BY 1 ORDER BY 1"
    ).fetchall()
    num_rows = write_query(
        warehouse,
        connection,
        "FROM selected",
        plan.table,
        run=str(given["run"]),
        round=int(str(given["round"])),
        part=plan.name,
    )
    num_used = _count(connection, "count(*) FROM decisions WHERE reason IS NULL")
    return Selected(plan.name, plan.table, num_rows, num_used, dict(reasons))


def _hide_references(connection: duckdb.DuckDBPyConnection) -> None:
    """Shadow the views that hold reference answers, for the user's own SQL files too."""
    catalog = connection.execute("SELECT current_catalog()").fetchall()[0][0]
    connection.execute(
        f"CREATE TEMP VIEW scores AS FROM {catalog}.main.scores WHERE \"check\" <> 'reference'"
    )
    connection.execute(
        "CREATE TEMP VIEW prompts AS SELECT * REPLACE (NULL::VARCHAR AS reference) "
        f"FROM {catalog}.main.prompts"
    )


def _check_candidates(connection: duckdb.DuckDBPyConnection, run: str, round: int) -> int:
    """The number of candidates, after checking that each is there once and has its prompt."""
    total = _count(connection, "count(*) FROM candidates")
    distinct = _count(connection, "count(DISTINCT sample) FROM candidates")
    if distinct < total:
        raise DataFormatError(
            f"run {run!r} round {round}: {total - distinct} samples have more than one score of "
            "the check 'answer' or 'reference'; write each check of a sample once"
        )
    homeless = _count(
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


def _check_decisions(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Check that a selection, which may be a user's file, decided once about every candidate."""
    candidates = _count(connection, "count(*) FROM candidates")
    total = _count(connection, "count(*) FROM decisions")
    known = _count(
        connection,
        "count(DISTINCT sample) FROM decisions SEMI JOIN candidates USING (sample)",
    )
    if not candidates == total == known:
        raise DataFormatError(
            f"selection {name!r} decided {total} times about {known} of {candidates} candidates; "
            "its table judged needs exactly one row for every row of candidates"
        )


def _count(connection: duckdb.DuckDBPyConnection, what: str) -> int:
    return int(connection.execute(f"SELECT {what}").fetchall()[0][0])
