"""The verbs about models: promote one by hand, go back, and compare two."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.command_options import LOOPS, WarehouseOption

if TYPE_CHECKING:
    from tasks.promotion import Decision

models = typer.Typer()
RunArgument = Annotated[str, typer.Argument(help="Name of the run.")]
ReasonOption = Annotated[str, typer.Option(help="Why; kept in the table `decisions`.")]
ModelArgument = Annotated[
    str, typer.Argument(help="seed:NAME, a folder, a model id, or promoted:RUN.")
]


@models.command(
    rich_help_panel=LOOPS,
    epilog='selfloom promote my-run 2 --reason "the lost suite does not matter to us"',
)
def promote(
    run: RunArgument,
    model: Annotated[str, typer.Argument(help="Round whose model it is, or the model's id.")],
    reason: ReasonOption,
    warehouse: WarehouseOption = Path("warehouse"),
) -> None:
    """Promote a model of a run by hand; the round keeps the gate's verdict.

    The run's next round starts from it. Who, when and why is a row of `decisions`.
    """
    from flows.run_lock import hold_run
    from storage import Warehouse
    from tasks.promotion import promote as decide

    house = Warehouse.open(warehouse, create=False)
    with hold_run(house, run):
        _show(decide(house, run, model, reason))


@models.command(
    rich_help_panel=LOOPS,
    epilog='selfloom rollback my-run --reason "answers in production got longer"',
)
def rollback(
    run: RunArgument, reason: ReasonOption, warehouse: WarehouseOption = Path("warehouse")
) -> None:
    """Go back to the model that was promoted before; again for the one before that."""
    from flows.run_lock import hold_run
    from storage import Warehouse
    from tasks.promotion import rollback as decide

    house = Warehouse.open(warehouse, create=False)
    with hold_run(house, run):
        _show(decide(house, run, reason))


@models.command(
    rich_help_panel=LOOPS,
    epilog="selfloom compare my-run-base promoted:my-run\n\n"
    "selfloom compare my-run-r1 my-run-r3 --samples 4 --json",
)
def compare(
    first: ModelArgument,
    second: ModelArgument,
    samples: Annotated[
        int, typer.Option(help="Count so many samples per problem; 0: the greedy answer.", min=0)
    ] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    warehouse: WarehouseOption = Path("warehouse"),
) -> None:
    """Compare two models on the problems that both answered: a paired exact test per suite.

    Only recorded evaluations count; nothing is generated.
    """
    from flows.show_models import show_comparison

    show_comparison(warehouse, first, second, samples or None, as_json=json)


def _show(decision: Decision) -> None:
    typer.echo(
        f"{decision.run}: {decision.model_id} is promoted (before: {decision.previous_model_id})"
    )
    typer.echo('History:  selfloom sql "FROM promotions"')
