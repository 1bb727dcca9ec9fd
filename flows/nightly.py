"""Schedules of loops: cron with a timezone, kept by the Prefect server beside the deployment.

A night's run adds rounds to those that are done. A second one while one is going on is cancelled by
the deployment's limit, and one that comes too late, because nothing served when it was due, does
nothing: missed nights are not caught up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound
from pydantic import ValidationError

from flows.errors import SettingError
from flows.recipes.config import LoopSpec, RecipeConfig

_FLOW = "self_training"


@dataclass(frozen=True)
class Night:
    """One schedule: of which recipe, its name (the run's), when, and whether it is on."""

    recipe: str
    run: str
    cron: str
    timezone: str
    active: bool


def add_schedule(recipe: str, config: RecipeConfig, loop: LoopSpec, cron: str, zone: str) -> None:
    """Put a loop on a schedule, in the place of the run's earlier one.

    Args:
        recipe: Name of a served recipe.
        config: Its settings.
        loop: The loop; `run` names the schedule.
        cron: When, as a cron expression.
        zone: Time zone of it, e.g. Europe/Berlin.

    Raises:
        SettingError: The cron expression or the zone can't be read, or nothing serves the recipe.
    """
    try:
        schedule = CronSchedule(cron=cron, timezone=zone)
    except ValidationError as error:
        reasons = "; ".join(item["msg"].removeprefix("Value error, ") for item in error.errors())
        raise SettingError(
            f"schedule cron={cron!r}, timezone={zone!r}: {reasons}; expected e.g. '0 2 * * *' and "
            "Europe/Berlin"
        ) from error
    parameters = {"config": config.model_dump(mode="json"), "loop": loop.model_dump(mode="json")}
    with get_client(sync_client=True) as client:
        deployment = _find(client, recipe)
        _remove(client, deployment, loop.run)
        created = DeploymentScheduleCreate(schedule=schedule, parameters=parameters, slug=loop.run)
        client.create_deployment_schedules(deployment.id, [created])


def remove_schedule(recipe: str, run: str) -> bool:
    """Take a run off its schedule; returns whether it had one.

    Raises:
        SettingError: Nothing serves the recipe.
    """
    with get_client(sync_client=True) as client:
        return _remove(client, _find(client, recipe), run)


def read_schedules() -> list[Night]:
    """Every cron schedule of the served loops, by recipe and run."""
    with get_client(sync_client=True) as client:
        found = [
            Night(one.name, schedule.slug or "", cron.cron, cron.timezone or "UTC", schedule.active)
            for one in client.read_deployments()
            for schedule in one.schedules
            if isinstance(cron := schedule.schedule, CronSchedule)
        ]
    return sorted(found, key=lambda night: (night.recipe, night.run))


def lateness(loop: LoopSpec) -> str | None:
    """Why the surrounding flow run is too late to do anything; None where it isn't."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if loop.max_late_min is None or run is None or not run.auto_scheduled:
        return None
    if run.run_count > 1 or run.expected_start_time is None:  # a person's Retry is no catching up
        return None
    late_min = (datetime.now(UTC) - run.expected_start_time).total_seconds() / 60
    if late_min <= loop.max_late_min:
        return None
    return (
        f"was due {late_min:.0f} minutes ago, when nothing served; it is not caught up "
        f"(loop.max_late_min={loop.max_late_min:g})"
    )


def _remove(client: SyncPrefectClient, deployment: DeploymentResponse, run: str) -> bool:
    found = [one for one in deployment.schedules if one.slug == run]
    for one in found:
        client.delete_deployment_schedule(deployment.id, one.id)
    return bool(found)


def _find(client: SyncPrefectClient, recipe: str) -> DeploymentResponse:
    try:
        return client.read_deployment_by_name(f"{_FLOW}/{recipe}")
    except ObjectNotFound as error:
        raise SettingError(
            f"recipe {recipe!r}: the Prefect server has no deployment {_FLOW}/{recipe}; start "
            "`selfloom ui` once, which serves all recipes"
        ) from error
