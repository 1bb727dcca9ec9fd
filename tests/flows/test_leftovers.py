"""Runs without a process: crashed in Prefect's eyes, so that their deployment takes new ones."""

from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.states import Running, Scheduled

from flows.leftovers import end_leftovers

pytestmark = pytest.mark.prefect


@flow
def work() -> None:
    """What is deployed."""


def deploy(client: SyncPrefectClient, name: str, tag: str) -> UUID:
    flow_id = client.create_flow(work)
    return client.create_deployment(flow_id, name, tags=[tag], entrypoint="none.work")


def test_runs_of_ours_that_seem_to_go_on_are_crashed_and_no_others(prefect_server: None) -> None:
    with get_client(sync_client=True) as client:
        ours, others = deploy(client, "ours", "leftover"), deploy(client, "others", "other")
        going_on = client.create_flow_run_from_deployment(ours, state=Running())
        waiting = client.create_flow_run_from_deployment(ours, state=Scheduled())
        foreign = client.create_flow_run_from_deployment(others, state=Running())
        assert end_leftovers("leftover") == 1
        assert end_leftovers("leftover") == 0
        states = [client.read_flow_run(run.id).state for run in (going_on, waiting, foreign)]
    assert [state.type for state in states if state] == [
        StateType.CRASHED,
        StateType.SCHEDULED,
        StateType.RUNNING,
    ]
    assert states[0] and "Retry continues" in str(states[0].message)
