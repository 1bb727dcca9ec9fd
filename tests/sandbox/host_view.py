"""What can be seen of cells from outside: processes, control groups, files, memory."""

import os
import pwd
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sandbox.backends.cgroups import find_hierarchy

_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")
_MIB = 1 << 20


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until something holds that has to become true, however busy the machine is."""
    for _ in range(1500):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail(f"not after 30 s: {what}")


def descendants(pid: int) -> set[int]:
    """All processes below a process."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return set()
    children = {int(child) for child in text.split()}
    return children.union(*(descendants(child) for child in children))


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def own_groups(pid: int) -> list[Path]:
    """Control groups that a process made for its cells."""
    hierarchy = find_hierarchy()
    bases = hierarchy.folders.values() if hierarchy else ()
    return [folder for base in bases for folder in base.glob(f"selfloom-*-{pid}-*")]


def programs_in(pid_namespace: int) -> list[int]:
    """Processes of a cell other than process 1, by the number of its pid namespace.

    Empty where this user or this kernel does not show them.
    """
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{name}/ns/pid").st_ino != pid_namespace:
                continue
            status = Path(f"/proc/{name}/status").read_text()
        except OSError:
            continue
        numbers = next(line for line in status.splitlines() if line.startswith("NSpid:"))
        if numbers.split()[-1] != "1":
            found.append(int(name))
    return found


def _foreign_files() -> set[str]:
    """Files in public folders whose owner has no name here: those of programs have such owners."""
    found = set()
    for folder in _FOLDERS:
        for entry in os.scandir(folder):
            try:
                pwd.getpwuid(entry.stat(follow_symlinks=False).st_uid)
            except KeyError:
                found.add(entry.path)
            except OSError:
                continue
    return found


def _mounts() -> set[str]:
    """Mount points of this process; those of container engines come and go with others' work."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    of_engines = ("overlay", "engine", "/netns/")
    return {line.split()[4] for line in lines if not any(part in line for part in of_engines)}


def _used(groups: list[Path]) -> int:
    """Bytes charged to control groups."""
    total = 0
    for folder in groups:
        for name in ("memory.usage_in_bytes", "memory.current"):
            if (folder / name).exists():
                total += int((folder / name).read_text())
    return total


class HostState(NamedTuple):
    """What a suite of hostile programs must leave as it was."""

    descriptors: int
    processes: int
    groups: int
    mounts: frozenset[str]
    foreign_files: frozenset[str]
    resident_mib: int
    cells_mib: int

    @classmethod
    def now(cls) -> "HostState":
        """Look."""
        status = Path("/proc/self/status").read_text()
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        groups = own_groups(os.getpid())
        return cls(
            descriptors=len(os.listdir("/proc/self/fd")),
            processes=len([pid for pid in descendants(os.getpid()) if runs(pid)]),
            groups=len(groups),
            mounts=frozenset(_mounts()),
            foreign_files=frozenset(_foreign_files()),
            resident_mib=int(resident.split()[1]) >> 10,
            cells_mib=_used(groups) // _MIB,
        )

    def changes_since(self, before: "HostState") -> list[str]:
        """Return what is there that was not."""
        # Fewer is no change: cells of another test may have been on their way out before.
        changes = [
            f"{name}: {getattr(before, name)} became {getattr(self, name)}"
            for name in ("processes", "groups")
            if getattr(self, name) > getattr(before, name)
        ]
        if added := self.mounts - before.mounts:
            changes.append(f"mounts: {sorted(added)}")
        if new := self.foreign_files - before.foreign_files:
            changes.append(f"files that nobody here owns: {sorted(new)}")
        # Rough on purpose: allocators keep some, and the cell that was replaced last is waited for
        # when the next one is.
        for name, most in (("descriptors", 2), ("resident_mib", 96), ("cells_mib", 48)):
            if getattr(self, name) > getattr(before, name) + most:
                changes.append(f"{name}: {getattr(before, name)} became {getattr(self, name)}")
        return changes
