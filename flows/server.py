"""Prefect servers that end with the process that started them, however it ends.

Prefect's own temporary server belongs to the terminal's foreground group: Ctrl-C ends it before the
flow can report to it, and the flow hangs; after a kill -9 of the flow it stays behind. Ours run in
a session of their own and watch their parent, which starts them again where they are killed.
"""

from __future__ import annotations

import atexit
import errno
import os
import select
import signal
import socket
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Literal
from urllib.parse import urlsplit

from flows.errors import ServerStartError
from tasks.child_process import Child, end_child, read_tail, start_child

DEFAULT_PORT = 4200
START_TIMEOUT_S = 180.0  # a first start migrates the database
RESTART_PAUSE_S = 1.0
STOP_TIMEOUT_S = 10.0  # for recording the task runs that were handed in
SERVED_BY = "SELFLOOM_SERVED_BY"  # environment variable with the process id of `selfloom ui`
TAG = "selfloom"  # of the deployments
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}

Kind = Literal["private", "lasting"]


def is_up(api_url: str) -> bool:
    """Whether a Prefect API answers there."""
    try:
        with urllib.request.urlopen(f"{api_url}/health", timeout=2) as answer:
            return bool(answer.read(16).strip() == b"true")
    except (urllib.error.URLError, OSError, ValueError):
        return False


def ensure_api() -> str:
    """The address of the Prefect API that the flows of this process report to.

    That is the one in Prefect's settings (`PREFECT_API_URL` or the active profile) where there is
    one; else a private server that starts now and ends with this process.

    Raises:
        ServerStartError: The private server did not come up, or nothing answers at the address.
    """
    known = configured_api()
    if known is not None:
        if _is_local(known) and not is_up(known):
            raise ServerStartError(
                f"PREFECT_API_URL is {known}, but no Prefect server answers there; start it, or "
                "unset PREFECT_API_URL (and `prefect config unset PREFECT_API_URL`) to run without"
            )
        return known
    stack = ExitStack()
    # Registered before Prefect's own threads are: at exit they hand in what they hold first.
    atexit.register(stack.close)
    return stack.enter_context(prefect_server("127.0.0.1", _free_port(), "private"))


def running_api() -> str:
    """The address of a Prefect server that is there: the configured one, or `selfloom ui` here.

    Raises:
        ServerStartError: None answers; says what to do.
    """
    configured = configured_api()
    api_url = configured or f"http://127.0.0.1:{DEFAULT_PORT}/api"
    if not is_up(api_url):
        raise ServerStartError(
            f"no Prefect server answers at {api_url}; start `selfloom ui`, or set PREFECT_API_URL "
            "to the address of yours"
        )
    if configured is None:
        _use(api_url)
    return api_url


def configured_api() -> str | None:
    """The address of a Prefect API in Prefect's settings, None where there is none."""
    from prefect.settings import get_current_settings

    url = get_current_settings().api.url
    return str(url).rstrip("/") if url else None


@contextmanager
def prefect_server(host: str, port: int, kind: Kind) -> Iterator[str]:
    """Start a Prefect server, make it the one of this process, and end it with the block.

    Args:
        host: Address to listen on.
        port: Port to listen on.
        kind: `private` is for one run: no page, no schedules. `lasting` has both.

    Yields:
        The address of its API.

    Raises:
        ServerStartError: The port is taken, or the server ended or did not answer in time.
    """
    check_port(host, port)
    api_url = f"http://{WILDCARDS.get(host, host)}:{port}/api"
    with tempfile.TemporaryFile() as log:

        def begin() -> Child:
            arguments = [kind, host, str(port)]
            return start_child("flows.server_process", arguments, 1, stderr=log, talk=False)

        server = _KeptUp(begin)
        try:
            _wait(server.process, api_url, log)
            _use(api_url)
            server.keep_up()
            yield api_url
        finally:
            server.close()


class _KeptUp:
    """A server that is started again where it ends untold: it was killed, or memory was short.

    What runs on it asks again for minutes, and so goes on.
    """

    def __init__(self, begin: Callable[[], Child]) -> None:
        self._begin = begin
        self._closing = threading.Event()
        self._turn = threading.Lock()
        self.process = begin()

    def keep_up(self) -> None:
        threading.Thread(target=self._watch, name="keep-server-up", daemon=True).start()

    def _watch(self) -> None:
        while True:
            status = self.process.wait()
            # A server that can't start any more is not started without a pause.
            if self._closing.wait(RESTART_PAUSE_S):
                return
            with self._turn:
                if self._closing.is_set():
                    return
                print(
                    f"the Prefect server ended with status {status}; starting it again",
                    file=sys.stderr,
                    flush=True,
                )
                end_child(self.process)
                self.process = self._begin()

    def close(self) -> None:
        with self._turn:
            self._closing.set()
        self.process.terminate()
        end_child(self.process, grace_s=STOP_TIMEOUT_S)


def _use(api_url: str) -> None:
    """Point this process and its children at an API; Prefect has read its settings already."""
    from prefect.context import refresh_global_settings_context

    os.environ["PREFECT_API_URL"] = api_url
    refresh_global_settings_context()


def check_port(host: str, port: int) -> None:
    """Refuse an address that nothing can listen on.

    Raises:
        ServerStartError: It is in use, or not one of this machine; says what to do.
    """
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(address[0], address[1]) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address[4])
    except OSError as error:
        reason, advice = error.strerror, "choose another with --port or --host"
        if error.errno == errno.EADDRINUSE:
            api_url = f"http://{WILDCARDS.get(host, host)}:{port}/api"
            reason = "another program listens there"
            if is_up(api_url):
                reason = "a Prefect server listens there already"
                advice += f", or serve on that one: PREFECT_API_URL={api_url} selfloom ui"
        raise ServerStartError(f"can't listen on {host}:{port}: {reason}; {advice}") from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_local(api_url: str) -> bool:
    return urlsplit(api_url).hostname in ("127.0.0.1", "localhost", "::1")


def _wait(process: Child, api_url: str, log: IO[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not is_up(api_url):
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            what = f"ended with status {process.returncode}" if ended else "does not answer"
            raise ServerStartError(
                f"the Prefect server for {api_url} {what}; its data is in PREFECT_HOME "
                f"({os.environ.get('PREFECT_HOME', '~/.prefect')}). Its last lines:\n"
                f"{read_tail(log, 12)}"
            )
        time.sleep(0.1)


def run_ui(host: str, port: int) -> None:
    """Serve the deployments until stopped, on a server that is started here if none is set.

    Args:
        host: Address to listen on.
        port: Port to listen on.

    Raises:
        ServerStartError: The server did not come up.
    """
    api_url = configured_api()
    if api_url is not None and (is_up(api_url) or not _is_local(api_url)):
        _serve(api_url)
        print("stopped serving")
        return
    check_port(host, port)
    print("starting the Prefect server (the first time takes half a minute)", flush=True)
    with prefect_server(host, port, "lasting") as own:
        from flows.leftovers import end_leftovers

        end_leftovers(TAG)
        _serve(own)
        end_leftovers(TAG)
    print("stopped; runs that were going on continue with Retry, or with the same parameters")


def _serve(api_url: str) -> None:
    os.environ[SERVED_BY] = str(os.getpid())
    from flows.deployments import serve_all
    from flows.slots import make_limits

    make_limits()
    print(f"Prefect UI: {api_url.removesuffix('/api')}  (Ctrl-C stops it)", flush=True)
    serve_all()


def end_with_server() -> None:
    """In the process of a served run: end as soon as the `selfloom ui` that started it is gone."""
    parent_pid = int(os.environ.get(SERVED_BY, "0"))
    if parent_pid == os.getppid():  # else this is the server itself, or no served run
        threading.Thread(target=_end_with, args=[parent_pid], daemon=True).start()


def _end_with(parent_pid: int) -> None:
    parent = os.pidfd_open(parent_pid)
    while os.getppid() == parent_pid:
        select.select([parent], [], [])
    # Its engine, trainer and sandbox watch this process in the same way.
    os.kill(os.getpid(), signal.SIGKILL)
