"""The `selfloom` command. Each verb is a thin layer over a flow or a function of `tasks`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.settings import guard_names, quiet_console

WAREHOUSE = typer.Option("--warehouse", "-w", help="Folder of the warehouse.")
WarehouseOption = Annotated[Path, WAREHOUSE]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="One setting as field=value, e.g. training.steps=200; repeatable."),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="JSON file with settings of the recipe.")
]

app = typer.Typer(
    name="selfloom",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Self-training of language models in rounds, as tables that SQL can read.",
    epilog="Start with `selfloom demo`; see `selfloom COMMAND --help` for examples.",
)


@app.command(epilog="Example: selfloom demo --warehouse my-demo")
def demo(
    warehouse: WarehouseOption = Path("warehouse"),
    collapse: Annotated[
        bool, typer.Option("--collapse", help="The loop without safeguards: a monitor stops it.")
    ] = False,
) -> None:
    """Self-train the shipped seed models in two loops and show that they got better.

    Ten minutes on two cores. A demo that was interrupted goes on where it stopped; another
    warehouse starts a fresh one.
    """
    from flows.show import run_demo

    run_demo(warehouse, collapse=collapse)


@app.command(
    epilog="Example: selfloom run lmsi --environment gsm8k --base-model ./my-model --rounds 2 "
    "--set environment.options.path=gsm8k/train.jsonl --set sampling.n=16"
)
def run(
    recipe: Annotated[str, typer.Argument(help="Recipe; see `selfloom recipes`.")],
    rounds: Annotated[int, typer.Option(help="Rounds in total.", min=1)] = 3,
    run: Annotated[str, typer.Option(help="Name of the run; default: recipe and hash.")] = "",
    base_model: Annotated[
        str, typer.Option(help="seed:NAME, a folder, a model id, or promoted:RUN.")
    ] = "seed:programs",
    environment: Annotated[str | None, typer.Option(help="Where problems come from.")] = None,
    warehouse: WarehouseOption = Path("warehouse"),
    config: ConfigOption = None,
    set_: SetOption = None,
) -> None:
    """Run a recipe's rounds; the same command again continues what was interrupted."""
    from flows.plans import make_config
    from flows.recipes.config import LoopSpec
    from flows.self_training import LOOPS
    from flows.show import show_result

    named = [*([f"environment.name={environment}"] if environment else []), *(set_ or [])]
    settings = make_config(recipe, config, named)
    loop = LoopSpec(run=run, rounds=rounds, base_model=base_model, warehouse=str(warehouse))
    show_result(warehouse, [LOOPS[recipe](settings, loop)])


@app.command(epilog="Example: selfloom bootstrap programs --output ./programs")
def bootstrap(
    name: Annotated[str, typer.Argument(help="programs or copy.")],
    output: Annotated[Path, typer.Option(help="Folder of the new model.")],
) -> None:
    """Train a seed model from scratch: the command that made the shipped ones."""
    from rich.progress import Progress

    from tasks.seed_models.bootstrap import bootstrap as train
    from tasks.seed_models.bootstrap import describe

    with Progress(transient=True) as progress:
        bar = progress.add_task(f"training {name}")

        def follow(event: dict[str, float]) -> None:
            progress.update(bar, completed=event["step"], total=event["total"])

        model = train(name, output, follow)
    typer.echo(describe(model))


@app.command(
    epilog="Example: selfloom evaluate seed:programs --environment word_problems --num 300"
)
def evaluate(
    model: Annotated[str, typer.Argument(help="seed:NAME, a folder, a model id, promoted:RUN.")],
    environment: Annotated[str, typer.Option(help="Whose held-out problems.")] = "word_problems",
    num: Annotated[int, typer.Option(help="Held-out problems.", min=1)] = 300,
    samples: Annotated[int, typer.Option(help="Samples per problem; 0: greedy only.")] = 4,
    warehouse: WarehouseOption = Path("warehouse"),
    set_: SetOption = None,
) -> None:
    """Measure a model on held-out problems: greedy pass@1, pass@k and maj@k with intervals."""
    from flows.evaluate_model import evaluate_flow
    from flows.plans import make_config
    from flows.show import show_evaluation

    values = [f"environment.name={environment}", f"evaluation.num={num}"]
    values += [f"evaluation.num_samples={samples}", *(set_ or [])]
    settings = make_config("lmsi", None, values)
    show_evaluation(warehouse, evaluate_flow(model, settings, str(warehouse)))


@app.command(
    "import-samples",
    epilog="Example: selfloom import-samples model_solutions.jsonl --run gsm8k-import",
)
def import_samples(
    file: Annotated[Path, typer.Argument(help="jsonl, json, csv or parquet.")],
    run: Annotated[str, typer.Option(help="Run to write into.")] = "import",
    prompt: Annotated[str | None, typer.Option(help="Column with the prompt.")] = None,
    completion: Annotated[
        list[str] | None, typer.Option(help="Column with a completion; repeatable.")
    ] = None,
    reference: Annotated[str | None, typer.Option(help="Column with the reference.")] = None,
    model: Annotated[str | None, typer.Option(help="Column that names the model.")] = None,
    labels: Annotated[
        bool, typer.Option(help="Whether references may decide what is trained on.")
    ] = True,
    warehouse: WarehouseOption = Path("warehouse"),
) -> None:
    """Bring samples made elsewhere: answers, verdicts, votes, SFT examples, preference pairs."""
    from flows.show import show_import
    from storage import Warehouse
    from tasks.import_samples import import_samples as import_file
    from tasks.sample_mapping import SampleMapping, guess_mapping

    mapping = guess_mapping(file) if prompt is None or not completion else None
    if mapping is None:
        mapping = SampleMapping(str(prompt), tuple(completion or ()), reference, model)
    house = Warehouse.open(warehouse)
    show_import(house, import_file(house, file, mapping, run=run, allow_references=labels))


@app.command(
    epilog='Example: selfloom sql "SELECT * FROM rounds_overview" --format csv --output rounds.csv'
)
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT over the views; '-' reads stdin.")],
    warehouse: WarehouseOption = Path("warehouse"),
    format: Annotated[str, typer.Option(help="table, csv, json or parquet.")] = "table",
    output: Annotated[Path | None, typer.Option(help="File to write; default: stdout.")] = None,
) -> None:
    """Ask the warehouse in SQL; reads only."""
    from flows.show import show_query

    show_query(warehouse, sys.stdin.read() if query == "-" else query, format, output)


@app.command(epilog="Example: selfloom report --output report.html")
def report(
    warehouse: WarehouseOption = Path("warehouse"),
    run: Annotated[list[str] | None, typer.Option(help="Runs to show; default: all.")] = None,
    output: Annotated[Path | None, typer.Option(help="HTML file to write.")] = None,
) -> None:
    """Write the HTML report of a warehouse and print its table of rounds."""
    from flows.show import show_report

    show_report(warehouse, run, output or warehouse / "reports" / "report.html")


@app.command(epilog="Example: selfloom recipes --settings scpo")
def recipes(
    settings: Annotated[
        str | None, typer.Option(help="Print all settings of this recipe as JSON.")
    ] = None,
) -> None:
    """List the recipes: paper, labels needed, switches."""
    from flows.show import show_recipes

    show_recipes(settings)


@app.command(epilog="Example: selfloom ui --port 4300")
def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 4200,
) -> None:
    """Start the Prefect server with the recipes' deployments: trigger, schedule and watch rounds.

    Whoever reaches the address can run deployments; there is no password unless you set Prefect's.
    """
    from flows.server import run_ui

    run_ui(host, port)


def main() -> None:
    """Run the command; a known error is one message and exit status 1, not a traceback."""
    guard_names()
    quiet_console()
    try:
        app()
    except Exception as error:
        if os.environ.get("SELFLOOM_TRACEBACK"):
            raise
        typer.secho(f"selfloom: {type(error).__name__}: {error}", fg="red", err=True)
        typer.echo("(SELFLOOM_TRACEBACK=1 shows where it happened)", err=True)
        sys.exit(1)
