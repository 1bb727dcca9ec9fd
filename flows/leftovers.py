"""Flow runs whose process is gone: told to Prefect, which would show them as running for ever.

A run that is killed, or ended together with its server, cannot report its end. Its deployment
would then refuse every new run, because one seems to be going on.
"""

from __future__ import annotations

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Crashed

_MESSAGE = "the process of this run is gone; Retry continues where it stopped"
_GOING_ON = FlowRunFilterState(
    type=FlowRunFilterStateType(
        any_=[StateType.RUNNING, StateType.PENDING, StateType.PAUSED, StateType.CANCELLING]
    )
)


def end_leftovers(tag: str) -> int:
    """Mark the runs of our deployments that seem to go on as crashed; returns their number.

    Only for whoever knows that no process of these runs is alive: the one that starts the server
    before it serves, and again after it stopped serving.

    Args:
        tag: Tag of the deployments.
    """
    deployments = DeploymentFilter(tags=DeploymentFilterTags(all_=[tag]))
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=_GOING_ON), deployment_filter=deployments
        )
        rounds = _rounds(client, runs)
        for run in (*rounds, *runs):
            client.set_flow_run_state(run.id, Crashed(message=_MESSAGE))
    return len(runs)


def _rounds(client: SyncPrefectClient, runs: list[FlowRun]) -> list[FlowRun]:
    if not runs:
        return []
    parents = FlowRunFilterParentFlowRunId(any_=[run.id for run in runs])
    return client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=_GOING_ON, parent_flow_run_id=parents)
    )
