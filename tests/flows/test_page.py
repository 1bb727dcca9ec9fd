"""Prefect's page in a real Chromium on a real server: forms, a password, and what a person does."""

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Page

from flows.recipes import RECIPES
from flows.recipes.schedule import flatten
from storage import Warehouse
from tests.flows.browser import choose, chromium_page, fill, fill_run, log_in, submit, tick
from tests.flows.databases import database
from tests.flows.recipes.conftest import SMALL
from tests.flows.test_server import (
    RUN_UI,
    call,
    descendants,
    free_port,
    is_alive,
    read_until,
    start_process,
    wait_for_end,
    wait_until,
)

__all__ = ["database"]  # a fixture

pytestmark = [pytest.mark.slow, pytest.mark.prefect]

PASSWORD = "ada:a-pass-word"
VARIABLES = {"PREFECT_SERVER_API_AUTH_STRING": PASSWORD, "PREFECT_API_AUTH_STRING": PASSWORD}


class Served(NamedTuple):
    """A `selfloom ui` that is up: where, and its folder."""

    root: str
    folder: Path

    def get(self, path: str) -> Any:
        status, content = call(f"{self.root}/api{path}", password=PASSWORD)
        assert status == 200, content
        return content

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        return call(f"{self.root}/api{path}", body, PASSWORD)

    def state(self, run: str) -> str:
        return str(self.get(f"/flow_runs/{run}")["state_type"])

    def wait_for(self, run: str) -> None:
        wait_for_end(lambda: self.state(run), patience_s=900)

    def runs(self) -> dict[str, str]:
        """The state of every flow run by its name."""
        return {run["name"]: run["state_type"] for run in self.post("/flow_runs/filter", {})[1]}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, database: dict[str, str]) -> Iterator[Served]:
    """One `selfloom ui` with a password; in the end Ctrl-C has to end all of it."""
    folder = tmp_path_factory.mktemp("page")
    port = str(free_port())
    variables = {**VARIABLES, **database}
    with start_process(folder, RUN_UI, "ui", "--port", port, **variables) as process:
        assert f"Prefect UI: http://127.0.0.1:{port}" in read_until(process, "being served")
        assert bool(list(folder.rglob("prefect.db"))) is not bool(database)
        yield Served(f"http://127.0.0.1:{port}", folder)
        family = descendants(process.pid)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        process.wait()
        assert process.returncode == 0
        told = process.stdout.read() if process.stdout else ""
        assert "stopped" in told and PASSWORD not in told
        wait_until(lambda: not any(map(is_alive, family)), "something outlived the page")


def test_bad_values_and_a_missing_password_are_refused(served: Served) -> None:
    assert call(f"{served.root}/api/deployments/filter", {})[0] == 401
    assert call(f"{served.root}/api/deployments/filter", {}, "ada:guess")[0] == 401
    _, deployments = served.post("/deployments/filter", {})
    names = {deployment["name"]: deployment["id"] for deployment in deployments}
    assert names.keys() == {*RECIPES, "any_recipe", "evaluate_flow"}
    bad_values: list[dict[str, Any]] = [
        {"config": {"prompts": {"num": "soon"}}},
        {"config": {"nothing": 1}},
        {"config": {"environment": {"name": "gsm9k"}}},
        {"loop": {"rounds": 0}},
    ]
    for parameters in bad_values:
        create = f"/deployments/{names['scpo']}/create_flow_run"
        assert served.post(create, {"parameters": parameters})[0] == 409
    limits = served.post("/v2/concurrency_limits/filter", {})[1]
    assert {"selfloom-device", "selfloom-sandbox"} <= {limit["name"] for limit in limits}


def test_a_run_is_filled_in_and_submitted_on_the_page(served: Served) -> None:
    any_recipe = served.get("/deployments/name/self_training/any_recipe")["id"]
    url = f"{served.root}/deployments/deployment/{any_recipe}/run"
    with chromium_page() as page:
        log_in(page, url, PASSWORD)
        fill_run(page, "scpo", "word_problems", {"sampling.nn": 4})
        fill(page, "Run", "typo")
        fill(page, "Rounds", 2)
        tick(page, "Approval")
        submit(page)
        page.wait_for_url(re.compile("tab=Runs"))
    _, (run,) = served.post("/flow_runs/filter", {})
    assert run["parameters"]["recipe"] == "scpo"
    assert run["parameters"]["environment"] == "word_problems"
    assert run["parameters"]["settings"] == {"sampling.nn": 4}
    loop = run["parameters"]["loop"]
    assert (loop["run"], loop["rounds"], loop["approval"]) == ("typo", 2, True)
    served.wait_for(run["id"])  # or the deployment would refuse the next test's run
    state = served.get(f"/flow_runs/{run['id']}")["state"]
    assert state["type"] == "FAILED" and "sampling.nn: there is no such field" in state["message"]


SETTINGS = flatten(SMALL) | {"gate.min_gain": -1.0, "gate.min_problems": 1}


def start_run(page: Page, served: Served, run: str, rounds: int, *, approval: bool) -> str:
    """Start a run of star on the page; returns the id of its flow run."""
    any_recipe = served.get("/deployments/name/self_training/any_recipe")["id"]
    page.goto(f"{served.root}/deployments/deployment/{any_recipe}/run")
    fill_run(page, "star", "word_problems", SETTINGS)
    fill(page, "Run", run)
    fill(page, "Rounds", rounds)
    fill(page, "Warehouse", served.folder / "warehouse")
    if approval:
        tick(page, "Approval")
    submit(page)
    page.wait_for_url(re.compile("tab=Runs"))
    _, found = served.post("/flow_runs/filter", {"sort": "START_TIME_DESC"})
    (mine,) = [one for one in found if one["parameters"].get("loop", {}).get("run") == run]
    return str(mine["id"])


class Hook(NamedTuple):
    """A web server of our own that notices are sent to."""

    url: str
    texts: list[str]


@pytest.fixture
def hook() -> Iterator[Hook]:
    texts: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            texts.append(json.loads(body)["text"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Stay silent."""

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Hook(f"http://127.0.0.1:{server.server_port}", texts)
        server.shutdown()


MAKE_BLOCK = """
import sys
from prefect.blocks.notifications import CustomWebhookNotificationBlock as Block
Block.register_type_and_schema()
Block(name="pager", url=sys.argv[1], json_data={"text": "{{body}}"}).save("pager")
"""


def notify(served: Served, hook: Hook) -> None:
    """What a person does for notices: make a block, and `selfloom notify`."""
    variables = {**VARIABLES, "PREFECT_API_URL": f"{served.root}/api"}
    for code, arguments in (
        (MAKE_BLOCK, (hook.url,)),
        (RUN_UI, ("notify", "custom-webhook/pager")),
    ):
        with start_process(served.folder, code, *arguments, **variables) as process:
            assert process.wait() == 0, process.stdout.read() if process.stdout else ""


@pytest.mark.slow
@pytest.mark.sandbox
@pytest.mark.timeout(1800)
def test_a_promotion_is_approved_and_its_artifacts_are_read_on_the_page(
    served: Served, hook: Hook
) -> None:
    notify(served, hook)
    with chromium_page() as page:
        log_in(page, served.root, PASSWORD)
        run = start_run(page, served, "asked", 1, approval=True)
        waits = {"asked-round-1": "PAUSED"}
        wait_until(lambda: waits.items() <= served.runs().items(), "nothing waits", patience_s=900)
        _, found = served.post("/flow_runs/filter", {})
        (paused,) = [one["id"] for one in found if one["name"] == "asked-round-1"]
        page.goto(f"{served.root}/runs/flow-run/{paused}")
        page.get_by_role("button", name="Resume").click()
        page.get_by_text("at least the required gain").wait_for()
        choose(page, "Decision", "promote")
        fill(page, "By", "Ada")
        fill(page, "Reason", "it is better")
        submit(page)
        served.wait_for(run)
        open_artifact(page, served, "gate")
        page.get_by_text("approved by Ada: it is better").first.wait_for()
        open_artifact(page, served, "rounds")
        page.get_by_text("promoted").first.wait_for()
    assert served.state(run) == "COMPLETED"
    house = Warehouse.open(served.folder / "warehouse")
    (row,) = house.read("rounds", run="asked", round=1).to_pylist()
    assert row["gate_verdict"] == "promoted"
    assert row["gate_reasons"][0] == "The promotion was approved by Ada: it is better"
    wait_until(lambda: len(hook.texts) >= 2, f"only {hook.texts} was sent")
    waits_for_a_person, was_promoted = hook.texts
    assert "asked" in waits_for_a_person and "Waiting for approval" in waits_for_a_person
    assert "asked" in was_promoted and "promoted" in was_promoted


@pytest.mark.slow
@pytest.mark.sandbox
@pytest.mark.timeout(1800)
def test_a_run_is_cancelled_and_retried_on_the_page(served: Served) -> None:
    with chromium_page() as page:
        log_in(page, served.root, PASSWORD)
        run = start_run(page, served, "broken-off", 1, approval=False)
        is_drawing = {"broken-off-round-1": "RUNNING"}
        wait_until(
            lambda: is_drawing.items() <= served.runs().items(), "no round 1", patience_s=900
        )
        page.goto(f"{served.root}/runs/flow-run/{run}")
        press_twice(page, "Cancel")
        served.wait_for(run)
        assert served.state(run) == "CANCELLED"
        wait_until(lambda: not workers_of(served), "an engine or a trainer outlived the run")
        house = Warehouse.open(served.folder / "warehouse")
        assert house.read("rounds", run="broken-off").column("round").to_pylist() == [0]
        press_twice(page, "Retry")
        wait_until(lambda: served.runs().get("broken-off-round-1") != "CANCELLED", "no retry")
        served.wait_for(run)
    assert served.state(run) == "COMPLETED"
    assert house.read("rounds", run="broken-off").column("round").to_pylist() == [0, 1]


def open_artifact(page: Page, served: Served, key: str) -> None:
    """Open the newest artifact of a key by its link in the list of all of the key's."""
    page.goto(f"{served.root}/artifacts/key/{key}")
    page.get_by_role("link", name=re.compile("^[0-9a-f]{8}$")).first.click()


def press_twice(page: Page, name: str) -> None:
    """Press a button of the page, and the one that asks whether it is meant."""
    page.get_by_role("button", name=name, exact=True).first.click()
    meant = re.compile(f"Confirm|{name}")
    page.locator(".p-modal__footer").get_by_role("button", name=meant).click()


def workers_of(served: Served) -> list[str]:
    """Engines and trainers that work in the warehouse."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            mine = str(served.folder / "prefect").encode() in path.read_bytes()
            command = path.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if mine and b"worker" in command:
            found.append(command.decode())
    return found
