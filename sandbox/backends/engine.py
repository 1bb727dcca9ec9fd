"""Finds the container engine and talks to it; every call has a timeout, every failure a reason."""

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sandbox.errors import SandboxUnavailableError

_PROBE_TIMEOUT_S = 3.0
BUILD_COMMAND = "selfloom sandbox build-image"


class Endpoint(NamedTuple):
    """Where an engine listens.

    Attributes:
        url: As the SDK takes it.
        address: Path of a local socket, or host and port.
    """

    url: str
    address: str | tuple[str, int]


def find_endpoint() -> Endpoint:
    """Return where the engine should be: `DOCKER_HOST`, or a socket in one of the usual places.

    Raises:
        SandboxUnavailableError: There is none, or it is of a kind that cells cannot be reached by.
    """
    url = os.environ.get("DOCKER_HOST", "")
    if not url:
        places = [Path("/var/run/docker.sock")]
        if runtime := os.environ.get("XDG_RUNTIME_DIR"):
            places.append(Path(runtime, "docker.sock"))
        found = next((place for place in places if place.exists()), None)
        if found is None:
            raise SandboxUnavailableError(
                f"no container engine: {' and '.join(map(str, places))} "
                f"{'does' if len(places) == 1 else 'do'} not exist; install and start Docker "
                "(Debian: scripts/system-packages docker), or set DOCKER_HOST"
            )
        url = f"unix://{found}"
    kind, _, rest = url.partition("://")
    if kind == "unix":
        return Endpoint(url, rest)
    host, _, port = rest.rstrip("/").rpartition(":")
    if kind == "tcp" and host and port.isdigit() and not os.environ.get("DOCKER_TLS_VERIFY"):
        return Endpoint(url, (host.strip("[]"), int(port)))
    raise SandboxUnavailableError(
        f"DOCKER_HOST={url!r}: cells are reached through unix:// or plain tcp:// only; forward the "
        "engine's socket, for example: ssh -NL /tmp/engine.sock:/var/run/docker.sock HOST, and set "
        "DOCKER_HOST=unix:///tmp/engine.sock"
    )


def open_socket(endpoint: Endpoint, timeout_s: float = _PROBE_TIMEOUT_S) -> socket.socket:
    """Return a connected socket.

    Raises:
        SandboxUnavailableError: Nobody listens, or we may not; says what to do.
    """
    try:
        if isinstance(endpoint.address, tuple):
            return socket.create_connection(endpoint.address, timeout_s)
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.socket(socket.AF_UNIX))
            connection.settimeout(timeout_s)
            connection.connect(endpoint.address)
            stack.pop_all()
            return connection
    except OSError as error:
        raise SandboxUnavailableError(_explain(endpoint, error)) from error


def _explain(endpoint: Endpoint, error: OSError) -> str:
    text = f"the container engine at {endpoint.url} cannot be reached ({error.strerror or error})"
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"{text}; let this user in: sudo usermod -aG docker $USER, then log in again; "
            "or run as root, or set DOCKER_HOST to an engine of your own"
        )
    return f"{text}; start it, for example: systemctl start docker; or set DOCKER_HOST"


def shares_processes(connection: socket.socket) -> bool:
    """Whether the engine behind a connection numbers processes as we do.

    Only then do its containers' process ids mean anything here.
    """
    if connection.family != socket.AF_UNIX:
        return False
    size = struct.calcsize("3i")
    pid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[0]
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines() if pid else ():
            if line.startswith("NSpid:"):
                return line.split()[1:] == [str(pid)]
    return False


def _always_timed(request: Callable[..., Any], timeout_s: float) -> Callable[..., Any]:
    # Some calls of the SDK, attaching among them, set no timeout at all.
    def timed(*arguments: object, **options: object) -> Any:
        options["timeout"] = options.get("timeout") or timeout_s
        return request(*arguments, **options)

    return timed


def connect(timeout_s: float, endpoint: Endpoint | None = None) -> Any:
    """Return a low-level client of the SDK (`docker.APIClient`); use it as a context manager.

    Args:
        timeout_s: Longest wait for an answer of the engine.
        endpoint: Where it listens, None to look for it.

    Raises:
        SandboxUnavailableError: No engine answers; says what to do.
    """
    endpoint = endpoint or find_endpoint()
    open_socket(endpoint).close()
    import docker  # A third of a second, which a machine without an engine does not pay.

    with explained("the container engine"):
        client = docker.APIClient(base_url=endpoint.url, version="auto", timeout=_PROBE_TIMEOUT_S)
    # The SDK would keep an idle connection for each of the last 25 addresses that it asked for, and
    # (7.2) ignores the option for fewer.
    client.headers["Connection"] = "close"
    client.timeout = timeout_s
    client.request = _always_timed(client.request, timeout_s)
    return client


def attach(client: Any, endpoint: Endpoint, container_id: str) -> socket.socket:
    """Return a connection to the standard streams of a container that was not started yet.

    The SDK's own keeps a second handle to the socket until some garbage collection, so that it
    stays open however often it is closed.

    Raises:
        SandboxUnavailableError: The engine does not answer, or does not attach.
    """
    connection = open_socket(endpoint, client.timeout)
    try:
        path = f"/v{client.api_version}/containers/{container_id}/attach"
        connection.sendall(
            f"POST {path}?stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: engine\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n".encode()
        )
        answer = b""
        # Nothing follows the empty line before the container runs.
        while not answer.endswith(b"\r\n\r\n"):
            part = connection.recv(4096)
            if not part or len(answer) > 1 << 16:
                break
            answer += part
        status = answer.split(b"\r\n")[0].split(b" ")
        # The engine says 101, Podman's older ones 200.
        if len(status) < 2 or status[1] not in (b"101", b"200"):
            raise SandboxUnavailableError(f"attaching to a container: {answer[:500]!r}")
        return connection
    except BaseException as error:
        connection.close()
        if isinstance(error, OSError):
            raise SandboxUnavailableError(f"attaching to a container: {error}") from error
        raise


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the SDK's errors into ours, named after what was done."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except (DockerException, RequestException) as error:
        reason = getattr(error, "explanation", None) or str(error)
        raise SandboxUnavailableError(f"{what}: {reason}") from error


def image_id(client: Any, tag: str) -> str | None:
    """Return the id (`sha256:…`) of a local image, None when there is none of this name."""
    from docker.errors import ImageNotFound

    with explained(f"looking for the image {tag}"):
        try:
            return str(client.inspect_image(tag)["Id"])
        except ImageNotFound:
            return None


def require_image(client: Any, tag: str) -> str:
    """Return the id of the cell image.

    Raises:
        SandboxUnavailableError: The engine does not have it; names the command that builds it.
    """
    found = image_id(client, tag)
    if found is None:
        raise SandboxUnavailableError(
            f"the container engine has no image {tag}; build it once: {BUILD_COMMAND}"
        )
    return found
