"""Proves before the first program that a cell holds: canaries that must fail, and must pass.

A jail that was built without an error can still leak, for example where a security module or an
outer container takes a part of it away silently.
"""

import textwrap
from collections.abc import Callable
from typing import NamedTuple

from sandbox.backends.base import Backend
from sandbox.backends.jail import interpreter
from sandbox.backends.process_one import ENVIRONMENT
from sandbox.errors import SandboxUnavailableError
from sandbox.judging import compare_lines
from sandbox.limits import Limits
from sandbox.pool import Sandbox
from sandbox.programs import Execution, Program, Verdict

_ROOT_ENTRIES = frozenset(
    {"bin", "dev", "etc", "lib", "lib32", "lib64", "libx32"}
    | {"opt", "proc", "sbin", "tmp", "usr", "var"}
)
# Always there in an image, and empty.
_IMAGE_ENTRIES = frozenset(
    {".dockerenv", "boot", "home", "media", "mnt", "root", "run", "srv", "sys"}
)
# Where a container may have something mounted: the files that the engine writes for it, its own
# kernel file systems and scratch folders, and package folders of the caller.
_MOUNTS = r"/|/(proc|sys|dev)(/.*)?|/tmp|/etc/(hosts|hostname|resolv\.conf)|/opt/packages/\d+"


class Canary(NamedTuple):
    """A program with a known right end.

    Attributes:
        name: What it proves.
        source: The program.
        holds: Whether the end was the right one.
    """

    name: str
    source: str
    holds: Callable[[Execution], bool]


def _prints(text: str) -> Callable[[Execution], bool]:
    return lambda execution: (
        execution.verdict is Verdict.ACCEPTED and execution.stdout.strip() == text
    )


def _only_root_entries(of_an_image: bool) -> Callable[[Execution], bool]:
    allowed = _ROOT_ENTRIES | (_IMAGE_ENTRIES if of_an_image else {interpreter()[1].parts[1]})
    return lambda execution: (
        execution.verdict is Verdict.ACCEPTED and set(execution.stdout.split()) <= allowed
    )


_FOREIGN_MOUNTS = """
    import re
    points = [line.split()[4] for line in open("/proc/self/mountinfo")]
    print([point for point in points if not re.fullmatch({mounts!r}, point)])
"""
_NETWORK = """
    import socket
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET):
        try:
            socket.socket(family, socket.SOCK_RAW if family > 10 else socket.SOCK_STREAM)
        except OSError:
            continue
        print("open", family)
    print("done")
"""
_PRIVILEGES = """
    import ctypes
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    for key in ("NoNewPrivs", "Seccomp", "CapEff", "CapPrm", "CapBnd", "CapAmb"):
        print(int(status[key].strip(), 16), end=" ")
    libc = ctypes.CDLL(None)
    print(libc.unshare(0x10000000), libc.mount(b"none", b"/tmp", b"tmpfs", 0, b""))
"""
_WRITES = """
    for path in ("/x", "/etc/x", "/usr/x", "/etc/passwd", "/proc/sys/kernel/hostname", "/dev/x"):
        try:
            open(path, "w").close()
        except OSError:
            continue
        print("wrote", path)
    print("done")
"""
_LEAVE = """
    import os, time
    for folder in ("/tmp", "/dev/shm"):
        open(folder + "/left", "w").close()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(60)
        os._exit(0)
    print("left")
"""
_LOOK = """
    import os
    pids = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    print(os.listdir("/tmp"), os.listdir("/dev/shm"), sorted(pids - {1, os.getpid()}))
"""
_DESCRIPTORS = """
    import os
    extra = []
    for fd in range(3, 4096):
        try:
            os.fstat(fd)
            extra.append(fd)
        except OSError:
            pass
    print(len(extra))
"""
_FORKS = """
    import os, time
    for i in range({processes} + 1):
        try:
            if os.fork() == 0:
                time.sleep(60)
        except OSError:
            print("refused")
            break
"""


# Generous with time: a busy machine must not look like a leaking one.
LIMITS = Limits(wall_s=20.0, cpu_s=10.0, memory_mib=128, processes=16)


def canaries(limits: Limits, *, of_an_image: bool) -> list[Canary]:
    """Return the canaries, in an order that matters: `nothing stays` looks for what came before.

    Args:
        limits: Limits of the backend.
        of_an_image: Whether the cell's files come from an image and not from this machine.
    """
    forks = textwrap.dedent(_FORKS).format(processes=limits.processes)
    found = [
        Canary("programs run", "print(1 + 1)", _prints("2")),
        Canary("no network", _NETWORK, _prints("done")),
        Canary(
            "no host files",
            "import os; print(*os.listdir('/'))",
            _only_root_entries(of_an_image),
        ),
        Canary("no privileges", _PRIVILEGES, _prints("1 2 0 0 0 0 -1 -1")),
        Canary("read-only system", _WRITES, _prints("done")),
        Canary(
            "clean environment",
            "import os; print(*sorted(set(os.environ) - {'LC_CTYPE'}))",
            _prints(" ".join(sorted(ENVIRONMENT))),
        ),
        Canary("no descriptors but the report pipe", _DESCRIPTORS, _prints("1")),
        Canary("leaving things", _LEAVE, _prints("left")),
        Canary("nothing stays", _LOOK, _prints("[] [] []")),
        Canary(
            "memory limit",
            f"bytearray({limits.memory_mib * 16} << 20)",
            lambda execution: execution.verdict is Verdict.MEMORY_LIMIT,
        ),
        Canary("process limit", forks, _prints("refused")),
        Canary(
            "no early exit passes",
            "import os; os._exit(0)",
            lambda execution: execution.verdict is Verdict.EARLY_EXIT,
        ),
    ]
    if of_an_image:
        mounts = textwrap.dedent(_FOREIGN_MOUNTS).format(mounts=_MOUNTS)
        found.append(Canary("no host folders", mounts, _prints("[]")))
    return [canary._replace(source=textwrap.dedent(canary.source).strip()) for canary in found]


class Finding(NamedTuple):
    """How one canary ended.

    Attributes:
        name: What it was to prove.
        holds: Whether it ended as it must.
        detail: What was seen.
    """

    name: str
    holds: bool
    detail: str


def run_canaries(backend: Backend) -> list[Finding]:
    """Run all canaries in one cell.

    Args:
        backend: Made with `LIMITS`.

    Raises:
        SandboxUnavailableError: A cell does not start.
    """
    chosen = canaries(LIMITS, of_an_image=backend.image_digest is not None)
    with Sandbox(backend, 1, LIMITS, compare_lines) as box:
        programs = [Program(id=canary.name, source=canary.source) for canary in chosen]
        executions = list(box.run(programs))
    return [
        Finding(
            canary.name,
            canary.holds(execution),
            f"verdict {execution.verdict}, stdout {execution.stdout[:200]!r}, "
            f"stderr {execution.stderr[-300:]!r}",
        )
        for canary, execution in zip(chosen, executions, strict=True)
    ]


_passed: set[tuple[object, ...]] = set()


def check_once(backend: Backend) -> None:
    """Run the canaries, once per process and kind of backend.

    Args:
        backend: Made with `LIMITS`.

    Raises:
        SandboxUnavailableError: A canary did not end as it must; names it.
    """
    key = (type(backend), str(backend.describe()))
    if key in _passed:
        return
    for finding in run_canaries(backend):
        if not finding.holds:
            raise SandboxUnavailableError(
                f"the self-test {finding.name!r} failed: {finding.detail}"
            )
    _passed.add(key)
