"""The `namespaces` backend: cells built by bubblewrap or by `unshare`, limited by cgroups."""

import contextlib
import itertools
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sandbox.backends.cgroups import (
    Group,
    Hierarchy,
    Usage,
    find_hierarchy,
    owner_prefix,
    remove_group,
    sweep_stale_groups,
)
from sandbox.backends.jail import Builder, Jail, command, interpreter
from sandbox.backends.process_one import PROGRAM_UID
from sandbox.environment import Surroundings, default_packages, installed_folders
from sandbox.errors import SandboxUnavailableError
from sandbox.limits import Limits

_MIB = 1 << 20
# Process 1 and the builder live in the group too.
_OWN_MEMORY_MIB = 24
_OWN_PROCESSES = 2
_UIDS_PER_PARENT = 64
_HANG_MS = 300

_counter = itertools.count()


class NamespaceCell:
    """One cell: warden, builder and process 1, and the pipes to it.

    Args:
        jail: What the cell looks like.
        group: Its control group, if there is one.
    """

    def __init__(self, jail: Jail, group: Group | None) -> None:
        self._group = group
        self._last: Usage | None = None
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the cell)
        job_out, self.write_fd = os.pipe()
        self.read_fd, frames_in = os.pipe()
        lifeline_out, self._lifeline = os.pipe()
        config = {
            "argv": command(jail),
            "environment": {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            "groups": [str(folder) for folder in group.folders.values()] if group else [],
            "lifeline": lifeline_out,
            "grace_ms": _HANG_MS,
        }
        warden = Path(__file__).with_name("warden.py")
        try:
            self._warden = subprocess.Popen(
                [str(interpreter()[0]), "-I", "-S", str(warden), json.dumps(config)],
                stdin=job_out,
                stdout=frames_in,
                stderr=self._stderr,
                pass_fds=(lifeline_out,),
                # Ctrl-C in a terminal must reach the parent only, which then ends its cells.
                start_new_session=True,
                cwd="/",
                env={},
            )
        finally:
            for fd in (job_out, frames_in, lifeline_out):
                os.close(fd)
        os.set_blocking(self.read_fd, False)
        os.set_blocking(self.write_fd, False)
        self._stopped = False

    @property
    def warden_pid(self) -> int:
        """Process id of the outermost process of the cell."""
        return self._warden.pid

    def read(self, max_bytes: int) -> bytes:
        """Return what the cell sent; empty when it ended, BlockingIOError when nothing is there."""
        return os.read(self.read_fd, max_bytes)

    def write(self, data: memoryview) -> int:
        """Send a part of `data` to the cell; return its length."""
        return os.write(self.write_fd, data)

    def usage(self) -> Usage | None:
        """Return the kernel's counters of the cell, None where nothing counts."""
        if self._group:
            try:
                self._last = self._group.usage()
            except OSError:
                return self._last  # The cell ended a moment ago, and its warden removed the group.
        return self._last

    def reset_peak(self) -> None:
        """Start a new measurement of the highest memory use."""
        if self._group:
            with contextlib.suppress(OSError):  # As above.
                self._group.reset_peak()

    def complaint(self) -> str:
        """Return what the cell or its builder wrote to standard error while starting."""
        self._stderr.seek(0)
        return self._stderr.read(8192).decode("utf-8", "replace").strip()

    def stop(self) -> None:
        """Begin to end the cell; returns at once, may be repeated."""
        if not self._stopped:
            self._stopped = True
            for fd in (self.write_fd, self.read_fd, self._lifeline):
                os.close(fd)

    def wait(self, timeout_s: float) -> bool:
        """Return whether the cell and its traces are gone, waiting at most this long."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._warden.wait(timeout_s)
            self._stderr.close()
            # The warden removed it, unless somebody killed the warden.
            for folder in self._group.folders.values() if self._group else ():
                remove_group(folder)
            return True
        return False


class NamespacesBackend:
    """Builds cells from Linux namespaces, without a daemon and without an image.

    Args:
        limits: Limits of every program.
        builder: `bwrap` or `unshare`.
        surroundings: What the caller chose of the environment of programs.

    Raises:
        SandboxUnavailableError: This machine lacks something that a cell cannot do without.
    """

    name = "namespaces"
    isolation = "jail"
    image_digest: str | None = None

    def __init__(
        self, limits: Limits, builder: Builder, surroundings: Surroundings | None = None
    ) -> None:
        self._limits = limits
        self._builder = builder
        self._builder_path = find_builder(builder)
        self._surroundings = surroundings or Surroundings()
        self._pinned = installed_folders(default_packages())
        interpreter()
        if platform.machine() not in ("x86_64", "aarch64"):
            raise SandboxUnavailableError(
                f"no system-call filter for the machine {platform.machine()!r}; "
                "run on x86_64 or aarch64"
            )
        self._hierarchy: Hierarchy | None = find_hierarchy()
        if self._hierarchy is not None:
            sweep_stale_groups(self._hierarchy)

    @property
    def limits_enforced_by(self) -> str:
        """What enforces limits of memory and processes."""
        return self._hierarchy.label if self._hierarchy else "rlimits+polling"

    def start_cell(self, slot: int) -> NamespaceCell:
        """Start a cell; it is usable once it sent its first frame."""
        uid = None
        if os.geteuid() == 0:
            uid = PROGRAM_UID
            if self._hierarchy is None:
                # The kernel then counts processes per user, and cells must not count each other's.
                uid += 1 + os.getpid() * _UIDS_PER_PARENT + slot % _UIDS_PER_PARENT
        jail = Jail(
            builder=self._builder,
            builder_path=self._builder_path,
            limits=self._limits,
            uid=uid,
            cgroup=self._hierarchy is not None,
            pinned=self._pinned,
            surroundings=self._surroundings,
        )
        group = None
        if self._hierarchy is not None:
            group = Group(
                self._hierarchy,
                f"{owner_prefix()}-{next(_counter)}",
                memory_bytes=(self._limits.memory_mib + _OWN_MEMORY_MIB) * _MIB,
                processes=self._limits.processes + _OWN_PROCESSES,
            )
        return NamespaceCell(jail, group)

    def close(self) -> None:
        """Nothing is kept beside the cells."""

    def describe(self) -> dict[str, object]:
        """Return facts about the backend as plain JSON values."""
        return {
            "backend": self.name,
            "isolation": self.isolation,
            "builder": self._builder,
            "builder_path": self._builder_path,
            "own_uid": os.geteuid() == 0,
            "limits_enforced_by": self.limits_enforced_by,
            "python": platform.python_version(),
            "packages": [str(path) for path in self._surroundings.packages],
            "preload": list(self._surroundings.preload),
            "network": "none",
        }


def find_builder(builder: Builder) -> str:
    """Return the path of a tool that builds cells.

    Raises:
        SandboxUnavailableError: This is not Linux, or the tool is not installed.
    """
    if sys.platform != "linux":
        raise SandboxUnavailableError(
            f"the namespaces backend needs Linux, this is {sys.platform}; run on Linux"
        )
    path = shutil.which(builder)
    if path is None:
        package = "bubblewrap" if builder == "bwrap" else "util-linux"
        raise SandboxUnavailableError(
            f"{builder} is not installed; install it, for example: apt-get install -y {package}"
        )
    return path
