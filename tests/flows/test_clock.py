"""A schedule on a real server: fires, doesn't overlap itself, goes on after a kill in mid-round."""

import json
import os
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from storage import Warehouse
from tests.flows.conftest import tiny_config
from tests.flows.databases import database
from tests.flows.test_server import (
    RUN_UI,
    Start,
    call,
    descendants,
    free_port,
    is_alive,
    read_until,
    start,
    start_process,
    wait_for_end,
    wait_until,
)

__all__ = ["database", "start"]  # fixtures

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.sandbox]

RUN = "by-the-clock"


class Clock(NamedTuple):
    """The API of a server, and the folder that its runs work in."""

    api: str
    folder: Path

    def schedule(self, *arguments: str) -> None:
        """`selfloom schedule`, in a process of its own."""
        given = ("schedule", "rest_em", "--run", RUN, *arguments)
        with start_process(self.folder, RUN_UI, *given, PREFECT_API_URL=self.api) as process:
            assert process.wait() == 0, process.stdout.read() if process.stdout else ""

    def runs(self) -> list[dict[str, Any]]:
        """The flow runs that the clock started, oldest first; not the ones still to come."""
        _, runs = call(f"{self.api}/flow_runs/filter", {"sort": "EXPECTED_START_TIME_ASC"})
        return [run for run in runs if run["auto_scheduled"] and run["state_type"] != "SCHEDULED"]

    def rounds(self, state: str) -> list[str]:
        """Ids of the rounds in a state."""
        _, runs = call(f"{self.api}/flow_runs/filter", {"sort": "START_TIME_DESC"})
        is_round = [run for run in runs if run["name"].startswith(f"{RUN}-round-")]
        return [str(run["id"]) for run in is_round if run["state_type"] == state]


@pytest.mark.timeout(1800)
def test_a_night_fires_is_not_overlapped_and_goes_on_after_a_kill(
    start: Start, tmp_path: Path, database: dict[str, str]
) -> None:
    port = str(free_port())
    clock = Clock(f"http://127.0.0.1:{port}/api", tmp_path)
    config = tiny_config("rest_em", gate={"alpha": 1.0, "min_gain": -1.0, "non_inferiority": "off"})
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(config.model_dump(mode="json")), encoding="utf-8")
    warehouse = tmp_path / "warehouse"

    process = start(RUN_UI, "ui", "--port", port, **database)
    read_until(process, "being served")
    where = ("--config", str(settings), "--warehouse", str(warehouse))
    clock.schedule("--cron", "* * * * *", "--approval", *where)
    wait_until(lambda: bool(clock.rounds("RUNNING")), "it does not fire", patience_s=600)
    first = clock.runs()[0]["id"]

    family = descendants(process.pid)
    os.killpg(process.pid, signal.SIGKILL)  # server and worker, in the middle of a round
    wait_until(lambda: not any(map(is_alive, family)), "a run outlived its server")
    read_until(start(RUN_UI, "ui", "--port", port, **database), "being served")
    states = {run["id"]: run["state_type"] for run in clock.runs()}
    assert states[first] == "CRASHED"

    # The next minute's run goes on with the same round, which then waits for a person.
    wait_until(lambda: bool(clock.rounds("PAUSED")), "no round goes on", patience_s=900)
    (night,) = [run for run in clock.runs() if run["state_type"] in ("RUNNING", "PAUSED")]

    def later() -> list[str]:
        due = night["expected_start_time"]
        return [run["state_type"] for run in clock.runs() if run["expected_start_time"] > due]

    wait_until(lambda: "CANCELLED" in later(), "the next one is not cancelled", patience_s=600)
    wait_until(lambda: set(later()) == {"CANCELLED"}, "a later run was not cancelled")

    clock.schedule("--off")
    (waiting,) = clock.rounds("PAUSED")
    answer = {"decision": "promote", "by": "Ada", "reason": ""}
    status, _ = call(f"{clock.api}/flow_runs/{waiting}/resume", {"run_input": answer})
    assert status in (200, 201)

    def state() -> str:
        return str(call(f"{clock.api}/flow_runs/{night['id']}")[1]["state_type"])

    wait_for_end(state, patience_s=600)
    assert state() == "COMPLETED"
    house = Warehouse.open(warehouse)
    rounds = house.read("rounds", run=RUN, columns=["round", "gate_verdict"])
    assert rounds.sort_by("round").to_pydict() == {
        "round": [0, 1],
        "gate_verdict": ["none", "promoted"],
    }
