"""What a namespaces cell sees of the host, and the commands that build it.

The same layout in two dialects: `bwrap` arguments, and a description for `cell/root.py`, which
`unshare` starts as process 1 of the new namespaces.
"""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sandbox.backends.process_one import (
    CODE_PATH,
    PACKAGE_PATH,
    PINNED_PATH,
    PROGRAM_UID,
    cell_environment,
    zygote_argv,
    zygote_config,
)
from sandbox.environment import Surroundings
from sandbox.errors import SandboxUnavailableError
from sandbox.limits import Limits

Builder = Literal["bwrap", "unshare"]

_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_REPLACED = ("/tmp", "/var/tmp", "/dev", "/proc", "/sys", "/run")
_KEPT_CAPABILITIES = ("SYS_ADMIN", "SETPCAP", "SETUID", "SETGID", "KILL", "SYS_RESOURCE")


@dataclass(frozen=True, slots=True)
class Jail:
    """Everything that decides what a cell looks like.

    Attributes:
        builder: Which tool builds it.
        builder_path: Path of the tool.
        limits: Limits of every program.
        uid: User id of programs; None where only the caller's own can be used.
        cgroup: Whether a control group limits memory and processes.
        pinned: Folders of single packages that every program may import, bound read-only.
        surroundings: What the caller chose; its package folders are bound read-only.
    """

    builder: Builder
    builder_path: str
    limits: Limits
    uid: int | None
    cgroup: bool
    pinned: tuple[Path, ...]
    surroundings: Surroundings


def interpreter() -> tuple[Path, Path]:
    """Return the executable and the prefix of the Python that programs run under.

    Raises:
        SandboxUnavailableError: It lies in a folder that a cell has to replace.
    """
    executable = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    prefix = Path(sys.base_prefix).resolve()
    for folder in _REPLACED:
        if prefix.is_relative_to(folder):
            raise SandboxUnavailableError(
                f"Python is installed in {prefix}, but a cell has its own empty {folder}; "
                "use a Python that is installed elsewhere (a virtual environment there is fine)"
            )
    return executable, prefix


def _binds(jail: Jail) -> list[tuple[str, str]]:
    _, prefix = interpreter()
    binds = [("/usr", "/usr")]
    if not prefix.is_relative_to("/usr"):
        binds.append((str(prefix), str(prefix)))
    for name in ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"):
        if os.path.isdir(name) and not os.path.islink(name):
            binds.append((name, name))
    # Without it the loader misses libraries of Pythons built below /usr/local.
    if os.path.exists("/etc/ld.so.cache"):
        binds.append(("/etc/ld.so.cache", "/etc/ld.so.cache"))
    cell_code = Path(__file__).resolve().parent.parent / "cell"
    binds.append((str(cell_code), f"{CODE_PATH}/sandbox/cell"))
    binds += [(f"{cell_code}/etc/{name}", f"/etc/{name}") for name in ("passwd", "group", "hosts")]
    binds += [
        (str(path), f"{PACKAGE_PATH}/{i}") for i, path in enumerate(jail.surroundings.packages)
    ]
    binds += [(str(path), f"{PINNED_PATH}/{path.name}") for path in jail.pinned]
    return binds


def _parents(jail: Jail) -> list[str]:
    """Return every folder above a bind target, outermost first."""
    found = {str(p) for _, target in _binds(jail) for p in Path(target).parents}
    return sorted(found - {"/"}, key=lambda path: (path.count("/"), path))


def _symlinks() -> list[tuple[str, str]]:
    names = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
    links = [(os.readlink(name), name) for name in names if os.path.islink(name)]
    links += [("/proc/self/fd", "/dev/fd"), ("/tmp", "/var/tmp")]
    links += [(f"/proc/self/fd/{i}", f"/dev/{n}") for i, n in enumerate(("stdin", "stdout"))]
    return [*links, ("/proc/self/fd/2", "/dev/stderr")]


def _zygote_argv(jail: Jail) -> list[str]:
    given = jail.surroundings
    config = zygote_config(
        jail.limits,
        uid=jail.uid,
        cgroup=jail.cgroup,
        # One more for process 1, which counts where programs run under its uid.
        max_processes=None if jail.cgroup else jail.limits.processes + 1,
        mount_scratch=jail.builder == "bwrap",
        # The caller's own come first: they may bring another version of a pinned one.
        packages=[*(f"{PACKAGE_PATH}/{i}" for i in range(len(given.packages))), PINNED_PATH],
        seed=given.seed,
        preload=given.preload,
    )
    return zygote_argv(str(interpreter()[0]), config)


def unshare_argv(jail: Jail) -> list[str]:
    """Return the command of an `unshare` cell."""
    layout = {
        "hostname": "cell",
        "binds": _binds(jail),
        "devices": _DEVICES,
        "symlinks": _symlinks(),
        "tmp_mib": jail.limits.tmp_mib,
        "tmp_inodes": jail.limits.tmp_inodes,
        "argv": _zygote_argv(jail),
        "environment": cell_environment(jail.surroundings.seed),
    }
    root = Path(__file__).resolve().parent.parent / "cell" / "root.py"
    spaces = ["--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup"]
    if jail.uid is None:
        ids = [f"--map-user={PROGRAM_UID}", f"--map-group={PROGRAM_UID}"]
        spaces = ["--user", *ids, "--keep-caps", *spaces]
    return [
        *(jail.builder_path, *spaces, "--fork", "--kill-child=SIGKILL", "--"),
        *(str(interpreter()[0]), "-s", "-S", "-P", str(root), json.dumps(layout)),
    ]


def bwrap_argv(jail: Jail) -> list[str]:
    """Return the command of a `bwrap` cell."""
    argv = [jail.builder_path, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    argv += ["--unshare-cgroup-try", "--hostname", "cell", "--as-pid-1", "--die-with-parent"]
    argv += ["--new-session", "--clearenv"]
    if jail.uid is None:
        argv += ["--unshare-user", "--uid", str(PROGRAM_UID), "--gid", str(PROGRAM_UID)]
    argv += ["--cap-drop", "ALL"]
    for capability in _KEPT_CAPABILITIES:
        argv += ["--cap-add", f"CAP_{capability}"]
    for name, value in cell_environment(jail.surroundings.seed).items():
        argv += ["--setenv", name, value]
    # Folders that bwrap makes on the way to a target are closed to other users.
    for folder in ("/dev", "/etc", "/var", *_parents(jail)):
        argv += ["--perms", "0755", "--dir", folder]
    for source, target in _binds(jail):
        argv += ["--ro-bind", source, target]
    for device in _DEVICES:
        argv += ["--dev-bind", device, device]
    for target, path in _symlinks():
        argv += ["--symlink", target, path]
    argv += ["--proc", "/proc", "--dir", "/tmp", "--dir", "/dev/shm", "--chdir", "/"]
    argv += ["--remount-ro", "/", "--"]
    return [*argv, *_zygote_argv(jail)]


def command(jail: Jail) -> list[str]:
    """Return the command that starts process 1 of a cell."""
    return bwrap_argv(jail) if jail.builder == "bwrap" else unshare_argv(jail)
