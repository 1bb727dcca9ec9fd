"""Where Prefect's server keeps its records: SQLite, or a PostgreSQL server of our own."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.flows.test_server import free_port, wait_until

USER = "postgres"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Variables of a server with one of the two; all that uses it runs with both."""
    if request.param == "sqlite":
        yield {}
        return
    with postgresql(tmp_path_factory.mktemp("postgresql")) as url:
        yield {"PREFECT_SERVER_DATABASE_CONNECTION_URL": url}


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """The URL of an empty database; skips where Debian's package is missing."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL here: scripts/system-packages postgresql")
    programs = found[-1].parent
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
