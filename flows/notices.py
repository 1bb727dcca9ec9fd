"""Notices to people: a Prefect automation that sends what happened through a notification block.

The block (Slack, Teams, Discord, e-mail, a webhook, ...) is made on Prefect's page under Blocks and
holds the address and its secret; nothing of it is in a warehouse or a log.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound

from flows.errors import SettingError
from flows.events import PREFIX
from flows.server import TAG

_EVENTS = {
    "promoted": f"{PREFIX}.promoted",
    "rejected": f"{PREFIX}.rejected",
    "stopped": f"{PREFIX}.stopped",
    "waiting": f"{PREFIX}.waiting",
    "failed": "prefect.flow-run.Failed",
    "crashed": "prefect.flow-run.Crashed",
}
OCCASIONS = tuple(_EVENTS)
USUAL = ("promoted", "stopped", "waiting", "failed", "crashed")

_TEXT = (
    "{% if event.payload.headline %}{{ event.payload.headline }}"
    "{% else %}{{ event.resource.name }}: {{ event.payload.validated_state.name }}. "
    "{{ event.payload.validated_state.message }}{% endif %}"
)


def notify(block: str, occasions: Sequence[str] = USUAL) -> None:
    """Send notices through a block from now on, in the place of the block's earlier ones.

    Args:
        block: `TYPE/NAME` of a notification block, e.g. `slack-webhook/team`.
        occasions: What to send, of `OCCASIONS`; none: nothing any more.

    Raises:
        SettingError: There is no such block or occasion.
    """
    unknown = [one for one in occasions if one not in _EVENTS]
    if unknown:
        raise SettingError(f"occasion {unknown[0]!r}: there are {', '.join(OCCASIONS)}")
    name = f"selfloom: {block}"
    with get_client(sync_client=True) as client:
        block_id = _find_block(client, block)
        for earlier in client.read_automations_by_name(name):
            client.delete_automation(earlier.id)
        if not occasions:
            return
        automation = AutomationCore(
            name=name,
            description=f"Made by `selfloom notify {block}`",
            trigger=EventTrigger(
                expect={_EVENTS[one] for one in occasions},
                match_related=ResourceSpecification(
                    {
                        "prefect.resource.id": f"prefect.tag.{TAG}",
                        "prefect.resource.role": "tag",
                    }
                ),
                posture=Posture.Reactive,
                threshold=1,
            ),
            actions=[SendNotification(block_document_id=block_id, subject="Selfloom", body=_TEXT)],
        )
        client.create_automation(automation)


def _find_block(client: SyncPrefectClient, block: str) -> UUID:
    kind, _, name = block.partition("/")
    try:
        return client.read_block_document_by_name(name, kind).id
    except ObjectNotFound as error:
        raise SettingError(
            f"block {block!r}: there is none; make it on Prefect's page under Blocks, and name it "
            "as TYPE/NAME, e.g. slack-webhook/team"
        ) from error
