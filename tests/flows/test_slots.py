"""What runs share: a slot is held only where programs run and somebody made the limit."""

from collections.abc import Iterator
from typing import cast

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from flows.slots import DEVICE, SANDBOX, device_slot, make_limits, sandbox_slot
from sandbox import Runner

pytestmark = pytest.mark.prefect
BOX = cast(Runner, object())


def in_use(name: str) -> int | None:
    """Held slots of a limit; None where there is no such limit."""
    with get_client(sync_client=True) as client:
        try:
            return client.read_global_concurrency_limit_by_name(name).active_slots
        except ObjectNotFound:
            return None


@pytest.fixture
def limits(prefect_server: None) -> Iterator[None]:
    """The limits, for this test only: other tests' flows share the server."""
    make_limits()
    yield
    with get_client(sync_client=True) as client:
        for name in (DEVICE, SANDBOX):
            client.delete_global_concurrency_limit_by_name(name)


def test_nothing_is_waited_for_where_no_limit_is(prefect_server: None) -> None:
    with device_slot(), sandbox_slot(BOX):
        assert in_use(DEVICE) is in_use(SANDBOX) is None


def test_a_slot_is_held_while_programs_run(limits: None) -> None:
    with sandbox_slot(None):
        assert in_use(SANDBOX) == 0
    with sandbox_slot(BOX):
        assert (in_use(SANDBOX), in_use(DEVICE)) == (1, 0)
    with device_slot():
        assert (in_use(SANDBOX), in_use(DEVICE)) == (0, 1)
    assert in_use(DEVICE) == 0


def test_limits_that_somebody_changed_stay(limits: None) -> None:
    with get_client(sync_client=True) as client:
        client.delete_global_concurrency_limit_by_name(DEVICE)
        before = client.read_global_concurrency_limit_by_name(SANDBOX)
        make_limits()
        assert client.read_global_concurrency_limit_by_name(SANDBOX).id == before.id
    assert in_use(DEVICE) == 0
