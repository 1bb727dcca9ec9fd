"""Control groups of cells: create, read, remove, and sweep what a killed parent left behind."""

import contextlib
import os
import re
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_NAME = re.compile(r"selfloom-(\d+)-(\d+)-(\d+)-\d+")
_V1_CONTROLLERS = ("memory", "pids", "cpuacct")
_MAX_FILE = 4096  # bytes; the files that are read have some lines


class Usage(NamedTuple):
    """Counters of a group since it was made; None where the kernel does not count."""

    cpu_ns: int | None
    oom_kills: int
    refused_forks: int
    peak_bytes: int | None


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where groups can be made on this machine.

    Attributes:
        version: 1 or 2.
        folders: Controller name to the folder that takes new groups; one entry `all` for
            version 2.
    """

    version: int
    folders: dict[str, Path]

    @property
    def label(self) -> str:
        """The value for `limits_enforced_by`."""
        return f"cgroup-v{self.version}"


def _mounts(mountinfo: str) -> list[tuple[str, str, str, str]]:
    found = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        root, point = left.split()[3:5]
        kind, _, options = right.split()[:3]
        if kind in ("cgroup", "cgroup2"):
            found.append((kind, root, point, options))
    return found


def _own_paths(cgroup: str) -> dict[str, str]:
    own = {}
    for line in cgroup.splitlines():
        _, names, path = line.split(":", 2)
        own.update(dict.fromkeys(names.split(","), path))
    return own


def _own_folder(root: str, point: str, path: str) -> Path | None:
    relative = os.path.relpath(path, root) if root != "/" else path.lstrip("/")
    folder = Path(point) / relative
    return folder if not relative.startswith("..") and folder.is_dir() else None


def _takes_groups(folder: Path) -> bool:
    """Try it: permission bits do not show a read-only mount or a missing delegation."""
    probe = folder / f"{owner_prefix()}-0"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError:
        return False
    return True


def owner_prefix() -> str:
    """Return the start of the names of this process's groups: pid namespace, pid, start time."""
    namespace = os.stat("/proc/self/ns/pid").st_ino
    return f"selfloom-{namespace}-{os.getpid()}-{_start_time(os.getpid())}"


def _start_time(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    return int(stat[stat.rindex(b")") + 2 :].split()[19])


def _find_v1(mounts: Sequence[tuple[str, str, str, str]], own: dict[str, str]) -> Hierarchy | None:
    folders = {}
    for controller in _V1_CONTROLLERS:
        for kind, root, point, options in mounts:
            if kind == "cgroup" and controller in options.split(","):
                folder = _own_folder(root, point, own.get(controller, "/"))
                if folder is not None and _takes_groups(folder):
                    folders[controller] = folder
    return Hierarchy(1, folders) if {"memory", "pids"} <= set(folders) else None


def _find_v2(mounts: Sequence[tuple[str, str, str, str]], own: dict[str, str]) -> Hierarchy | None:
    for kind, root, point, _ in mounts:
        folder = _own_folder(root, point, own.get("", "/")) if kind == "cgroup2" else None
        # Below the nearest ancestor that hands the controllers on: our own group holds processes,
        # and such a group cannot.
        while folder is not None and folder.is_relative_to(point):
            with contextlib.suppress(OSError):
                handed_on = (folder / "cgroup.subtree_control").read_text().split()
                movable = os.access(folder / "cgroup.procs", os.W_OK)
                if {"memory", "pids"} <= set(handed_on) and movable and _takes_groups(folder):
                    return Hierarchy(2, {"all": folder})
            folder = folder.parent
    return None


def find_hierarchy(proc: Path = Path("/proc/self")) -> Hierarchy | None:
    """Return where this process can limit memory and processes of a group, None if nowhere.

    Args:
        proc: Where the process describes its mounts and groups.
    """
    try:
        mounts = _mounts((proc / "mountinfo").read_text())
        own = _own_paths((proc / "cgroup").read_text())
    except OSError:
        return None
    return _find_v1(mounts, own) or _find_v2(mounts, own)


class Counters:
    """What the kernel counts in one control group, whoever made it.

    Args:
        version: 1 or 2.
        folders: Controller name to the group's folder; one entry `all` for version 2.
    """

    def __init__(self, version: int, folders: dict[str, Path]) -> None:
        self._version = version
        self.folders = folders
        self._memory = folders.get("memory") or folders["all"]
        self._pids = folders.get("pids") or folders["all"]
        cpu = folders.get("cpuacct")
        self._cpu_file = f"{cpu}/cpuacct.usage" if cpu else f"{self._memory}/cpu.stat"
        events = "memory.oom_control" if version == 1 else "memory.events"
        self._oom_file = f"{self._memory}/{events}"
        self._peak_file = f"{self._memory}/memory.max_usage_in_bytes"
        self._refused_file = f"{self._pids}/pids.events"
        # Elsewhere the highest use cannot be reset, so it cannot speak for a single program:
        # version 2 before Linux 6.12, and groups of a container engine that runs as root.
        self._counts_peak = version == 1 and os.access(self._peak_file, os.W_OK)

    def usage(self) -> Usage:
        """Return the counters now."""
        cpu = None
        if self._version == 2:
            used = _field(self._cpu_file, b"usage_usec")
            cpu = used * 1000 if used is not None else None
        elif "cpuacct" in self.folders:
            cpu = int(_read(self._cpu_file))
        oom = _field(self._oom_file, b"oom_kill")
        peak = None
        if self._counts_peak:
            peak = int(_read(self._peak_file))
        refused = _field(self._refused_file, b"max")
        return Usage(cpu, oom or 0, refused or 0, peak)

    def reset_peak(self) -> None:
        """Start a new measurement of the highest memory use, where the kernel can."""
        if self._counts_peak:
            file = os.open(self._peak_file, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(file, b"0")
            finally:
                os.close(file)


class Group(Counters):
    """The control group of one cell.

    Args:
        hierarchy: Where to make it.
        name: Folder name; starts with `owner_prefix()`.
        memory_bytes: Limit of memory, swap included.
        processes: Limit of processes and threads.
    """

    def __init__(
        self, hierarchy: Hierarchy, name: str, *, memory_bytes: int, processes: int
    ) -> None:
        folders = {key: folder / name for key, folder in hierarchy.folders.items()}
        for folder in folders.values():
            folder.mkdir(exist_ok=True)
        super().__init__(hierarchy.version, folders)
        if self._version == 1:
            (self._memory / "memory.limit_in_bytes").write_text(str(memory_bytes))
            self._optional("memory.memsw.limit_in_bytes", str(memory_bytes))
        else:
            (self._memory / "memory.max").write_text(str(memory_bytes))
            self._optional("memory.swap.max", "0")
        (self._pids / "pids.max").write_text(str(processes))

    def _optional(self, name: str, value: str) -> None:
        # Kernels without swap accounting do not have these files.
        if (self._memory / name).exists():
            (self._memory / name).write_text(value)


def _read(path: str) -> bytes:
    """Read a file of the kernel: these are read after every program, which adds up."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, _MAX_FILE)
    finally:
        os.close(file)


def _field(path: str, name: bytes) -> int | None:
    try:
        for line in _read(path).splitlines():
            key, _, value = line.partition(b" ")
            if key == name:
                return int(value)
    except OSError:
        return None
    return None


def find_counters(pid: int, part_of_name: str, proc: Path = Path("/proc")) -> Counters | None:
    """Return the counters of the group that a process is in, None where they cannot be seen.

    Args:
        pid: A process of the group.
        part_of_name: What the group's path must contain: proof that the process id means here
            what it means to whoever gave it to us.
        proc: Where the process file system is mounted.
    """
    try:
        mounts = _mounts((proc / "self" / "mountinfo").read_text())
        own = _own_paths((proc / str(pid) / "cgroup").read_text())
    except OSError:
        return None
    folders: dict[str, Path] = {}
    for kind, root, point, options in mounts:
        names = set(_V1_CONTROLLERS) & set(options.split(",")) if kind == "cgroup" else {""}
        for name in names & set(own):
            folder = _own_folder(root, point, own[name])
            if folder is not None and part_of_name in str(folder):
                folders[name] = folder
    if {"memory", "pids"} <= set(folders):
        return Counters(1, {name: folder for name, folder in folders.items() if name})
    if "" in folders and (folders[""] / "memory.events").exists():
        return Counters(2, {"all": folders[""]})
    return None


def remove_group(folder: Path, timeout_s: float = 2.0) -> bool:
    """Kill what is in a group and remove its folder; return whether it is gone."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            folder.rmdir()
            return True
        except FileNotFoundError:
            return True
        except OSError:
            with contextlib.suppress(OSError):
                for pid in (folder / "cgroup.procs").read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)


def sweep_stale_groups(hierarchy: Hierarchy) -> list[str]:
    """Remove groups whose owner no longer lives; return their names.

    Owners in another pid namespace are left alone: from here they look dead.
    """
    namespace = os.stat("/proc/self/ns/pid").st_ino
    removed = []
    for base in hierarchy.folders.values():
        for folder in base.glob("selfloom-*"):
            match = _NAME.fullmatch(folder.name)
            if match is None or int(match[1]) != namespace:
                continue
            if _start_time(int(match[2])) != int(match[3]) and remove_group(folder):
                removed.append(folder.name)
    return sorted(set(removed))
