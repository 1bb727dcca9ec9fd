"""What the Prefect UI shows of a run: the table of rounds, plots, and sample rows."""

from __future__ import annotations

import base64
from dataclasses import asdict

import duckdb
from prefect.artifacts import create_image_artifact, create_table_artifact

from tasks.report import read_rounds, round_table_rows
from tasks.report.plots import plots_of_run, standalone_svg
from tasks.report.samples import sample_rows

_SHOWN = (
    "round",
    "prompt",
    "text",
    "answer",
    "reference",
    "verdict",
    "share",
    "selected",
    "reason",
)


def publish_artifacts(con: duckdb.DuckDBPyConnection, run: str) -> None:
    """Renew the artifacts of a run; each keeps its history under its key.

    Args:
        con: A connection from `Warehouse.connect()`.
        run: The run.
    """
    rounds = read_rounds(con, [run])
    if not rounds:
        return
    create_table_artifact(round_table_rows(con, [run]), key="rounds", description=run)
    samples = [asdict(row) for row in sample_rows(con, run, [facts.round for facts in rounds[-2:]])]
    if samples:
        rows = [{name: str(row[name]) for name in _SHOWN} for row in samples]
        create_table_artifact(rows, key="sample-rows", description=f"{run}: some samples")
    for plot in plots_of_run(rounds):
        picture = base64.b64encode(standalone_svg(plot).encode()).decode()
        create_image_artifact(
            image_url=f"data:image/svg+xml;base64,{picture}",
            key=plot.title.lower().replace(" ", "-"),
            description=f"{run}: {plot.description}",
        )
