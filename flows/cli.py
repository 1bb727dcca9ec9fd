"""The `selfloom` command. Each verb is a thin layer over a flow or a function of `tasks`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.command_options import (
    LOOPS,
    PLACE,
    SERVICE,
    ConfigOption,
    SetOption,
    WarehouseOption,
)
from flows.ending import report_ending
from flows.house_commands import keeping
from flows.model_commands import models
from flows.recipe_commands import recipes_app
from flows.sandbox_commands import sandbox_app
from flows.server import DEFAULT_PORT
from flows.service_commands import service
from flows.settings import guard_names, set_defaults
from flows.table_commands import tables
from tasks.environments import ENVIRONMENTS

app = typer.Typer(
    name="selfloom",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Self-training of language models in rounds: sample, verify, vote, train, evaluate, and "
    "promote only what is really better. All data are tables that SQL can read.",
    epilog="Start with `selfloom demo`. `selfloom COMMAND --help` has examples.\n\n"
    "SELFLOOM_TRACEBACK=1 shows where an error comes from.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(version("selfloom"))
        except PackageNotFoundError:
            typer.echo("not installed; run from the source tree")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Options of the command itself; its help is that of `app`."""


@app.command(
    rich_help_panel=LOOPS,
    epilog="selfloom demo --warehouse my-demo\n\nselfloom demo --collapse",
)
def demo(
    warehouse: WarehouseOption = Path("warehouse"),
    collapse: Annotated[
        bool,
        typer.Option("--collapse", help="Run the loop without safeguards: a monitor stops it."),
    ] = False,
) -> None:
    """Self-train the shipped seed models in two loops and show that they got better.

    Takes ten minutes on two cores. The same command again continues an interrupted demo; another
    warehouse starts a fresh one.
    """
    from flows.launch import run_demo
    from flows.show import show_result

    show_result(warehouse, run_demo(warehouse, collapse=collapse))


@app.command(
    rich_help_panel=LOOPS,
    epilog="selfloom run rest_em --rounds 2 --set sampling.n=8 --set training.steps=100\n\n"
    "selfloom run lmsi --base-model ./my-model --environment gsm8k \\\n\n"
    "    --set environment.options.path=gsm8k/train.jsonl\n\n"
    "selfloom run scpo --base-model promoted:my-run --config scpo.json --run second",
)
def run(
    recipe: Annotated[
        str,
        typer.Argument(
            help="Name of a recipe (see `selfloom recipes`), or one of your own: a .py file, or "
            "module:RECIPE."
        ),
    ],
    rounds: Annotated[
        int, typer.Option(help="Rounds in total, finished ones included.", min=1, max=1000)
    ] = 3,
    base_model: Annotated[
        str,
        typer.Option(
            help="Model to start from: seed:programs, seed:copy, seed:skills, a folder, a model id "
            "of the warehouse, or promoted:RUN."
        ),
    ] = "seed:programs",
    approval: Annotated[
        bool, typer.Option("--approval", help="Wait for a person before a model is promoted.")
    ] = False,
    environment: Annotated[
        str | None,
        typer.Option(
            help=f"Where problems come from: {', '.join(ENVIRONMENTS)}, module:Class.",
            show_default="the recipe's",
        ),
    ] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    run: Annotated[
        str,
        typer.Option(
            help="Name of the run: letters, digits, '.', '_', '-'.",
            show_default="recipe and a hash of its settings",
            rich_help_panel=PLACE,
        ),
    ] = "",
    warehouse: WarehouseOption = Path("warehouse"),
) -> None:
    """Run a recipe's rounds; the same command again continues what was interrupted."""
    from flows.launch import run_recipe
    from flows.plans import make_config
    from flows.recipes.config import LoopSpec
    from flows.show import show_result

    named = [*([f"environment.name={environment}"] if environment else []), *(set_ or [])]
    settings = make_config(recipe, config, named)
    loop = LoopSpec(
        run=run,
        rounds=rounds,
        base_model=base_model,
        warehouse=str(warehouse),
        approval=approval,
    )
    show_result(warehouse, [run_recipe(recipe, settings, loop)])


@app.command(
    rich_help_panel=LOOPS,
    epilog="selfloom evaluate seed:programs --num 300\n\n"
    "selfloom evaluate promoted:my-run --environment gsm8k --samples 0 \\\n\n"
    "    --set environment.options.path=gsm8k/test.jsonl",
)
def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="seed:programs, seed:copy, seed:skills, a folder, a model id, or promoted:RUN."
        ),
    ],
    environment: Annotated[
        str,
        typer.Option(help=f"Whose problems: {', '.join(ENVIRONMENTS)}, module:Class."),
    ] = "word_problems",
    num: Annotated[int, typer.Option(help="Number of held-out problems.", min=1)] = 300,
    samples: Annotated[
        int,
        typer.Option(
            help="Samples per problem for pass@k and maj@k; 0: greedy only.", min=0, max=256
        ),
    ] = 4,
    set_: SetOption = None,
    warehouse: WarehouseOption = Path("warehouse"),
) -> None:
    """Measure a model on held-out problems: greedy pass@1, pass@k and maj@k with intervals."""
    from flows.launch import run_evaluation
    from flows.plans import make_config
    from flows.show import show_evaluation

    values = [f"environment.name={environment}", f"evaluation.num={num}"]
    values += [f"evaluation.num_samples={samples}", *(set_ or [])]
    settings = make_config("lmsi", None, values)
    show_evaluation(warehouse, run_evaluation(model, settings, warehouse))


@app.command(
    rich_help_panel=LOOPS,
    epilog="selfloom bootstrap programs --output ./programs",
)
def bootstrap(
    name: Annotated[str, typer.Argument(help="programs, copy or skills.")],
    output: Annotated[Path, typer.Option(help="Folder of the new model; must be free.")],
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="0 gives the shipped model.")] = 0,
) -> None:
    """Train a seed model from scratch: the command that made the shipped ones."""
    from flows.launch import run_bootstrap
    from flows.show import show_model

    show_model(run_bootstrap(name, output, seed))


@app.command(
    rich_help_panel=SERVICE,
    epilog="selfloom ui --port 4300",
)
def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = DEFAULT_PORT,
) -> None:
    """Start the Prefect server with the recipes' deployments: trigger, schedule and watch rounds.

    Runs in the foreground; Ctrl-C ends the server and every run that it started. Where
    PREFECT_API_URL names a server, that one is used.

    Whoever reaches the address can run deployments, and there is no password: keep it on this
    machine, or set PREFECT_SERVER_API_AUTH_STRING and PREFECT_API_AUTH_STRING to user:password.
    """
    from flows.server import run_ui

    run_ui(host, port)


app.add_typer(models)
app.add_typer(tables)
app.add_typer(keeping)
app.add_typer(service)
app.add_typer(recipes_app, name="recipes", rich_help_panel=SERVICE)
app.add_typer(sandbox_app, name="sandbox", rich_help_panel=SERVICE)


def main() -> None:
    """Run the command; see `flows.ending` for what a user sees when it fails."""
    with report_ending(sys.argv[1:]):
        guard_names()
        set_defaults()
        app()
