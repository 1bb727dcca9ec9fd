"""What commands print: tables, paths and the next thing to try."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from flows.errors import SettingError
from storage import Warehouse, run_sql
from storage.sql.query import FORMATS, Format

if TYPE_CHECKING:
    from flows.self_training import LoopResult
    from tasks.import_samples import ImportReport
    from tasks.training import TrainedModel

Rows = Sequence[dict[str, str]]
WIDTH = 100  # of tables that do not go to a terminal
SHOWN_REASONS = 6
_HIDDEN = ("run", "recipe", "findings")  # in the title, or in the report
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SHORT = {"training rows": "rows"}


def print_rows(rows: Rows, title: str | None = None) -> None:
    """Print rows as a table; nothing for no rows, and no columns that the terminal has no room for.

    Args:
        rows: One mapping per row, the same columns in each.
        title: A line above the table.
    """
    console = Console(width=None if sys.stdout.isatty() else WIDTH, markup=False, highlight=False)
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    room = console.width - 1
    shown: list[str] = []
    for name in rows[0] if rows else ():
        cells = [row[name] for row in rows]
        # Only headers may be broken into lines.
        width = max(map(len, (*cells, *name.split())))
        room -= width + 2
        if room < 0:
            break
        is_number = all(cell[:1] in "0123456789+-" for cell in cells)
        table.add_column(name, justify="right" if is_number else "left", width=width)
        shown.append(name)
    for row in rows:
        table.add_row(*(row[name] for name in shown))
    if rows:
        console.print(table)


def print_rounds(warehouse: Warehouse, runs: Sequence[str] | None) -> None:
    """Print one table of rounds per run; a line where there are none yet."""
    from tasks.report import round_table_rows

    with warehouse.connect() as con:
        rows = round_table_rows(con, runs)
    for run, own in groupby(rows, key=lambda row: row["run"]):
        of_run = list(own)
        # Suites of other runs are columns without a value.
        names = [
            name
            for name in of_run[0]
            if name not in _HIDDEN and any(row[name] != "-" for row in of_run)
        ]
        recipe = next((row["recipe"] for row in of_run if row["recipe"] != "-"), "-")
        table = [{_SHORT.get(name, name): row[name] for name in names} for row in of_run]
        print_rows(table, f"{run} ({recipe})")
    if not rows:
        typer.echo(f"no rounds in {warehouse.uri} yet")


def show_result(warehouse: Path, results: Sequence[LoopResult]) -> None:
    """Print the tables of rounds, why the last ones ended, and where to look."""
    from tasks.report import write_report

    house = Warehouse.open(warehouse)
    runs = [result.run for result in results]
    print_rounds(house, runs)
    for result in results:
        last = result.rounds[-1]
        typer.echo(f"{result.run}: {result.model_id} is promoted; last round: {last.verdict}")
        if last.verdict in ("stopped", "rejected"):
            for reason in last.reasons[:SHOWN_REASONS]:
                typer.echo(f"  - {reason}")
    name = f"{runs[0]}.html" if len(runs) == 1 else "report.html"
    output = write_report(house, house.root / "reports" / name, runs)
    typer.echo(f"\nReport:      {output}")
    typer.echo("Prefect UI:  selfloom ui  (then http://127.0.0.1:4200)")
    typer.echo("SQL to try:")
    # As it was given, if it is a folder; pathlib would take a slash from a URL.
    where = str(warehouse) if isinstance(house.place, Path) else house.uri
    for query in _queries(house, runs):
        typer.echo(f'  selfloom sql -w {shlex.quote(where)} "{query}"')


def _queries(house: Warehouse, runs: Sequence[str]) -> list[str]:
    """Three questions to a warehouse; the last one follows a training row of these runs."""
    with house.connect() as con:
        found = con.execute(
            "SELECT id FROM pairs WHERE list_contains($runs, run) UNION ALL "
            "SELECT id FROM examples WHERE list_contains($runs, run) AND round > 0 "
            "ORDER BY id DESC LIMIT 1",
            {"runs": list(runs)},
        ).fetchall()
    why = "SELECT filter, reason, count(*) AS rows FROM rejections GROUP BY ALL ORDER BY rows DESC"
    last = f"FROM lineage('{found[0][0]}')" if found else "SHOW TABLES"
    return ["FROM rounds_overview", why, last]


def show_evaluation(warehouse: Path, run: str) -> None:
    """Print the metrics of an evaluation: a table per suite, one line per difficulty."""
    house = Warehouse.open(warehouse, create=False)
    with house.connect() as con:
        found = con.execute(
            "SELECT suite, model_id, coalesce(difficulty::VARCHAR, 'all'), metric, k, value, "
            "ci_low, ci_high, n FROM evaluations "
            "WHERE run = $run AND (metric <> 'maj@k' OR k > 1) ORDER BY split, suite, "
            "difficulty NULLS FIRST, metric <> 'pass@1 greedy', metric, k",
            {"run": run},
        ).fetchall()
    for (suite, model), own in groupby(found, key=lambda row: row[:2]):
        rows: dict[str, dict[str, str]] = {}
        for _, _, level, metric, k, value, low, high, n in own:
            row = rows.setdefault(level, {"difficulty": level, "problems": str(n)})
            has_interval = low is not None and metric != "pass@k"  # there is room for two
            interval = f" [{100 * low:.1f}, {100 * high:.1f}]" if has_interval else ""
            row[metric.replace("@k", f"@{k}")] = f"{100 * value:.1f}%{interval}"
        names = list(dict.fromkeys(name for row in rows.values() for name in row))
        table = [{name: row.get(name, "-") for name in names} for row in rows.values()]
        print_rows(table, f"{model} on held-out problems of {suite}")
    typer.echo(f"Rows: run {run} in {house.uri}")


@contextmanager
def spinner(text: str) -> Iterator[None]:
    """Show that something goes on, in a terminal only."""
    with Console(stderr=True).status(text):
        yield


def show_model(model: TrainedModel) -> None:
    """Print what a finished seed model is and how to measure it."""
    typer.echo(f"Model:        {model.path}")
    typer.echo(f"Weight hash:  {model.weight_hash}")
    typer.echo(f"Measure it:   selfloom evaluate {shlex.quote(str(model.path))}")


def show_import(house: Warehouse, report: ImportReport) -> None:
    """Print what an import made and which lines it left out."""
    from tasks.report import write_report

    for line in import_lines(report):
        typer.echo(line)
    output = house.root / "reports" / f"{report.run}.html"
    typer.echo(f"Report:  {write_report(house, output, [report.run])}")
    for own in report.selection.selections if report.selection is not None else ():
        if own.num_rows:
            files = house.table_dir(own.table) / f"run={report.run}" / "**" / "*.parquet"
            name = f"{own.table}:"
            typer.echo(f'{name:10}datasets.load_dataset("parquet", data_files="{files}")')


def import_lines(report: ImportReport) -> list[str]:
    """The counts of an import as sentences, disagreements and bad rows last."""
    lines = [
        f"{report.num_rows} rows, {report.num_prompts} prompts, {report.num_samples} samples",
        f"{report.num_answered} samples have an answer, {report.num_right} that of the reference",
    ]
    if report.num_compared:
        lines.append(
            f"verdicts agree with the file's own on {report.num_agreed} of {report.num_compared}"
        )
    if report.selection is not None:
        made = report.selection
        lines += [f"{own.name}: {own.num_rows} rows in {own.table}" for own in made.selections]
        lines.append(
            f"{made.num_candidates} samples = {made.num_used} used + {made.num_rejected} rejected"
        )
    for one in report.disagreements:
        here, there = ("right" if v else "wrong" for v in (one.verdict_here, one.verdict_there))
        lines.append(
            f"row {one.row} ({one.model}): answer {one.answer!r}, reference {one.reference!r}: "
            f"{here} here, {there} in the file"
        )
    if report.bad.count:
        lines.append(f"{report.bad.count} bad rows were kept out:")
        lines += [f"  row {number}: {reason}" for number, reason in sorted(report.bad.first)]
        more = report.bad.count - len(report.bad.first)
        lines += [f"  and {more} more"] if more else []
    return lines


def show_query(
    warehouse: Path, query: str, format: Format | None, output: Path | None, *, explain: bool
) -> None:
    """Print or write the rows of a query.

    Args:
        warehouse: Folder of the warehouse.
        query: One reading statement.
        format: How rows are written; None for what the output's name says, else a table.
        output: File to write, None for the terminal.
        explain: Show how DuckDB would run the query, and do not run it.

    Raises:
        WarehouseNotFoundError: There is no warehouse.
        QueryError: The query fails, or is not one that only reads.
        SettingError: The output is a folder.
    """
    house = Warehouse.open(warehouse, create=False)
    if explain:
        query = f"EXPLAIN {query}"
    if output is not None and output.is_dir():
        raise SettingError(f"output {output} is a folder; give the name of a file")
    suffix = output.suffix.removeprefix(".") if output is not None else ""
    by_name: Format = next((own for own in FORMATS if own == suffix), "table")
    chosen = format or by_name
    if output is None:
        print_query(house, query, chosen)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        num_rows = run_sql(house, query, chosen, output).num_rows
        typer.echo(str(output) if num_rows is None else f"{num_rows} rows: {output}")


def print_query(house: Warehouse, query: str, format: Format) -> None:
    """Print the rows of a query.

    Raises:
        QueryError: The query fails, is not one that only reads, or the format is not text.
    """
    is_terminal = sys.stdout.isatty()
    width = Console().width if is_terminal else 160
    text = run_sql(house, query, format, max_width=width).text or ""
    # Models write what they like, and a terminal obeys control characters.
    sys.stdout.write(_CONTROLS.sub(lambda m: repr(m[0])[1:-1], text) if is_terminal else text)


def show_report(
    warehouse: Path, runs: Sequence[str] | None, output: Path | None, *, compare: bool
) -> None:
    """Write the report or the comparison, by default into the warehouse, and print the rounds."""
    from tasks.report import write_comparison, write_report

    house = Warehouse.open(warehouse, create=False)
    print_rounds(house, runs)
    target = output or house.root / "reports" / ("comparison.html" if compare else "report.html")
    if compare:
        written = write_comparison(house, target, runs or ())
    else:
        written = write_report(house, target, runs)
    if output is None:
        house.keep(written)
    typer.echo(f"Report: {written}")
