"""What the verbs about tables print: exports and differences."""

from __future__ import annotations

import typer

from flows.show import print_rows
from storage import ExportReport


def show_export(report: ExportReport) -> None:
    """Print what an export wrote, and how to load it."""
    print_rows(
        [
            {"config": own.table, "split": split, "rows": str(rows)}
            for own in report.configs
            for split, rows in own.rows.items()
        ]
    )
    typer.echo(f"Dataset:  {report.folder}")
    typer.echo("Load it:")
    for own in report.configs:
        typer.echo(f'  datasets.load_dataset("{report.folder}", "{own.table}")')
