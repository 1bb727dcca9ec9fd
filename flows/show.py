"""What commands print: tables, paths and the next thing to try."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import typer
from rich.console import Console
from rich.table import Table

from flows.demo import collapse_loop, demo_loops, run_demo_loop
from flows.recipes import RECIPES, find_recipe
from flows.self_training import LoopResult
from storage import Warehouse, run_sql
from storage.sql.query import Format
from tasks.import_samples import ImportReport
from tasks.report import round_table_rows, write_report

Rows = Sequence[dict[str, str]]
_HIDDEN = ("findings",)


def print_rows(rows: Rows, title: str | None = None) -> None:
    """Print rows as a table; nothing for no rows."""
    if not rows:
        return
    table = Table(title=title, title_justify="left")
    names = [name for name in rows[0] if name not in _HIDDEN]
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(row[name] for name in names))
    width = None if sys.stdout.isatty() else 160
    Console(width=width, markup=False).print(table)


def run_demo(warehouse: Path, *, collapse: bool) -> None:
    """Run the demo's loops, then print what they did and what to try next."""
    loops = [collapse_loop(str(warehouse))] if collapse else demo_loops(str(warehouse))
    results = []
    for demo in loops:
        typer.secho(f"\n{demo.shows}: recipe {demo.recipe}, run {demo.loop.run}", bold=True)
        results.append(run_demo_loop(demo))
    show_result(warehouse, results)


def show_result(warehouse: Path, results: Sequence[LoopResult]) -> None:
    """Print the table of rounds, why the last ones ended, and where to look."""
    house = Warehouse.open(warehouse)
    runs = [result.run for result in results]
    with house.connect() as con:
        print_rows(round_table_rows(con, runs))
        pair = con.execute(
            "SELECT id FROM pairs WHERE list_contains($runs, run) UNION ALL "
            "SELECT id FROM examples WHERE list_contains($runs, run) AND round > 0 "
            "ORDER BY id DESC LIMIT 1",
            {"runs": runs},
        ).fetchall()
    for result in results:
        last = result.rounds[-1]
        typer.echo(f"{result.run}: {result.model_id} is promoted; last round {last.verdict}")
        for reason in last.reasons if last.verdict in ("stopped", "rejected") else ():
            typer.echo(f"  {reason}")
    output = write_report(house, house.root / "reports" / "report.html", runs)
    row = pair[0][0] if pair else "ID"
    typer.echo(f"\nReport:      {output}")
    typer.echo("Prefect UI:  selfloom ui  (http://127.0.0.1:4200)")
    typer.echo("SQL to try:")
    for query in (
        "SELECT * FROM rounds_overview",
        "SELECT filter, reason, count(*) AS rows FROM rejections GROUP BY ALL ORDER BY rows DESC",
        f"SELECT * FROM lineage('{row}')",
    ):
        typer.echo(f'  selfloom sql -w {warehouse} "{query}"')


def show_evaluation(warehouse: Path, run: str) -> None:
    """Print the metrics of an evaluation."""
    query = (
        "SELECT suite, coalesce(difficulty::VARCHAR, 'all') AS difficulty, metric, k, "
        "round(value, 4) AS value, round(ci_low, 4) AS ci_low, round(ci_high, 4) AS ci_high, n "
        f"FROM evaluations WHERE run = '{run}' ORDER BY evaluations.difficulty NULLS FIRST, metric"
    )
    show_query(warehouse, query, "table", None)
    typer.echo(f"run {run}")


def show_import(house: Warehouse, report: ImportReport) -> None:
    """Print what an import made and which lines it left out."""
    run = report.run
    for line in import_lines(report):
        typer.echo(line)
    files = ", ".join(f"'{part.path}'" for part in house.parts("pairs", run=run))
    typer.echo(f"Report:  {write_report(house, house.root / 'reports' / f'{run}.html', [run])}")
    if files:
        typer.echo(f'Train:   datasets.load_dataset("parquet", data_files=[{files}])')


def import_lines(report: ImportReport) -> list[str]:
    """The counts of an import as sentences, bad rows and disagreements last."""
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
    lines += [str(one) for one in report.disagreements]
    return [*lines, *([report.bad.describe()] if report.bad.count else [])]


def show_query(warehouse: Path, query: str, format: str, output: Path | None) -> None:
    """Print or write the rows of a query."""
    house = Warehouse.open(warehouse, create=False)
    result = run_sql(house, query, cast(Format, format), output)
    if output is not None:
        typer.echo(f"{result.num_rows} rows: {output}")
    elif result.text:
        typer.echo(result.text, nl=not result.text.endswith("\n"))


def show_report(warehouse: Path, runs: Sequence[str] | None, output: Path) -> None:
    """Write the report and print the table of rounds."""
    house = Warehouse.open(warehouse, create=False)
    with house.connect() as con:
        print_rows(round_table_rows(con, runs))
    typer.echo(f"Report: {write_report(house, output, runs)}")


def show_recipes(settings: str | None) -> None:
    """Print the recipes, or all settings of one of them."""
    if settings is not None:
        config = find_recipe(settings).config()
        typer.echo(json.dumps(config.model_dump(mode="json"), indent=2))
        return
    rows = []
    for recipe in RECIPES.values():
        config = recipe.config()
        rows.append(
            {
                "recipe": recipe.name,
                "paper": f"arXiv {recipe.paper}: {recipe.title}",
                "labels needed": recipe.labels,
                "trains": config.training.method,
                "start": config.start_from,
                "reference": config.reference if config.training.method == "dpo" else "-",
                "data mix": config.mix.rounds,
                "samples": f"{config.sampling.n} at T {config.sampling.temperature:g}",
            }
        )
    print_rows(rows)
