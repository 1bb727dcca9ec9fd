"""What happens in a run as Prefect events, which automations and other flows can wait for.

A round that ends emits `selfloom.round.promoted`, `.rejected` or `.stopped`, and one that asks a
person `selfloom.round.waiting`. The resource is the run, `selfloom.run.<run>`.
"""

from __future__ import annotations

from typing import Any

from prefect.events import emit_event
from prefect.runtime import flow_run

from flows.server import TAG

PREFIX = "selfloom.round"


def emit_round_event(what: str, run: str, number: int, headline: str, **payload: Any) -> None:
    """Emit one event of a round.

    Args:
        what: `promoted`, `rejected`, `stopped` or `waiting`.
        run: Name of the run.
        number: Number of the round.
        headline: What happened, in one line.
        payload: More values, as JSON.
    """
    # The tag of the deployments: one automation can match rounds and flow runs by it.
    related = [{"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"}]
    if flow_run.id:
        own = f"prefect.flow-run.{flow_run.id}"
        related.append({"prefect.resource.id": own, "prefect.resource.role": "flow-run"})
    emit_event(
        event=f"{PREFIX}.{what}",
        resource={
            "prefect.resource.id": f"selfloom.run.{run}",
            "prefect.resource.name": run,
            "selfloom.round": str(number),
        },
        related=related,
        payload={"run": run, "round": number, "headline": headline, **payload},
    )
