"""A promotion that waits for a person: the form, what is recorded, and what nobody can answer."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun

from flows import approval
from flows.self_training import LoopResult
from storage import Warehouse
from tests.flows.conftest import TinyLoop, run_loop

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.sandbox]

PATIENCE_S = 120  # until the test gives up waiting; it is not judged by its time
PAUSED = FlowRunFilter.model_validate({"state": {"type": {"any_": ["PAUSED"]}}})


def waiting_run(client: SyncPrefectClient) -> FlowRun:
    deadline = time.monotonic() + PATIENCE_S
    while not (runs := client.read_flow_runs(flow_run_filter=PAUSED)):
        assert time.monotonic() < deadline, "no run waits"
        time.sleep(0.2)
    (run,) = runs
    return run


def test_a_refused_promotion_keeps_the_incumbent_and_says_who_refused_and_why(
    promoted: TinyLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approval, "_POLL_S", 1)
    house = Warehouse.open(promoted.copy(tmp_path))
    for table in ("rounds", "models"):  # what a round writes after the gate
        for part in house.parts(table, run="tiny", round=1):
            part.path.unlink()
    changes: dict[str, Any] = {"warehouse": str(house.root), "approval": True}
    loop = promoted.loop.model_copy(update=changes)
    results: list[LoopResult] = []

    def work() -> None:
        results.append(run_loop(promoted.recipe, promoted.config, loop))

    worker = threading.Thread(target=work)
    worker.start()
    with get_client(sync_client=True) as client:
        run = waiting_run(client)
        assert run.name == "tiny-round-1"
        nameless = client.resume_flow_run(run.id, run_input={"decision": "refuse", "by": ""})
        assert "field 'by'" in str(nameless.details)
        unknown = client.resume_flow_run(run.id, run_input={"decision": "maybe", "by": "Ada"})
        assert "'maybe' is not one of" in str(unknown.details)
        answer = {"decision": "refuse", "by": "Ada", "reason": "too early"}
        client.resume_flow_run(run.id, run_input=answer)
    worker.join()
    (result,) = results
    assert result.model_id == "tiny-base" and result.rounds[1].verdict == "rejected"
    assert result.rounds[1].reasons[0] == "The promotion was refused by Ada: too early"
    with house.connect() as con:
        ((verdict, kept),) = con.execute(
            "SELECT gate_verdict, metrics->'$.approval' FROM rounds WHERE round = 1"
        ).fetchall()
        ((status,),) = con.execute("SELECT status FROM models WHERE round = 1").fetchall()
    assert verdict == status == "rejected"
    assert '"by":"Ada"' in kept and '"at":"2' in kept
