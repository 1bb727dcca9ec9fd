"""The `docker` backend: one warm, locked-down container per cell, its first process the zygote."""

import threading
import time
from collections.abc import Callable
from typing import Any

from sandbox.backends.attachment import Attachment
from sandbox.backends.cgroups import Counters, Usage, find_counters
from sandbox.backends.container_options import (
    OWNER_LABEL,
    container_config,
    host_config,
    is_orphan,
    isolation_of,
)
from sandbox.backends.engine import (
    attach,
    connect,
    explained,
    find_endpoint,
    open_socket,
    require_image,
    shares_processes,
)
from sandbox.backends.process_one import PROGRAM_UID
from sandbox.environment import Surroundings
from sandbox.errors import SandboxUnavailableError
from sandbox.image.tags import image_tag
from sandbox.limits import Limits

_CALL_TIMEOUT_S = 20.0
# A removal that fails is tried again for this long.
_PATIENCE_S = 10.0
_RETRY_S = 0.25
# Where the engine maps user ids, only the first 65,536 exist in a container.
_MAPPED_UID = 60_000


class ContainerCell:
    """One container, from its creation to its removal, both of which happen in a thread.

    Args:
        launch: Makes, attaches and starts a container, calling its second argument with the id
            as soon as there is one; returns its counters.
        remove: Removes the container of an id; returns whether it is gone.
    """

    def __init__(
        self,
        launch: Callable[[Attachment, Callable[[str], None]], Counters | None],
        remove: Callable[[str], bool],
    ) -> None:
        self.container_id: str | None = None
        self.died = False
        """Whether it had ended by itself when it was told to."""
        self._launch = launch
        self._remove = remove
        self._channel = Attachment()
        self._counters: Counters | None = None
        self._last: Usage | None = None
        self._stopped = threading.Event()
        self._finished = threading.Event()
        self._gone = False
        # A daemon: a process that forgets to close its sandbox must still be able to end.
        threading.Thread(target=self._live, name="selfloom-container", daemon=True).start()

    def _live(self) -> None:
        try:
            self._counters = self._launch(self._channel, self._name)
        except Exception as error:
            self._channel.fail(str(error))
        self._stopped.wait()
        self._gone = self.container_id is None or self._remove(self.container_id)
        self._finished.set()

    def _name(self, container_id: str) -> None:
        self.container_id = container_id

    @property
    def read_fd(self) -> int:
        """Becomes readable when the cell sent something."""
        return self._channel.read_fd

    @property
    def write_fd(self) -> int:
        """Becomes writable when the cell can take more."""
        return self._channel.write_fd

    @property
    def ended(self) -> bool:
        """Whether the container is gone, or never came."""
        return self._channel.ended

    def read(self, max_bytes: int) -> bytes:
        """Return what the cell sent; empty when it ended, BlockingIOError when nothing is there."""
        return self._channel.read(max_bytes)

    def write(self, data: memoryview) -> int:
        """Send a part of `data` to the cell; return its length."""
        return self._channel.write(data)

    def usage(self) -> Usage | None:
        """Return the kernel's counters of the cell, None where they cannot be seen."""
        if self._counters is not None:
            try:
                self._last = self._counters.usage()
            except OSError:
                return self._last  # The container ended a moment ago, and its group with it.
        return self._last

    def reset_peak(self) -> None:
        """Start a new measurement of the highest memory use."""
        if self._counters is not None:
            try:
                self._counters.reset_peak()
            except OSError:
                return  # As above.

    def complaint(self) -> str:
        """Return why there is no container, or what it wrote to standard error."""
        return self._channel.complaint()

    @property
    def stopped(self) -> bool:
        """Whether it was told to end."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Begin to end the cell; returns at once, may be repeated."""
        if not self.stopped:
            self.died = self._channel.ended
        self._channel.close()
        self._stopped.set()

    def wait(self, timeout_s: float) -> bool:
        """Return whether the container is removed, waiting at most this long."""
        return self._finished.wait(timeout_s) and self._gone


class ContainersBackend:
    """Builds cells from containers of a Docker engine.

    Args:
        limits: Limits of every program.
        runtime: The engine's runtime, None for its default.
        surroundings: What the caller chose of the environment of programs; the engine must see
            its package folders under the same paths.

    Raises:
        SandboxUnavailableError: No engine, no image or no such runtime; says what to do.
    """

    name = "docker"

    def __init__(
        self,
        limits: Limits,
        runtime: str | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        self._limits = limits
        self._surroundings = surroundings or Surroundings()
        self._endpoint = find_endpoint()
        with open_socket(self._endpoint) as connection:
            # Without their counters, process 1 has to watch the memory of programs itself.
            self._counted = shares_processes(connection)
        self._engine = connect(_CALL_TIMEOUT_S, self._endpoint)
        self._lock = threading.Lock()
        self._spares: list[ContainerCell] = []
        self._given: list[ContainerCell] = []
        self._ending: list[ContainerCell] = []
        try:
            self.image_digest: str | None = require_image(self._engine, image_tag())
            with explained("the container engine"):
                info = self._engine.info()
            self._runtime = self._find_runtime(info, runtime)
            options = str(info.get("SecurityOptions"))
            mapped = "name=userns" in options or "name=rootless" in options
            self._facts: dict[str, object] = {
                "engine": str(info.get("ServerVersion")),
                "user_ids_mapped": mapped,
                "cgroup_version": str(info.get("CgroupVersion", "1")),
            }
            self._create = self._options()
            self._sweep_orphans()
        except BaseException:
            self.close()
            raise

    def _options(self) -> dict[str, Any]:
        """Return everything that a container is made with."""
        return {
            "image": self.image_digest,
            "host_config": host_config(
                self._engine,
                self._limits,
                counted=self._counted,
                runtime=self._runtime,
                surroundings=self._surroundings,
            ),
            **container_config(
                self._limits,
                uid=_MAPPED_UID if self._facts["user_ids_mapped"] else PROGRAM_UID,
                counted=self._counted,
                surroundings=self._surroundings,
            ),
        }

    def _find_runtime(self, info: dict[str, Any], runtime: str | None) -> str:
        known: dict[str, dict[str, Any]] = info.get("Runtimes") or {}
        name = runtime or str(info.get("DefaultRuntime", "runc"))
        if runtime is not None and runtime not in known:
            raise SandboxUnavailableError(
                f"the engine at {self._endpoint.url} has no runtime {runtime!r}, only "
                f"{', '.join(sorted(known))}; install it and add it to the engine's daemon.json"
            )
        self.isolation = isolation_of(name)
        if self.isolation == "container":  # It may be known under another name.
            self.isolation = isolation_of(str(known.get(name, {}).get("path", "")))
        return name

    def _sweep_orphans(self) -> None:
        with explained("looking for containers that were left over"):
            found = self._engine.containers(all=True, filters={"label": OWNER_LABEL})
        for container in found:
            if is_orphan(container["Labels"][OWNER_LABEL]):
                self._remove_once(container["Id"])

    @property
    def limits_enforced_by(self) -> str:
        """What enforces limits of memory and processes."""
        version = self._facts["cgroup_version"]
        return f"cgroup-v{version}" if self._counted else f"cgroup-v{version}+polling"

    def start_cell(self, slot: int) -> ContainerCell:
        """Start a cell; it is usable once it sent its first frame.

        Never waits and never fails: the container is made by a thread. Where that is not possible,
        the cell ends before its first frame, with the reason as its complaint. Once a cell had to
        be replaced, the backend keeps a spare one.
        """
        with self._lock:
            ended = [given for given in self._given if given.stopped]
            if any(cell.died for cell in ended):
                # Perhaps the engine is going down: the spare would be the next to die, under a
                # program that would then look as if it killed cells.
                self._discard_spares()
            cell = self._take_spare() or self._new_cell()
            if ended and not self._spares:
                self._spares.append(self._new_cell())
            self._given = [*(given for given in self._given if given not in ended), cell]
            self._ending = [*(each for each in self._ending if not each.wait(0)), *ended]
            return cell

    def _take_spare(self) -> ContainerCell | None:
        if self._spares and self._spares[0].ended:
            self._discard_spares()
        return self._spares.pop() if self._spares else None

    def _discard_spares(self) -> None:
        for spare in self._spares:
            spare.stop()
        self._ending += self._spares
        self._spares = []

    def _new_cell(self) -> ContainerCell:
        return ContainerCell(self._launch, self._remove)

    def close(self) -> None:
        """Remove the spare containers and wait until those of ended cells are removed too."""
        with self._lock:
            self._discard_spares()
            ending = [*self._ending, *(given for given in self._given if given.stopped)]
        for cell in ending:
            cell.wait(_CALL_TIMEOUT_S)
        self._engine.close()

    # --- in the threads of cells -----------------------------------------------------------------

    def _launch(self, channel: Attachment, name: Callable[[str], None]) -> Counters | None:
        with explained("starting a container"):
            return self._make_and_start(channel, name)

    def _make_and_start(self, channel: Attachment, name: Callable[[str], None]) -> Counters | None:
        container_id = str(self._engine.create_container(**self._create)["Id"])
        name(container_id)
        with attach(self._engine, self._endpoint, container_id) as connection:
            self._engine.start(container_id)
            pid = self._process_id(container_id)
            counters = find_counters(pid, container_id) if self._counted and pid else None
            if counters is not None or not self._counted or not pid:
                channel.connect(connection.fileno())
                return counters
        # The engine is near, but its control groups are not mounted where we are.
        self._remove_once(container_id)
        self._counted = False
        self._create = self._options()
        return self._make_and_start(channel, name)

    def _process_id(self, container_id: str) -> int | None:
        from docker.errors import NotFound

        try:
            return int(self._engine.inspect_container(container_id)["State"]["Pid"]) or None
        except NotFound:
            return None  # It ended already; what it said is waiting in the channel.

    def _remove(self, container_id: str) -> bool:
        deadline = time.monotonic() + _PATIENCE_S
        while not self._remove_once(container_id):
            if time.monotonic() > deadline:
                return False  # The engine removes it when it is back: it was made so.
            time.sleep(_RETRY_S / 10)
        return True

    def _remove_once(self, container_id: str) -> bool:
        """Kill and remove a container; return whether it is gone."""
        from docker.errors import DockerException, NotFound
        from requests.exceptions import RequestException

        try:
            self._engine.remove_container(container_id, force=True, v=True)
        except NotFound:
            return True
        except (DockerException, RequestException):
            return False  # Gone engine, or a removal that is going on.
        return True

    def describe(self) -> dict[str, object]:
        """Return facts about the backend as plain JSON values."""
        return {
            "backend": self.name,
            "isolation": self.isolation,
            "runtime": self._runtime,
            "endpoint": self._endpoint.url,
            "image": image_tag(),
            "image_digest": self.image_digest,
            "limits_enforced_by": self.limits_enforced_by,
            "packages": [str(path) for path in self._surroundings.packages],
            "preload": list(self._surroundings.preload),
            "network": "none",
            **self._facts,
        }
