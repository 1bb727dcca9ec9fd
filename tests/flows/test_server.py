"""Prefect servers of our own: refused addresses, and that nothing of them outlives their owner."""

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flows import server
from flows.errors import ServerStartError
from flows.server import check_port, ensure_api, is_up
from storage import Warehouse
from tests.flows.conftest import tiny_config

PROJECT = Path(__file__).parents[2]
PATIENCE_S = 120  # until a test gives up waiting; none is judged by its time

Start = Callable[..., subprocess.Popen[str]]


@contextlib.contextmanager
def start_process(
    folder: Path, code: str, *arguments: str, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """Python code in a group of its own, with a Prefect home there; killed at the end."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": str(folder / "prefect"), "PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code, *arguments],
        cwd=folder,
        env=environment | variables,
        stdin=subprocess.PIPE,  # stays open, whatever this process reads from
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts Python code as `start_process` does, any number of times."""
    with contextlib.ExitStack() as stack:

        def run(code: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
            return stack.enter_context(start_process(tmp_path, code, *arguments, **variables))

        yield run


def wait_until(condition: Callable[[], bool], what: str, *, patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def wait_for_end(state: Callable[[], str], *, patience_s: float = PATIENCE_S) -> None:
    """Wait until a flow run is in a state that it stays in."""
    ended = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
    wait_until(lambda: state() in ended, "the run does not end", patience_s=patience_s)


def read_until(process: subprocess.Popen[str], word: str) -> str:
    """What the process printed, up to the line with the word."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if word in line:
            return "".join(lines)
    pytest.fail(f"no {word!r} in: {''.join(lines)}")


def descendants(pid: int) -> set[int]:
    """The process and all that it started, whatever their groups."""
    parents = {}
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rpartition(")")[2].split()[1]
            )
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def call(url: str, body: dict[str, Any] | None = None, password: str = "") -> tuple[int, Any]:
    """Status and content of a GET, or of a POST where there is a body."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    if password:
        headers["Authorization"] = f"Basic {base64.b64encode(password.encode()).decode()}"
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_a_port_that_is_taken_is_named_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ServerStartError, match=rf"127\.0\.0\.1:{port}: another program.*--port"
        ):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid"])
def test_a_host_that_is_not_this_machine_is_named(host: str) -> None:
    with pytest.raises(ServerStartError, match=f"can't listen on {host}:4200"):
        check_port(host, 4200)


def test_an_address_without_a_server_is_not_up() -> None:
    assert not is_up(f"http://127.0.0.1:{free_port()}/api")
    assert not is_up("http://no-such-host.invalid/api")


def test_a_configured_server_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    api_url = f"http://127.0.0.1:{free_port()}/api"
    monkeypatch.setattr(server, "configured_api", lambda: api_url)
    with pytest.raises(ServerStartError, match=f"PREFECT_API_URL is {api_url}, but no Prefect"):
        ensure_api()


ENSURE_API = """
from flows.settings import set_defaults
set_defaults()
from flows.server import ensure_api
print("up:", ensure_api(), ensure_api())
input()
"""


@pytest.mark.prefect
def test_a_private_server_ends_with_its_process_however_it_ends(start: Start) -> None:
    process = start(ENSURE_API)
    first, second = read_until(process, "up:").split()[-2:]
    assert first == second and is_up(first)
    family = descendants(process.pid)
    assert len(family) == 2
    process.kill()
    wait_until(lambda: not any(map(is_alive, family)), "the server outlived its process")


@pytest.mark.prefect
def test_a_private_server_that_is_killed_comes_back_at_its_address(start: Start) -> None:
    process = start(ENSURE_API)
    address = read_until(process, "up:").split()[-1]
    (killed,) = descendants(process.pid) - {process.pid}
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: not is_alive(killed), "it is still there")
    wait_until(lambda: is_up(address), "the server did not come back")
    assert "status -9; starting it again" in read_until(process, "starting it again")
    family = descendants(process.pid)
    assert len(family) == 2
    process.communicate("\n")
    assert process.returncode == 0
    assert not any(map(is_alive, family))


RUN_UI = "from flows.cli import main; main()"


@pytest.mark.slow
@pytest.mark.prefect
@pytest.mark.sandbox
def test_a_run_from_the_page_completes_with_its_artifacts_and_a_cut_off_one_is_crashed(
    start: Start, tmp_path: Path
) -> None:
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    process = start(RUN_UI, "ui", "--port", str(port))
    read_until(process, "being served")
    _, deployment = call(f"{api}/deployments/name/self_training/rest_em")

    def trigger(run: str) -> str:
        config = tiny_config("rest_em").model_dump(mode="json")
        loop = {"run": run, "rounds": 1, "warehouse": str(tmp_path / "warehouse")}
        body = {"parameters": {"config": config, "loop": loop}, "state": {"type": "SCHEDULED"}}
        _, created = call(f"{api}/deployments/{deployment['id']}/create_flow_run", body)
        return str(created["id"])

    def state_of(flow_run: str) -> str:
        return str(call(f"{api}/flow_runs/{flow_run}")[1]["state_type"])

    first = trigger("first")
    wait_for_end(lambda: state_of(first))
    assert state_of(first) == "COMPLETED"
    assert call(f"{api}/flow_runs/{first}")[1]["name"] == "first"
    keys = {artifact["key"] for artifact in call(f"{api}/artifacts/filter", {})[1]}
    assert {"rounds", "gate", "sample-rows"} <= keys
    rounds = Warehouse.open(tmp_path / "warehouse").read("rounds", run="first")
    assert rounds.column("round").to_pylist() == [0, 1]

    second = trigger("second")
    wait_until(lambda: state_of(second) == "RUNNING", "the second run does not start")
    family = descendants(process.pid)
    process.kill()
    wait_until(lambda: not any(map(is_alive, family)), "a run outlived the page")
    read_until(start(RUN_UI, "ui", "--port", str(port)), "being served")
    assert state_of(second) == "CRASHED"
