"""`selfloom ui`: a Prefect server with the deployments served beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

START_TIMEOUT_S = 180.0  # a first start migrates the database


class ServerStartError(RuntimeError):
    """The Prefect server did not come up."""


def is_up(api_url: str) -> bool:
    """Whether a Prefect API answers there."""
    try:
        with urllib.request.urlopen(f"{api_url}/health", timeout=2) as answer:
            return int(answer.status) == 200
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def prefect_server(host: str, port: int) -> Iterator[str]:
    """The address of a Prefect API: the one that answers there, or one started here and ended.

    Args:
        host: Address to listen on.
        port: Port to listen on.

    Raises:
        ServerStartError: The server ended, or did not answer in time.
    """
    api_url = f"http://{host}:{port}/api"
    if is_up(api_url):
        yield api_url
        return
    command = [sys.executable, "-m", "prefect", "server", "start"]
    process = subprocess.Popen(
        [*command, "--host", host, "--port", str(port)], stdout=subprocess.DEVNULL
    )
    try:
        _wait(process, api_url)
        yield api_url
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait(process: subprocess.Popen[bytes], api_url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not is_up(api_url):
        if process.poll() is not None:
            raise ServerStartError(
                f"the Prefect server ended with status {process.returncode}; is the port taken? "
                "Choose another with --port, or run `prefect server start` to see why"
            )
        if time.monotonic() > deadline:
            raise ServerStartError(f"the Prefect server did not answer at {api_url} in time")
        time.sleep(0.5)


def run_ui(host: str, port: int) -> None:
    """Start the server, say where it is, and serve the deployments until stopped."""
    with prefect_server(host, port) as api_url:
        # Prefect reads its settings when it is imported.
        os.environ["PREFECT_API_URL"] = api_url
        print(f"Prefect UI: http://{host}:{port}  (Ctrl-C stops it)", flush=True)
        from flows.deployments import serve_all

        serve_all()
