"""Schedules of loops: what the server keeps, and that a night adds rounds and is not caught up."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from prefect.client.orchestration import get_client

from flows import nightly, self_training
from flows.deployments import deployments
from flows.errors import SettingError
from flows.nightly import Night, add_schedule, lateness, read_schedules, remove_schedule
from flows.recipes.config import LoopSpec
from flows.server import TAG
from flows.training_round import RoundResult
from tests.flows.conftest import TinyLoop, run_loop, tiny_config

LOOP = LoopSpec(run="nights", more=1, max_late_min=60)


@pytest.mark.prefect
def test_a_schedule_replaces_the_runs_earlier_one_and_survives_serving_again(
    prefect_server: None,
) -> None:
    (served,) = [one for one in deployments() if one.name == "lmsi"]
    with pytest.raises(SettingError, match="no deployment self_training/lmsi; start `selfloom ui`"):
        add_schedule("lmsi", tiny_config("lmsi"), LOOP, "0 2 * * *", "UTC")
    served.apply()
    with pytest.raises(SettingError, match=r"cron='soon'.*expected e.g. '0 2"):
        add_schedule("lmsi", tiny_config("lmsi"), LOOP, "soon", "UTC")
    with pytest.raises(SettingError, match="timezone='Europe/Bielefeld'"):
        add_schedule("lmsi", tiny_config("lmsi"), LOOP, "0 2 * * *", "Europe/Bielefeld")
    for cron in ("0 2 * * *", "30 1 * * *"):
        add_schedule("lmsi", tiny_config("lmsi"), LOOP, cron, "Europe/Berlin")
    served.apply()  # as every start of `selfloom ui` does
    night = Night("lmsi", "nights", "30 1 * * *", "Europe/Berlin", True)
    assert read_schedules() == [night]
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("self_training/lmsi")
    assert TAG in deployment.tags and deployment.global_concurrency_limit
    (schedule,) = deployment.schedules
    assert LoopSpec.model_validate(schedule.parameters["loop"]) == LOOP
    config = type(tiny_config("lmsi")).model_validate(schedule.parameters["config"])
    assert config == tiny_config("lmsi")
    assert remove_schedule("lmsi", "nights") and not remove_schedule("lmsi", "nights")
    assert read_schedules() == []


@pytest.mark.prefect
@pytest.mark.sandbox
def test_a_night_starts_only_the_rounds_that_are_to_be_done(
    promoted: TinyLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers: list[object] = []

    def note(*arguments: object) -> RoundResult:
        numbers.append(arguments[3])
        return promoted.result.rounds[1]

    monkeypatch.setattr(self_training, "training_round", note)
    house = str(promoted.copy(tmp_path))
    loop = promoted.loop.model_copy(update={"warehouse": house, "more": 2})
    run_loop(promoted.recipe, promoted.config, loop)
    assert numbers == [2, 3]


@pytest.mark.parametrize(
    ("minutes", "limit", "auto", "count", "is_late"),
    [
        (90, 60.0, True, 1, True),
        (30, 60.0, True, 1, False),
        (90, None, True, 1, False),
        (90, 60.0, False, 1, False),  # a person started it
        (90, 60.0, True, 2, False),  # a person's Retry
    ],
)
def test_only_a_scheduled_run_is_too_late(
    minutes: int,
    limit: float | None,
    auto: bool,
    count: int,
    is_late: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    due = datetime.now(UTC) - timedelta(minutes=minutes)
    run = SimpleNamespace(auto_scheduled=auto, run_count=count, expected_start_time=due)
    context = SimpleNamespace(get=lambda: SimpleNamespace(flow_run=run))
    monkeypatch.setattr(nightly, "FlowRunContext", context)
    reason = lateness(LOOP.model_copy(update={"max_late_min": limit}))
    assert (reason is not None) == is_late
    assert reason is None or "90 minutes ago" in reason
