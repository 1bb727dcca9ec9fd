"""The verbs that keep a warehouse in order: check it, and free room."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.command_options import TABLES, WarehouseOption

if TYPE_CHECKING:
    from storage import Warehouse

keeping = typer.Typer()
MIB = 2**20


@keeping.command(
    rich_help_panel=TABLES,
    epilog="selfloom verify && rsync -a warehouse/ backup:/warehouse/",
)
def verify(warehouse: WarehouseOption = Path("warehouse")) -> None:
    """Check a warehouse: files, shard counts, ids, links between rows, hashes of models and rows.

    Reads everything and changes nothing; the exit status is 1 where something is wrong.
    """
    from flows.show import spinner
    from storage import Warehouse
    from tasks.verify import verify as find_problems

    house = Warehouse.open(warehouse, create=False)
    with spinner(f"checking {house.place}"):
        problems = list(find_problems(house))
    for problem in problems:
        typer.echo(f"{problem.check}: {problem.where}: {problem.detail}")
    typer.echo(f"{len(problems)} problems in {house.place}")
    if problems:
        raise typer.Exit(1)


@keeping.command(
    rich_help_panel=TABLES,
    epilog="selfloom gc\n\nselfloom gc --delete --older-than 0",
)
def gc(
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete it; without this, it is only listed.")
    ] = False,
    older_than: Annotated[
        float, typer.Option(help="Leave alone what changed in the last so many hours.", min=0)
    ] = 24.0,
    warehouse: WarehouseOption = Path("warehouse"),
) -> None:
    """Free room: models, training rows, shards and scratch files that nothing refers to.

    Rows of tables stay, and so does whatever a row names or an unfinished round goes on from.
    """
    from storage import Warehouse
    from storage.housekeeping import delete_garbage, find_garbage

    house = Warehouse.open(warehouse, create=False)
    with ExitStack() as stack:
        if delete:
            _hold_all_runs(house, stack)
        found = find_garbage(house, older_than * 3600)
        for one in found:
            typer.echo(f"{one.num_bytes / MIB:10.1f} MiB  {one.kind}: {one.path} ({one.reason})")
        if delete:
            delete_garbage(house, found)
    total = f"{sum(one.num_bytes for one in found) / MIB:.1f} MiB in {len(found)} places"
    typer.echo(f"deleted {total}" if delete else f"{total}; `selfloom gc --delete` frees them")


def _hold_all_runs(house: Warehouse, stack: ExitStack) -> None:
    from flows.run_lock import hold_run

    scratch = house.root / "scratch"
    for folder in sorted(scratch.iterdir()) if scratch.is_dir() else []:
        stack.enter_context(hold_run(house, folder.name))
