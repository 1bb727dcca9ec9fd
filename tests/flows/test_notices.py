"""Notices: an automation sends what a round emits through a block, here to a server of our own."""

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client

from flows.errors import SettingError
from flows.notices import notify

pytestmark = pytest.mark.prefect

SECRET = "the-address-of-the-hook"


@pytest.fixture
def block(prefect_server: None) -> str:
    CustomWebhookNotificationBlock.register_type_and_schema()
    hook = CustomWebhookNotificationBlock(
        name="ours",
        url="http://127.0.0.1:9/{{key}}",
        json_data={"text": "{{body}}"},
        secrets={"key": SECRET},
    )
    hook.save("ours", overwrite=True)
    return "custom-webhook/ours"


def test_a_block_gets_one_automation_and_a_wrong_name_is_refused(block: str) -> None:
    with pytest.raises(SettingError, match=r"block 'slack-webhook/none': there is none; make it"):
        notify("slack-webhook/none")
    with pytest.raises(SettingError, match="occasion 'lunch': there are promoted"):
        notify(block, ["lunch"])
    for occasions in (["failed"], ["promoted", "stopped"]):
        notify(block, occasions)
    with get_client(sync_client=True) as client:
        (made,) = client.read_automations_by_name(f"selfloom: {block}")
        assert made.trigger.expect == {"selfloom.round.promoted", "selfloom.round.stopped"}  # type: ignore[union-attr]
        assert SECRET not in made.model_dump_json()
        notify(block, [])
        assert client.read_automations_by_name(f"selfloom: {block}") == []
