"""Opens a sandbox: chooses a backend that works here, proves it, and refuses otherwise."""

import os
from collections.abc import Sequence
from pathlib import Path

from sandbox.backends.jail import Builder
from sandbox.backends.namespaces import NamespacesBackend
from sandbox.environment import Surroundings, measure_environment
from sandbox.errors import SandboxUnavailableError, SandboxUsageError
from sandbox.judging import COMPARATORS
from sandbox.limits import Limits
from sandbox.pool import PROGRAMS_PER_CELL, Sandbox
from sandbox.selftest import LIMITS as SELFTEST_LIMITS
from sandbox.selftest import check_once

# In order of preference: bubblewrap may be allowed where plain user namespaces are not.
_BUILDERS: dict[str, tuple[Builder, ...]] = {
    "auto": ("bwrap", "unshare"),
    "namespaces": ("bwrap", "unshare"),
    "namespaces:bwrap": ("bwrap",),
    "namespaces:unshare": ("unshare",),
}
BACKENDS = tuple(_BUILDERS)


def choose_backend(
    name: str, limits: Limits, surroundings: Surroundings | None = None
) -> NamespacesBackend:
    """Return the first backend of this name that passes its self-test.

    Args:
        name: One of `BACKENDS`.
        limits: Limits that it will enforce.
        surroundings: What programs find around them.

    Raises:
        SandboxUsageError: No such name.
        SandboxUnavailableError: None works here; says why each one does not.
    """
    if name not in _BUILDERS:
        raise SandboxUsageError(f"backend={name!r}; expected one of {', '.join(BACKENDS)}")
    failures = []
    for builder in _BUILDERS[name]:
        try:
            check_once(NamespacesBackend(SELFTEST_LIMITS, builder, surroundings))
            return NamespacesBackend(limits, builder, surroundings)
        except SandboxUnavailableError as error:
            failures.append(f"- {builder}: {error}{_advice(str(error))}")
    raise SandboxUnavailableError(
        f"no sandbox works on this machine (backend={name!r}), so no program was run:\n"
        + "\n".join(failures)
    )


def _advice(reason: str) -> str:
    """Return the likely fix for a failure to build a cell, empty when none is known."""
    if "self-test" in reason or not any(
        words in reason for words in ("not permitted", "ermission denied", "No space left")
    ):
        return ""
    if os.geteuid() == 0:
        return (
            "\n  Fix: this root may not make namespaces or mounts (a container without"
            " CAP_SYS_ADMIN or with a filter); give it that capability, or run outside of it."
        )
    return (
        "\n  Fix: allow user namespaces to this user: sysctl user.max_user_namespaces=10000, on"
        " Debian kernel.unprivileged_userns_clone=1, on Ubuntu 24.04 and later"
        " kernel.apparmor_restrict_unprivileged_userns=0; or run as root."
    )


def open_sandbox(
    backend: str = "auto",
    *,
    workers: int | None = None,
    limits: Limits | None = None,
    comparator: str = "lines",
    packages: Sequence[str | Path] = (),
    seed: int = 0,
    preload: Sequence[str] = (),
    programs_per_cell: int = PROGRAMS_PER_CELL,
) -> Sandbox:
    """Return a running sandbox; use it as a context manager.

    Args:
        backend: `auto`, `namespaces`, or one builder of it: `namespaces:bwrap`,
            `namespaces:unshare`.
        workers: Programs that run at once; None for the number of usable CPUs.
        limits: Limits of every program; None for the defaults of `Limits`.
        comparator: How output is compared with the expected one: `lines` ignores blanks at line
            ends and empty lines at the end, `exact` ignores nothing.
        packages: Folders with extra Python packages, readable by programs.
        seed: Of string hashes and of the global generators of `random` and a preloaded numpy, so
            that a program prints the same in every sandbox with this seed.
        preload: Modules to import once per cell instead of once per program, such as `numpy`.
        programs_per_cell: Programs that a cell runs before it is replaced.

    Raises:
        SandboxUnavailableError: No backend isolates on this machine; says why and what to do.
        SandboxUsageError: An argument is out of range.
    """
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= 256:
        raise SandboxUsageError(f"workers={workers!r}; expected an integer from 1 to 256")
    if not isinstance(programs_per_cell, int) or programs_per_cell < 1:
        raise SandboxUsageError(f"programs_per_cell={programs_per_cell!r}; expected 1 or more")
    if comparator not in COMPARATORS:
        raise SandboxUsageError(
            f"comparator={comparator!r}; expected one of {', '.join(COMPARATORS)}"
        )
    limits = limits or Limits()
    folders = tuple(Path(path).resolve() for path in packages)
    surroundings = Surroundings(folders, seed, tuple(preload))
    chosen = choose_backend(backend, limits, surroundings)
    box = Sandbox(chosen, workers, limits, COMPARATORS[comparator], programs_per_cell)
    try:
        box.environment = measure_environment(box.run, limits, surroundings)
    except BaseException:
        box.close()
        raise
    return box
