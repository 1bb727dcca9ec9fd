"""The standalone HTML page: everything inlined, no script, readable offline and on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from storage import Warehouse
from storage.commit import replace_beside
from tasks.report.metric_tables import metric_rows, yield_rows
from tasks.report.plots import Plot, plots_of_run
from tasks.report.rounds import Note, RoundFacts, percent, read_rounds, table_rows
from tasks.report.samples import Lineage, SampleFacts, brief, lineage_example, sample_rows, visible

_PASSING = frozenset({"promoted", "accepted"})
_FAILING = frozenset({"rejected", "stopped", "rolled_back"})


@dataclass(frozen=True)
class _RunPage:
    """What the template shows of one run."""

    name: str
    recipe: str
    story: list[str]
    stops: list[tuple[int, Note]]
    rounds: list[RoundFacts]
    table: list[dict[str, str]]
    metrics: list[dict[str, str]]
    yields: list[dict[str, str]]
    plots: list[Plot]
    samples: list[SampleFacts]
    lineage: Lineage | None
    queries: list[tuple[str, str]]


def write_report(warehouse: Warehouse, path: str | Path, runs: Sequence[str] | None = None) -> Path:
    """Writes the report and returns its path; a reader sees the old file or the new one.

    Args:
        warehouse: The warehouse to report.
        path: HTML file to write; its folder is made.
        runs: Names of runs; all when None.

    Raises:
        ReportError: If a given run is not in the warehouse.
        WarehouseFullError: If the disk is full.
    """
    return write_page(path, render_report(warehouse, runs))


def write_page(path: str | Path, html: str) -> Path:
    """Writes a page and returns its path; a reader sees the old file or the new one.

    Args:
        path: HTML file to write; its folder is made.
        html: The page.

    Raises:
        WarehouseFullError: If the disk is full.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)

    def write(unfinished: Path) -> None:
        unfinished.write_text(html, encoding="utf-8")

    replace_beside(target, write)
    return target


def render_report(warehouse: Warehouse, runs: Sequence[str] | None = None) -> str:
    """Returns the report as one HTML document; the same warehouse gives the same text.

    Args:
        warehouse: The warehouse to report.
        runs: Names of runs; all when None.

    Raises:
        ReportError: If a given run is not in the warehouse.
    """
    with warehouse.connect() as con:
        rounds = read_rounds(con, runs)
        names = list(dict.fromkeys(facts.run for facts in rounds))
        pages = [
            _run_page(con, [f for f in rounds if f.run == name], f"plot-{i}")
            for i, name in enumerate(names, 1)
        ]
        num_programs = sum(sum(facts.metrics.verdicts.values()) for facts in rounds)
    totals = [
        ("runs", len(pages)),
        ("rounds", len(rounds)),
        ("samples", sum(facts.metrics.num_samples for facts in rounds)),
        ("programs run", num_programs),
        ("training rows", sum(facts.metrics.num_selected for facts in rounds)),
        ("models promoted", sum(facts.verdict == "promoted" for facts in rounds)),
    ]
    template = page_environment().get_template("report.html.j2")
    return template.render(warehouse=str(warehouse.root), pages=pages, totals=totals)


def page_environment() -> Environment:
    """Returns what renders pages: everything escaped, with the filters of our templates."""
    # Autoescape for every name: the template's extension is .j2, which the default rule leaves out.
    environment = Environment(
        loader=PackageLoader("tasks", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "visible": visible,
        "brief": brief,
        "percent": percent,
        "tone": _tone,
        # Only for plots: matplotlib escapes every text it draws.
        "svg": lambda plot: Markup(plot.svg),
    }
    return environment


def _tone(verdict: str | None) -> str:
    """Returns the style of a verdict: good, bad or plain."""
    return "good" if verdict in _PASSING else "bad" if verdict in _FAILING else "plain"


def _run_page(con: duckdb.DuckDBPyConnection, rounds: list[RoundFacts], prefix: str) -> _RunPage:
    run = rounds[0].run
    numbers = [facts.round for facts in rounds]
    # The first round shows where the model came from, the last two where it is.
    shown = sorted({numbers[0], *numbers[-2:]})
    lineage = lineage_example(con, run)
    return _RunPage(
        name=run,
        recipe=", ".join(dict.fromkeys(facts.recipe for facts in rounds if facts.recipe)),
        story=_story(rounds),
        stops=[(f.round, note) for f in rounds for note in f.notes if note.severity == "stop"],
        rounds=rounds,
        table=table_rows(rounds),
        metrics=metric_rows(rounds),
        yields=yield_rows(rounds),
        plots=plots_of_run(rounds, prefix),
        samples=sample_rows(con, run, shown),
        lineage=lineage,
        queries=_queries(run, numbers[-1], lineage),
    )


def _story(rounds: Sequence[RoundFacts]) -> list[str]:
    first, verdicts = rounds[0], [facts.verdict for facts in rounds]
    counted = [
        f"{verdicts.count(name)} {name}"
        for name in ("promoted", "rejected", "stopped", "none", "unfinished")
        if name in verdicts
    ]
    lines = [
        f"{len(rounds)} {'round' if len(rounds) == 1 else 'rounds'} from "
        f"{first.parent or 'a model not recorded yet'}: {', '.join(counted)}."
    ]
    promoted = [facts for facts in rounds if facts.verdict == "promoted"]
    for suite in first.suites:
        start = first.parent_accuracy.get((suite, None))
        end = promoted[-1].accuracy.get((suite, None)) if promoted else None
        if start and end:
            lines.append(
                f"Held-out greedy accuracy on {suite} went from {percent(start.value)} to "
                f"{percent(end.value)} with the promoted model of round {promoted[-1].round} "
                f"({promoted[-1].child})."
            )
        elif start:
            lines.append(
                f"No model was promoted: {suite} stays at {percent(start.value)} greedy accuracy."
            )
    samples = sum(facts.metrics.num_samples for facts in rounds)
    rows = sum(facts.metrics.num_selected for facts in rounds)
    seconds = sum(sum(facts.seconds.values()) for facts in rounds)
    lines.append(
        f"{samples:,} samples gave {rows:,} training rows"
        + (f" in {seconds / 60:.1f} minutes of stages." if seconds else ".")
    )
    return lines


def _queries(run: str, last: int, lineage: Lineage | None) -> list[tuple[str, str]]:
    name = run.replace("'", "''")
    queries = [
        (
            "Verdicts of the sandbox, round by round",
            "SELECT round, verdict, count(*) AS programs\nFROM executions\n"
            f"WHERE run = '{name}'\nGROUP BY ALL ORDER BY round, programs DESC",
        ),
        (
            "Prompts of the last round on which the model disagreed with itself most",
            "SELECT p.messages[-1].content AS prompt, v.answer, v.share\n"
            "FROM votes v JOIN prompts p ON p.id = v.prompt_id AND p.run = v.run\n"
            f"WHERE v.run = '{name}' AND v.round = {last} AND v.rank = 1\n"
            "ORDER BY v.share LIMIT 10",
        ),
    ]
    if lineage is not None:
        queries.append(
            ("Everything that made one training row", f"SELECT * FROM lineage('{lineage.row_id}')")
        )
    return queries
