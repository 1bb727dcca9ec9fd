"""Where no container can be had, the reason is named with its fix, and nothing else is tried."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import SandboxUnavailableError, SandboxUsageError
from sandbox.backends.engine import connect, find_endpoint, open_socket, shares_processes
from sandbox.image import build_image
from sandbox.limits import Limits
from sandbox.opening import choose_backend


def listening(path: Path) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    return server


@pytest.mark.parametrize("name", ["docker:", "containers", "dockerd"])
def test_names_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(SandboxUsageError, match="docker, docker:RUNTIME"):
        choose_backend(name, Limits())


def test_without_an_engine_the_places_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nonexistent")
    monkeypatch.setattr(Path, "exists", lambda path: False)
    with pytest.raises(SandboxUnavailableError, match=r"docker\.sock and /nonexistent.*install"):
        find_endpoint()


def test_a_socket_that_nobody_listens_on_is_named(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{tmp_path}/gone.sock")
        with pytest.raises(SandboxUnavailableError, match=r"gone\.sock cannot be .*start it"):
            choose_backend("docker", Limits())
        with pytest.raises(SandboxUnavailableError, match=r"gone\.sock"):
            build_image()


def test_a_socket_that_is_closed_to_this_user_says_who_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = listening(tmp_path / "s")
    (tmp_path / "s").chmod(0)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/s")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() != "root" or folder == tmp_path:
            folder.chmod(folder.stat().st_mode | 0o011)
    if root := os.geteuid() == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(SandboxUnavailableError, match=r"Permission denied.*usermod -aG docker"):
            open_socket(find_endpoint())
    finally:
        if root:
            os.seteuid(0)
        server.close()


@pytest.mark.parametrize("url", ["ssh://me@host", "tcp://host", "npipe:////./pipe/engine", "what"])
def test_kinds_of_addresses_that_cells_cannot_use_are_refused(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)
    with pytest.raises(SandboxUnavailableError, match="ssh -NL"):
        find_endpoint()


def test_an_engine_that_does_not_answer_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sandbox.backends import engine

    monkeypatch.setattr(engine, "_PROBE_TIMEOUT_S", 0.2)
    server = listening(tmp_path / "s")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/s")
    with pytest.raises(SandboxUnavailableError, match="timed out"):
        connect(0.2)
    server.close()


def test_process_numbers_are_shared_with_a_neighbor_and_not_over_a_network(tmp_path: Path) -> None:
    server = listening(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as near:
        near.connect(str(tmp_path / "s"))
        assert shares_processes(near)
    server.close()
    with socket.create_server(("127.0.0.1", 0)) as far, socket.socket() as client:
        client.connect(far.getsockname())
        assert not shares_processes(client)


def test_a_machine_without_an_engine_does_not_load_the_sdk() -> None:
    source = """
import sys
from sandbox import SandboxUnavailableError
from sandbox.limits import Limits
from sandbox.opening import choose_backend
try:
    choose_backend("docker", Limits())
except SandboxUnavailableError:
    print({"docker", "requests"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
