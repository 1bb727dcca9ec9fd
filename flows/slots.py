"""What runs share on a machine, as Prefect's concurrency limits: change them on its page.

`selfloom ui` makes the limits where they are missing. Where none exists, as in the private server
of `selfloom run`, nothing waits.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectNotFound

from sandbox import Runner

DEVICE = "selfloom-device"
SANDBOX = "selfloom-sandbox"
# The shortest that Prefect has: so long a killed run keeps its slot.
_LEASE_S = 60


def device_slot() -> AbstractContextManager[None]:
    """Wait for a device; a round holds one while it samples, trains and evaluates."""
    return _slot(DEVICE)


def sandbox_slot(box: Runner | None) -> AbstractContextManager[None]:
    """Wait for a sandbox; a shard holds one, of `sandbox.workers` programs, while it is checked.

    Args:
        box: The sandbox; None where nothing is run, and nothing waited for.
    """
    return nullcontext() if box is None else _slot(SANDBOX)


def _slot(name: str) -> AbstractContextManager[None]:
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            return nullcontext()
    # Work of hours must not end because the server was away for a moment.
    return concurrency(name, lease_duration=_LEASE_S, raise_on_lease_renewal_failure=False)


def make_limits() -> None:
    """Make the limits that are not there yet: one round per GPU, one sandbox per two cores."""
    num_gpus = len([path for path in Path("/dev").glob("nvidia*") if path.name[6:].isdigit()])
    limits = {DEVICE: max(1, num_gpus), SANDBOX: max(1, (os.cpu_count() or 1) // 2)}
    with get_client(sync_client=True) as client:
        for name, limit in limits.items():
            try:
                client.read_global_concurrency_limit_by_name(name)
            except ObjectNotFound:
                client.create_global_concurrency_limit(
                    GlobalConcurrencyLimitCreate(name=name, limit=limit)
                )
