"""The two things of an image that come from outside: a small system, and the pinned packages."""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

from sandbox.errors import SandboxUnavailableError
from sandbox.image.tags import HERE, PYTHON, SUITE, SYSTEM_PACKAGES

Progress = Callable[[str], None]

# Left out of the system: made by the engine, or never read by a program.
_EMPTIED = (
    *("dev", "proc", "sys", "run", "tmp", "boot", "home", "media", "mnt", "srv", "root"),
    *("var/cache", "var/lib/apt", "var/log"),
    *(f"usr/share/{name}" for name in ("doc", "info", "lintian", "locale", "man")),
)

# Engine's name of an architecture, to the kernel's.
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def _run(argv: list[str], progress: Progress, what: str) -> None:
    """Run a command, passing its output on; its last lines are in the error."""
    tail: list[str] = []
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            progress(line.rstrip())
            tail = [*tail[-7:], line.rstrip()]
    if status := process.wait():
        raise SandboxUnavailableError(
            f"{what} failed with status {status}:\n" + "\n".join(f"  {line}" for line in tail)
        )


def why_no_debootstrap(machine: str) -> str | None:
    """Return why no system can be made here for a machine, None when it can."""
    if shutil.which("debootstrap") is None:
        return "debootstrap is not installed: scripts/system-packages docker"
    if os.geteuid() != 0:
        return "debootstrap needs root: sudo selfloom sandbox build-image"
    if os.uname().machine != machine:
        return f"the engine runs on {machine}, and debootstrap makes systems for this machine only"
    return None


def make_root(folder: Path, mirror: str | None, progress: Progress) -> None:
    """Make a small Debian system with Python in a folder.

    Args:
        folder: Will hold it.
        mirror: Address of a Debian mirror, None for debootstrap's own.
        progress: Gets every line that debootstrap prints.

    Raises:
        SandboxUnavailableError: debootstrap failed; quotes it.
    """
    argv = ["debootstrap", "--variant=minbase", f"--include={','.join(SYSTEM_PACKAGES)}"]
    argv += [SUITE, str(folder), *([mirror] if mirror else [])]
    # It mounts /proc in the folder; mounts of its own go with it, even when it is killed.
    _run(["unshare", "--mount", "--propagation", "private", *argv], progress, "debootstrap")


def pack_root(folder: Path, archive: Path) -> None:
    """Write a system into a tar archive, without what no cell needs."""

    def keep(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        path = member.name.removeprefix("./")
        if member.ischr() or member.isblk() or any(path.startswith(f"{e}/") for e in _EMPTIED):
            return None
        member.mode &= ~0o6000
        return member

    with tarfile.open(archive, "w") as tar:
        tar.add(folder, ".", filter=keep)


def install_packages(folder: Path, machine: str, progress: Progress) -> None:
    """Put the pinned packages into a folder, for the image's Python and machine.

    Args:
        folder: Will hold them.
        machine: `x86_64` or `aarch64`.
        progress: Gets every line that pip prints.

    Raises:
        SandboxUnavailableError: pip is missing or failed; quotes it.
    """
    short = PYTHON.replace(".", "")
    argv = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    argv += ["--require-hashes", "--no-deps", "--only-binary=:all:", "--no-compile"]
    argv += ["--root-user-action=ignore", "--target", str(folder), "--python-version", PYTHON]
    argv += ["--implementation", "cp", "--abi", f"cp{short}", "--abi", "none", "--platform", "any"]
    for platform in ("manylinux2014", "manylinux_2_17", "manylinux_2_28"):
        argv += ["--platform", f"{platform}_{machine}"]
    _run([*argv, "--requirement", str(HERE / "requirements.txt")], progress, "pip install")
    for name in ("bin", "share"):
        shutil.rmtree(folder / name, ignore_errors=True)
    # A third of the size, and nothing imports them.
    for tests in sorted(folder.rglob("tests")):
        if tests.is_dir():
            shutil.rmtree(tests)
