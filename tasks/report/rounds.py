"""Rounds as the report, the terminal and the Prefect artifact show them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import duckdb

from tasks.errors import ReportError
from tasks.evaluation.metrics import GREEDY
from tasks.monitors.spec import CORRECTIONS, Action
from tasks.round_metrics import RoundMetrics, round_metrics


class Estimate(NamedTuple):
    """One evaluated metric with its interval and number of problems."""

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Note:
    """One monitor finding as kept in `rounds.monitor_findings`; `severity` is what was done."""

    severity: Action
    name: str
    message: str


@dataclass(frozen=True)
class RoundFacts:
    """One round of one run.

    Attributes:
        run: Name of the run.
        round: Number of the round.
        recipe: Recipe of the round; '' while it is unfinished.
        parent: Model that the round started from, None while it is unfinished.
        child: Model that it trained, if any.
        verdict: The gate's verdict, or 'unfinished' when the round has samples but no row of its
            own.
        reasons: The gate's sentences.
        notes: Monitor findings, stops first.
        metrics: Exploration and exploitation.
        headroom: Sentence about the headroom measured before the round, if it was.
        accuracy: Greedy accuracy of the child by (suite, difficulty or None).
        parent_accuracy: The same of the parent.
        seconds: Seconds by stage.
        tokens: Tokens by stage.
        num_rejections: Rows dropped by a filter, with their reason.
    """

    run: str
    round: int
    recipe: str
    parent: str | None
    child: str | None
    verdict: str
    reasons: tuple[str, ...]
    notes: tuple[Note, ...]
    metrics: RoundMetrics
    headroom: str | None
    accuracy: Mapping[tuple[str, int | None], Estimate]
    parent_accuracy: Mapping[tuple[str, int | None], Estimate]
    seconds: Mapping[str, float]
    tokens: Mapping[str, int]
    num_rejections: int

    @property
    def suites(self) -> list[str]:
        """Suites with an overall accuracy of the child or the parent, sorted."""
        keys = self.accuracy.keys() | self.parent_accuracy.keys()
        return sorted({suite for suite, level in keys if level is None})


def known_runs(con: duckdb.DuckDBPyConnection, runs: Sequence[str] | None = None) -> list[str]:
    """Returns the runs to report, sorted: the given ones, or every run with a round or a sample.

    Args:
        con: A connection from `Warehouse.connect()`.
        runs: Names to keep; all when None.

    Raises:
        ReportError: If a given run is not in the warehouse.
    """
    found = con.execute("SELECT run FROM rounds UNION SELECT run FROM samples").fetchall()
    names = sorted(name for (name,) in found)
    missing = sorted(set(runs or ()) - set(names))
    if missing:
        raise ReportError(
            f"run {missing[0]!r} is not in the warehouse; it holds "
            f"{', '.join(names) or 'no run yet'}"
        )
    return [name for name in names if runs is None or name in runs]


def read_rounds(
    con: duckdb.DuckDBPyConnection, runs: Sequence[str] | None = None
) -> list[RoundFacts]:
    """Returns all rounds of the runs, sorted by run and round.

    Metrics come from `rounds.metrics` where the round kept them, and are measured now where it did
    not.

    Args:
        con: A connection from `Warehouse.connect()`.
        runs: Names of runs; all when None.

    Raises:
        ReportError: If a given run is not in the warehouse.
    """
    return [facts for run in known_runs(con, runs) for facts in _rounds_of(con, run)]


def _rounds_of(con: duckdb.DuckDBPyConnection, run: str) -> list[RoundFacts]:
    cursor = con.execute("SELECT * FROM rounds WHERE run = $run ORDER BY round", {"run": run})
    names = [column[0] for column in cursor.description or []]
    rows = (dict(zip(names, values, strict=True)) for values in cursor.fetchall())
    finished = {row["round"]: row for row in rows}
    started = con.execute(
        "SELECT DISTINCT round FROM samples WHERE run = $run AND purpose <> 'evaluate'",
        {"run": run},
    ).fetchall()
    dropped = dict(
        con.execute(
            "SELECT round, count(*) FROM rejections WHERE run = $run GROUP BY round", {"run": run}
        ).fetchall()
    )
    accuracy = _accuracy(con, run)
    return [
        _facts(con, run, number, finished.get(number, {}), accuracy, dropped.get(number, 0))
        for number in sorted(finished.keys() | {number for (number,) in started})
    ]


def _facts(
    con: duckdb.DuckDBPyConnection,
    run: str,
    number: int,
    row: Mapping[str, object],
    accuracy: Mapping[str, list[tuple[int, tuple[str, int | None], Estimate]]],
    num_rejections: int,
) -> RoundFacts:
    kept = _json(row.get("metrics"))
    metrics = (
        RoundMetrics.from_dict(kept) if "num_samples" in kept else round_metrics(con, run, number)
    )
    headroom = kept.get("headroom")
    parent, child = row.get("parent_model_id"), row.get("child_model_id")
    notes = [parse_note(line) for line in _strings(row.get("monitor_findings"))]
    return RoundFacts(
        run=run,
        round=number,
        recipe=str(row.get("recipe") or ""),
        parent=None if parent is None else str(parent),
        child=None if child is None else str(child),
        verdict=str(row.get("gate_verdict") or "unfinished"),
        reasons=tuple(_strings(row.get("gate_reasons"))),
        notes=tuple(sorted(notes, key=lambda note: note.severity != "stop")),
        metrics=metrics,
        headroom=str(headroom["reason"])
        if isinstance(headroom, dict) and headroom.get("reason")
        else None,
        accuracy=_of_model(accuracy, child, number),
        parent_accuracy=_of_model(accuracy, parent, number),
        seconds=_numbers(row.get("seconds")),
        tokens={stage: int(value) for stage, value in _numbers(row.get("tokens")).items()},
        num_rejections=num_rejections,
    )


def _accuracy(
    con: duckdb.DuckDBPyConnection, run: str
) -> dict[str, list[tuple[int, tuple[str, int | None], Estimate]]]:
    """Returns (round, (suite, difficulty), estimate) of every greedy evaluation, by model."""
    rows = con.execute(
        "SELECT model_id, round, suite, difficulty, value, ci_low, ci_high, n FROM evaluations "
        "WHERE run = $run AND metric = $metric ORDER BY model_id, round, suite, difficulty, id",
        {"run": run, "metric": GREEDY},
    ).fetchall()
    found: dict[str, list[tuple[int, tuple[str, int | None], Estimate]]] = {}
    for model, number, suite, level, *numbers in rows:
        found.setdefault(model, []).append((number, (suite, level), Estimate(*numbers)))
    return found


def _of_model(
    accuracy: Mapping[str, list[tuple[int, tuple[str, int | None], Estimate]]],
    model: object,
    number: int,
) -> dict[tuple[str, int | None], Estimate]:
    # A model may be measured again as the next round's incumbent: its own round's value counts,
    # else the closest before it, else any.
    def closeness(item: tuple[int, tuple[str, int | None], Estimate]) -> tuple[bool, int]:
        return (item[0] <= number, -abs(item[0] - number))

    chosen: dict[tuple[str, int | None], Estimate] = {}
    for _, key, estimate in sorted(accuracy.get(str(model), []), key=closeness):
        chosen[key] = estimate
    return chosen


def parse_note(line: str) -> Note:
    """Returns a finding read back from its line 'action: name: message'.

    Args:
        line: A line of `rounds.monitor_findings`; one in another form becomes a warning.
    """
    start, _, rest = line.partition(": ")
    name, _, message = rest.partition(": ")
    done: tuple[Action, ...] = ("stop", "warn", *CORRECTIONS)
    for action in done:
        if start == action and message:
            return Note(action, name, message)
    return Note("warn", "note", line)


def round_table_rows(
    con: duckdb.DuckDBPyConnection, runs: Sequence[str] | None = None
) -> list[dict[str, str]]:
    """Returns the table of rounds as text cells: one row per round, the same columns in each.

    Args:
        con: A connection from `Warehouse.connect()`.
        runs: Names of runs; all when None.

    Raises:
        ReportError: If a given run is not in the warehouse.
    """
    return table_rows(read_rounds(con, runs))


def table_rows(rounds: Sequence[RoundFacts]) -> list[dict[str, str]]:
    """Returns the table of these rounds as text cells, a dash where nothing was measured.

    Args:
        rounds: Rounds from `read_rounds`.
    """
    suites = sorted({suite for facts in rounds for suite in facts.suites})
    return [_table_row(facts, suites) for facts in rounds]


def _table_row(facts: RoundFacts, suites: Sequence[str]) -> dict[str, str]:
    m = facts.metrics
    row = {
        "run": facts.run,
        "round": str(facts.round),
        "recipe": facts.recipe or "-",
        "verdict": facts.verdict,
    }
    for suite in suites:
        of_suite = "" if len(suites) == 1 else f" {suite}"
        before, after = (
            estimates.get((suite, None)) for estimates in (facts.parent_accuracy, facts.accuracy)
        )
        row[f"accuracy{of_suite}"] = interval_text(after)
        row[f"change{of_suite}"] = change_text(before, after)
    return row | {
        "samples": f"{m.num_samples:,}",
        "training rows": f"{m.num_selected:,}",
        "labels right": percent(m.selected_accuracy),
        "prompts used": percent(m.selected_coverage),
        "vote share": percent(m.mean_majority_share),
        "seconds": f"{sum(facts.seconds.values()):,.0f}" if facts.seconds else "-",
        "findings": ", ".join(f"{n.severity}: {n.name}" for n in facts.notes) or "-",
    }


def percent(value: float | None) -> str:
    """Returns a share as text with one decimal, '-' for None.

    Args:
        value: A share of 1.
    """
    return "-" if value is None else f"{100 * value:.1f}%"


def change_text(before: Estimate | None, after: Estimate | None) -> str:
    """Returns '+3.5' for a change of so many points, '-' where one side is not known.

    Args:
        before: A metric that is a share of 1, or None.
        after: The same metric later, or None.
    """
    return f"{100 * (after.value - before.value):+.1f}" if before and after else "-"


def interval_text(estimate: Estimate | None) -> str:
    """Returns '71.5% [65.0, 77.5]', without the bracket where there is no interval.

    Args:
        estimate: A metric that is a share of 1, or None.
    """
    if estimate is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return percent(estimate.value)
    return f"{percent(estimate.value)} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def _json(text: object) -> dict[str, object]:
    value = json.loads(str(text)) if text else {}
    return value if isinstance(value, dict) else {}


def _numbers(text: object) -> dict[str, float]:
    return {
        key: float(value) for key, value in _json(text).items() if isinstance(value, int | float)
    }


def _strings(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
