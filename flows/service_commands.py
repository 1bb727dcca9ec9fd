"""Commands that talk to a Prefect server which is running: schedules and notices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.command_options import SERVICE, ConfigOption, SetOption, WarehouseOption

service = typer.Typer()
NIGHT = "0 2 * * *"
LATE_MIN = 60.0


@service.command(
    rich_help_panel=SERVICE,
    epilog='selfloom schedule rest_em --cron "30 1 * * *" --timezone Europe/Berlin\n\n'
    "selfloom schedule                         (lists them)\n\n"
    "selfloom schedule rest_em --off",
)
def schedule(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe.", show_default=False)] = "",
    run: Annotated[str, typer.Option(help="Name of the run; every night adds to it.")] = "nightly",
    cron: Annotated[str, typer.Option(help="When: minute hour day month weekday.")] = NIGHT,
    timezone: Annotated[str, typer.Option(help="Time zone of --cron.")] = "UTC",
    more: Annotated[int, typer.Option(help="Rounds per night.", min=1, max=1000)] = 1,
    base_model: Annotated[str, typer.Option(help="Model of round 0.")] = "seed:programs",
    approval: Annotated[
        bool, typer.Option("--approval", help="Wait for a person before a model is promoted.")
    ] = False,
    max_late_min: Annotated[
        float, typer.Option(help="A run that would start later than this, in minutes, is skipped.")
    ] = LATE_MIN,
    off: Annotated[bool, typer.Option("--off", help="Take the run off its schedule.")] = False,
    config: ConfigOption = None,
    set_: SetOption = None,
    warehouse: WarehouseOption = Path("warehouse"),
) -> None:
    """Run rounds by the clock on a served deployment; without a recipe: list what is scheduled.

    Needs `selfloom ui`, or another server in PREFECT_API_URL. Runs don't overlap, and missed ones
    are not caught up.
    """
    from flows.nightly import add_schedule, read_schedules, remove_schedule
    from flows.plans import make_config
    from flows.recipes.config import LoopSpec
    from flows.server import running_api

    if recipe and not off:
        settings = make_config(recipe, config, set_ or [])
    running_api()
    if not recipe:
        for night in read_schedules():
            state = "" if night.active else "  (paused)"
            typer.echo(f"{night.recipe}  {night.run}  {night.cron}  {night.timezone}{state}")
        return
    if off:
        had_one = remove_schedule(recipe, run)
        typer.echo(f"run {run!r} of {recipe}: {'off its schedule' if had_one else 'had none'}")
        return
    where = str(warehouse)
    loop = LoopSpec(
        run=run,
        more=more,
        base_model=base_model,
        # A worker has another working folder; s3:// is none.
        warehouse=where if where.startswith("s3:") else str(warehouse.absolute()),
        approval=approval,
        max_late_min=max_late_min,
    )
    add_schedule(recipe, settings, loop, cron, timezone)
    typer.echo(f"run {run!r} of {recipe}: {more} more round(s) at {cron} {timezone}")


@service.command(
    rich_help_panel=SERVICE,
    epilog="selfloom notify slack-webhook/team\n\n"
    "selfloom notify custom-webhook/pager --on failed --on crashed\n\n"
    "selfloom notify slack-webhook/team --off",
)
def notify(
    block: Annotated[
        str, typer.Argument(help="TYPE/NAME of a block, made on Prefect's page under Blocks.")
    ],
    on: Annotated[
        list[str] | None,
        typer.Option(
            help="promoted, rejected, stopped, waiting, failed, crashed; repeatable.",
            show_default="all but rejected",
        ),
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Send nothing through it any more.")] = False,
) -> None:
    """Tell people of promotions, stops and failures: Slack, e-mail, webhooks, as Prefect has them.

    Needs `selfloom ui`, or another server in PREFECT_API_URL.
    """
    from flows.server import running_api

    running_api()
    from flows.notices import USUAL
    from flows.notices import notify as make_notices

    chosen = () if off else tuple(on or USUAL)
    make_notices(block, chosen)
    typer.echo(f"{block}: {', '.join(chosen) or 'nothing any more'}")
