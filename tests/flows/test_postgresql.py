"""Prefect's server on PostgreSQL, by one setting: a round runs, is recorded and scheduled there."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import Warehouse
from tests.flows.conftest import tiny_config
from tests.flows.test_server import (
    RUN_UI,
    call,
    free_port,
    read_until,
    start_process,
    wait_for_end,
    wait_until,
)

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.sandbox]

USER = "postgres"


@pytest.fixture
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty database of a server of its own; Debian's package brings the programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL here: scripts/system-packages postgresql")
    programs, folder = found[-1].parent, tmp_path_factory.mktemp("postgresql")
    as_user: list[str] = []
    if os.getuid() == 0:  # it refuses to run as root
        user = pwd.getpwnam(USER)
        as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        folder = Path("/tmp") / folder.name  # the folders above pytest's are root's alone
        folder.mkdir()
        os.chown(folder, user.pw_uid, user.pw_gid)
    port = free_port()
    data = folder / "data"
    options = ["-k", str(folder), "-p", str(port), "-c", "listen_addresses=127.0.0.1"]
    create = [*as_user, str(programs / "initdb"), "-A", "trust", "-U", USER, str(data)]
    subprocess.run(create, check=True, stdout=subprocess.DEVNULL, cwd="/")
    serve = [*as_user, str(programs / "postgres"), "-D", str(data), *options]
    with subprocess.Popen(serve, cwd="/", stderr=subprocess.DEVNULL) as server:
        try:
            ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            wait_until(lambda: subprocess.call(ready) == 0, "PostgreSQL does not start")
            yield f"postgresql+asyncpg://{USER}@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            server.wait()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(900)
def test_a_round_runs_on_a_server_with_postgresql(database: str, tmp_path: Path) -> None:
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    setting = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database}
    with start_process(tmp_path, RUN_UI, "ui", "--port", str(port), **setting) as process:
        read_until(process, "being served")
        assert not list(tmp_path.rglob("prefect.db"))
        _, deployment = call(f"{api}/deployments/name/self_training/rest_em")
        config = tiny_config("rest_em").model_dump(mode="json")
        loop = {"run": "first", "rounds": 1, "warehouse": str(tmp_path / "warehouse")}
        body = {"parameters": {"config": config, "loop": loop}, "state": {"type": "SCHEDULED"}}
        _, created = call(f"{api}/deployments/{deployment['id']}/create_flow_run", body)

        def state() -> str:
            return str(call(f"{api}/flow_runs/{created['id']}")[1]["state_type"])

        wait_for_end(state, patience_s=600)
        assert state() == "COMPLETED"
        keys = {artifact["key"] for artifact in call(f"{api}/artifacts/filter", {})[1]}
        assert {"rounds", "gate"} <= keys
    rounds = Warehouse.open(tmp_path / "warehouse").read("rounds", run="first")
    assert rounds.column("round").to_pylist() == [0, 1]
