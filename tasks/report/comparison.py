"""The page that puts runs side by side: how they ended, what they cost, which settings differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from pathlib import Path

import duckdb
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from storage import Warehouse
from tasks.errors import ReportError
from tasks.report.page import page_environment, write_page
from tasks.report.plots import SERIES, Plot, accuracy_line, draw_plot, share_axis
from tasks.report.rounds import RoundFacts, change_text, interval_text, read_rounds

Runs = dict[str, list[RoundFacts]]
LONGEST_CELL = 80


@dataclass(frozen=True)
class Comparison:
    """What the page shows.

    Attributes:
        runs: One row per run: recipe, rounds, accuracy at the start and at the end, cost.
        settings: One row per setting in which the runs differ: its path and its values.
        plots: Runs over each other.
    """

    runs: list[dict[str, str]]
    settings: list[dict[str, str]]
    plots: list[Plot]


def write_comparison(warehouse: Warehouse, path: str | Path, runs: Sequence[str]) -> Path:
    """Writes the page that compares runs and returns its path.

    Args:
        warehouse: The warehouse that holds them.
        path: HTML file to write; its folder is made.
        runs: Names of two runs or more; all runs when empty.

    Raises:
        ReportError: If a run is not in the warehouse, or there are fewer than two.
        WarehouseFullError: If the disk is full.
    """
    template = page_environment().get_template("comparison.html.j2")
    found = compare_runs(warehouse, runs)
    return write_page(path, template.render(warehouse=str(warehouse.root), page=found))


def compare_runs(warehouse: Warehouse, runs: Sequence[str]) -> Comparison:
    """Returns what the page shows; the same warehouse gives the same.

    Args:
        warehouse: The warehouse that holds the runs.
        runs: Names of two runs or more; all runs when empty.

    Raises:
        ReportError: If a run is not in the warehouse, or there are fewer than two.
    """
    with warehouse.connect() as con:
        rounds = read_rounds(con, runs or None)
        by_run = {name: list(own) for name, own in groupby(rounds, key=lambda facts: facts.run)}
        if len(by_run) < 2:
            raise ReportError(
                f"a comparison of {', '.join(by_run) or 'no run'}: name two runs or more "
                "(--run A --run B)"
            )
        settings = differing_settings(con, list(by_run))
    suites = sorted({suite for own in by_run.values() for facts in own for suite in facts.suites})
    return Comparison(
        [_run_row(name, own, suites) for name, own in by_run.items()],
        settings,
        _plots(by_run, suites),
    )


def differing_settings(con: duckdb.DuckDBPyConnection, runs: Sequence[str]) -> list[dict[str, str]]:
    """Returns the settings in which runs differ, by path; a dash where a run does not have one.

    Args:
        con: A connection from `Warehouse.connect()`.
        runs: Names of runs.
    """
    rows = con.execute(
        "SELECT run, arg_min(config, round) FROM rounds WHERE list_contains($runs, run) "
        "GROUP BY run",
        {"runs": list(runs)},
    ).fetchall()
    settings = {run: dict(_flat(json.loads(config or "{}"))) for run, config in rows}
    paths = sorted({path for own in settings.values() for path in own})
    table = [
        {"setting": path} | {run: settings.get(run, {}).get(path, "-") for run in runs}
        for path in paths
    ]
    return [row for row in table if len({row[run] for run in runs}) > 1]


def _flat(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}".lstrip("."))
        return
    text = json.dumps(value, ensure_ascii=False)
    yield path, text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"


def _run_row(name: str, rounds: Sequence[RoundFacts], suites: Sequence[str]) -> dict[str, str]:
    verdicts = [facts.verdict for facts in rounds if facts.verdict != "none"]
    promoted = [facts for facts in rounds if facts.verdict == "promoted"]
    row = {
        "run": name,
        "recipe": ", ".join(dict.fromkeys(f.recipe for f in rounds if f.recipe)) or "-",
        "rounds": str(len(verdicts)),
        "promoted": str(len(promoted)),
        "last verdict": verdicts[-1] if verdicts else "-",
    }
    for suite in suites:
        of_suite = "" if len(suites) == 1 else f" {suite}"
        start = rounds[0].parent_accuracy.get((suite, None))
        end = promoted[-1].accuracy.get((suite, None)) if promoted else start
        row[f"start{of_suite}"] = interval_text(start)
        row[f"promoted model{of_suite}"] = interval_text(end)
        row[f"change{of_suite}"] = change_text(start, end)
    return row | {
        "samples": f"{sum(f.metrics.num_samples for f in rounds):,}",
        "training rows": f"{sum(f.metrics.num_selected for f in rounds):,}",
        "tokens": f"{sum(sum(f.tokens.values()) for f in rounds):,}",
        "minutes": f"{sum(sum(f.seconds.values()) for f in rounds) / 60:,.1f}",
        "findings": ", ".join(dict.fromkeys(n.name for f in rounds for n in f.notes)) or "-",
    }


def _plots(runs: Runs, suites: Sequence[str]) -> list[Plot]:
    drawn = []
    for i, suite in enumerate(suites):
        drawn += [
            draw_plot(
                f"compared-{i}-rounds",
                f"{suite}: accuracy by round",
                "Held-out greedy accuracy by round with 95% intervals, one line for each run; "
                "hollow markers were not promoted.",
                lambda axes, suite=suite: _by_round(axes, runs, suite),  # type: ignore[misc]
            ),
            draw_plot(
                f"compared-{i}-samples",
                f"{suite}: accuracy by samples drawn",
                "Held-out greedy accuracy of every trained model by the samples drawn until then, "
                "one line for each run.",
                lambda axes, suite=suite: _by_samples(axes, runs, suite),  # type: ignore[misc]
            ),
        ]
    return [plot for plot in drawn if plot is not None]


def _by_round(axes: Axes, runs: Runs, suite: str) -> bool:
    drawn = [
        accuracy_line(axes, rounds, (suite, None), SERIES[i % len(SERIES)], name)
        for i, (name, rounds) in enumerate(runs.items())
    ]
    share_axis(axes)
    return any(drawn)


def _by_samples(axes: Axes, runs: Runs, suite: str) -> bool:
    drawn = False
    for i, (name, rounds) in enumerate(runs.items()):
        spent = list(accumulate(facts.metrics.num_samples for facts in rounds))
        start = rounds[0].parent_accuracy.get((suite, None))
        points = [(0, start.value)] if start is not None else []
        for total, facts in zip(spent, rounds, strict=True):
            if total and (own := facts.accuracy.get((suite, None))) is not None:
                points.append((total, own.value))
        if len(points) > 1:
            xs, ys = zip(*points, strict=True)
            color = SERIES[i % len(SERIES)]
            axes.plot(xs, ys, color=color, lw=1.8, marker="o", ms=4, label=name)
            drawn = True
    share_axis(axes)
    axes.set_xlabel("samples")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    return drawn
