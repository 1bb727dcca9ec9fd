"""Opens a sandbox: chooses a backend that works here, proves it, and refuses otherwise."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast, get_args

from sandbox.backends.base import Backend
from sandbox.backends.containers import ContainersBackend
from sandbox.backends.jail import Builder
from sandbox.backends.namespaces import NamespacesBackend
from sandbox.environment import Surroundings, measure_environment
from sandbox.errors import SandboxUnavailableError, SandboxUsageError
from sandbox.judging import COMPARATORS
from sandbox.limits import Limits
from sandbox.pool import PROGRAMS_PER_CELL, Sandbox
from sandbox.selftest import LIMITS as SELFTEST_LIMITS
from sandbox.selftest import check_once

Factory = Callable[[Limits], Backend]

BACKENDS = (
    "auto",
    *("namespaces", "namespaces:bwrap", "namespaces:unshare"),
    *("docker", "docker:RUNTIME"),
)
# What `auto` and `namespaces` stand for, the strongest wall first. Bubblewrap may be allowed where
# plain user namespaces are not.
STAND_FOR = {
    "auto": ("docker:runsc", "docker", "namespaces:bwrap", "namespaces:unshare"),
    "namespaces": ("namespaces:bwrap", "namespaces:unshare"),
}


def backend_factory(name: str, surroundings: Surroundings | None = None) -> Factory:
    """Return what makes backends of one name, neither `auto` nor `namespaces`.

    Raises:
        SandboxUsageError: No such name.
    """
    kind, colon, detail = name.partition(":")
    if kind == "docker" and bool(colon) == bool(detail):
        return lambda limits: ContainersBackend(limits, detail or None, surroundings)
    if kind == "namespaces" and detail in get_args(Builder):
        return lambda limits: NamespacesBackend(limits, cast(Builder, detail), surroundings)
    raise SandboxUsageError(f"backend={name!r}; expected one of {', '.join(BACKENDS)}")


def choose_backend(name: str, limits: Limits, surroundings: Surroundings | None = None) -> Backend:
    """Return the first backend of this name that passes its self-test.

    Args:
        name: One of `BACKENDS`, with the name of an engine's runtime for `RUNTIME`.
        limits: Limits that it will enforce.
        surroundings: What programs find around them.

    Raises:
        SandboxUsageError: No such name.
        SandboxUnavailableError: None works here; says why each one does not.
    """
    failures = []
    for candidate in STAND_FOR.get(name, (name,)):
        factory = backend_factory(candidate, surroundings)
        try:
            tested = factory(SELFTEST_LIMITS)
            try:
                check_once(tested)
            finally:
                tested.close()
            return factory(limits)
        except SandboxUnavailableError as error:
            label = candidate.removeprefix("namespaces:")
            failures.append(f"- {label}: {error}{advice(str(error))}")
    raise SandboxUnavailableError(
        f"no sandbox works on this machine (backend={name!r}), so no program was run:\n"
        + "\n".join(failures)
    )


def advice(reason: str) -> str:
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
        backend: `docker` (containers of a Docker engine), `docker:RUNTIME` (the same with another
            runtime of the engine, for example `docker:runsc`), `namespaces` or one builder of it
            (`namespaces:bwrap`, `namespaces:unshare`), `auto` for the strongest that works here.
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
