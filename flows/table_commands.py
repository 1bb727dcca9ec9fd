"""The verbs about tables: bring rows in, ask, compare, report, and write them out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from flows.command_options import PLACE, TABLES, WarehouseOption
from flows.errors import SettingError

tables = typer.Typer()


@tables.command(
    "import-samples",
    rich_help_panel=TABLES,
    epilog="selfloom import-samples model_solutions.jsonl --run gsm8k-import\n\n"
    "selfloom import-samples mine.csv --prompt task --completion answer_a --completion answer_b",
)
def import_samples(
    file: Annotated[Path, typer.Argument(help="A jsonl, json, csv, tsv or parquet file.")],
    prompt: Annotated[
        str | None,
        typer.Option(
            help="Column with the prompt; `a.b` is key b of the object in column a.",
            show_default="by its name",
            rich_help_panel="Columns",
        ),
    ] = None,
    completion: Annotated[
        list[str] | None,
        typer.Option(
            help="Column with a completion, or a list of them; repeatable.",
            show_default="by its name",
            rich_help_panel="Columns",
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            help="Column with the reference answer.",
            show_default="by its name",
            rich_help_panel="Columns",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Column that names the model.",
            show_default="by its name",
            rich_help_panel="Columns",
        ),
    ] = None,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels/--no-labels",
            help="Whether references may decide what becomes a training row.",
        ),
    ] = True,
    run: Annotated[
        str,
        typer.Option(
            help="Run to write into; another file in the same run replaces what was there.",
            show_default="import-FILE",
            rich_help_panel=PLACE,
        ),
    ] = "",
    warehouse: WarehouseOption = Path("warehouse"),
) -> None:
    """Bring samples made elsewhere: answers, verdicts, votes, SFT examples, preference pairs."""
    from flows.plans import import_run, make_mapping
    from flows.show import show_import, spinner
    from storage import Warehouse
    from tasks.import_samples import import_samples as import_file

    mapping = make_mapping(file, prompt, completion or (), reference, model)
    house = Warehouse.open(warehouse)
    name = run or import_run(file)
    with spinner(f"importing {file.name} into run {name}"):
        report = import_file(house, file, mapping, run=name, allow_references=labels)
    show_import(house, report)


@tables.command(
    rich_help_panel=TABLES,
    epilog='selfloom sql "SHOW TABLES"\n\n'
    'selfloom sql "FROM rounds_overview" --output rounds.csv\n\n'
    "selfloom sql - < question.sql\n\n"
    "selfloom sql (a shell)",
)
def sql(
    query: Annotated[
        str | None,
        typer.Argument(
            help="One reading statement; '-' takes it from stdin.", show_default="a shell"
        ),
    ] = None,
    format: Annotated[
        Literal["table", "csv", "json", "parquet", "arrow"] | None,
        typer.Option(
            help="How rows are written; a table leaves out the middle of many rows.",
            show_default="by the output's name, else table",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="File to write.", show_default="the terminal")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show the plan of the query, and do not run it.")
    ] = False,
    warehouse: WarehouseOption = Path("warehouse"),
) -> None:
    """Ask the warehouse in SQL; reads only.

    Without a query, a shell asks for one after the other: the program `duckdb` where it is
    installed, else a small one with a history.
    """
    from flows.show import show_query
    from flows.sql_shell import open_shell

    is_asking = query is None and sys.stdin is not None and sys.stdin.isatty()
    if is_asking and (output is not None or explain):
        raise SettingError("--output and --explain need a query")
    if is_asking:
        open_shell(warehouse, format)
        return
    if query is None or query == "-":
        query = sys.stdin.read() if sys.stdin else ""
    show_query(warehouse, query, format, output, explain=explain)


@tables.command(
    rich_help_panel=TABLES,
    epilog="selfloom report --output report.html\n\n"
    "selfloom report --compare --run my-run --run other-run",
)
def report(
    run: Annotated[
        list[str] | None,
        typer.Option(help="Run to show; repeatable.", show_default="all runs"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="HTML file to write.", show_default="reports/report.html inside"),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Put the runs side by side on one page instead.")
    ] = False,
    warehouse: WarehouseOption = Path("warehouse"),
) -> None:
    """Write the HTML report of a warehouse, or a page that compares runs, and print the rounds."""
    from flows.show import show_report

    show_report(warehouse, run, output, compare=compare)


@tables.command(
    rich_help_panel=TABLES,
    epilog="selfloom export my-pairs --run my-run --table pairs --license apache-2.0\n\n"
    "selfloom export what-it-saw --model my-run-r2 --test-share 0.05",
)
def export(
    folder: Annotated[
        Path, typer.Argument(help="Folder of the dataset, or s3:// URL; must be free.")
    ],
    run: Annotated[
        str | None, typer.Option(help="Run whose rows to take.", show_default="all runs")
    ] = None,
    round: Annotated[
        list[int] | None,
        typer.Option(help="Round whose rows to take; repeatable.", show_default="all rounds"),
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(
            help="Table to take; repeatable.", show_default="those of examples, pairs, labels"
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Instead: the frozen rows that this model, or hash, was trained on."),
    ] = None,
    test_share: Annotated[
        float,
        typer.Option(help="Share of prompts whose training rows become the split 'test', 0 to 1."),
    ] = 0.0,
    title: Annotated[
        str | None, typer.Option(help="Name in the card.", show_default="the folder's")
    ] = None,
    license: Annotated[
        str, typer.Option(help="Licence in the card, e.g. apache-2.0 or cc-by-4.0.")
    ] = "unknown",
    language: Annotated[
        list[str] | None, typer.Option(help="Language of the texts, e.g. en; repeatable.")
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME", help="Upload it to the hub of Hugging Face; needs a token."
        ),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public/--private", help="Who sees a new repository on the hub.")
    ] = False,
    warehouse: WarehouseOption = Path("warehouse"),
) -> None:
    """Write rows as a dataset folder that `datasets.load_dataset` reads, with a card."""
    from flows.show_tables import show_export
    from storage import (
        TRAINING_TABLES,
        CardFields,
        ExportSpec,
        Warehouse,
        check_token,
        export_dataset,
        push_to_hub,
    )

    house = Warehouse.open(warehouse, create=False)
    if push is not None:
        check_token()
    spec = ExportSpec(run, round or None, tuple(table or TRAINING_TABLES), model, test_share)
    card = CardFields(title or folder.resolve().name, license, tuple(language or ()))
    report = export_dataset(house, folder, spec, card)
    show_export(report)
    if push is not None:
        typer.echo(f"Uploaded: {push_to_hub(report.folder, push, private=not public)}")


@tables.command(
    rich_help_panel=TABLES,
    epilog="selfloom diff my-run/1 my-run/2\n\n"
    "selfloom diff my-run-r1 my-run-r2 --json (what two models were trained on)\n\n"
    "selfloom diff warehouse copy-of-it",
)
def diff(
    first: Annotated[
        str,
        typer.Argument(help="RUN/ROUND, a model, a snapshot's hash, or the folder of a warehouse."),
    ],
    second: Annotated[str, typer.Argument(help="The other one.")],
    limit: Annotated[int, typer.Option(help="Most single differences to print.", min=1)] = 20,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    warehouse: WarehouseOption = Path("warehouse"),
) -> None:
    """Compare the training rows of two rounds or models, or all rows of two warehouses.

    For training rows: which prompts entered, left, or changed their label. For warehouses: which
    rows only one has, and which differ, clocks left aside.
    """
    from flows.show_tables import show_diff

    show_diff(warehouse, first, second, limit, json)
