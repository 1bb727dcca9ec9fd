"""Says what of the sandbox works on this machine, proves it, and says how to fix what does not."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from sandbox.backends.cgroups import find_hierarchy
from sandbox.errors import SandboxUnavailableError
from sandbox.opening import STAND_FOR, advice, backend_factory
from sandbox.selftest import LIMITS, Finding, run_canaries

# What the enforcer of a backend means for each limit; the other limits are the same everywhere.
_EVERYWHERE = (
    "wall time: process 1 of the cell; CPU time: process 1 over all processes, and RLIMIT_CPU; "
    "output: process 1; files: size and number of the cell's own tmpfs, RLIMIT_FSIZE; network and "
    "system calls: no network in the cell, seccomp"
)


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        name: What was looked at.
        ok: Whether it works.
        detail: What was found, with the fix where it does not work.
        limits: What enforces which limit; empty where that is not the question.
        canaries: How each hostile program of the self-test ended; empty where none was run.
    """

    name: str
    ok: bool
    detail: str
    limits: str = ""
    canaries: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What works here.

    Attributes:
        available: Whether programs can be run.
        backend: What `auto` uses, None where nothing works.
        checks: All findings.
    """

    available: bool
    backend: str | None
    checks: tuple[Check, ...]


def _cgroup_check() -> Check:
    hierarchy = find_hierarchy()
    if hierarchy is not None:
        folders = ", ".join(str(folder) for folder in hierarchy.folders.values())
        return Check("control groups", True, f"{hierarchy.label} in {folders}")
    return Check(
        "control groups",
        False,
        "none can be written: memory is limited per process and by polling; for exact limits run "
        "as root, or under: systemd-run --user --scope -p Delegate=yes",
    )


def _kernel_check() -> Check:
    namespaces = Path("/proc/sys/user/max_user_namespaces")
    allowed = namespaces.read_text().strip() if namespaces.exists() else "unknown"
    detail = (
        f"{platform.system()} {platform.release()} on {platform.machine()}, "
        f"{'root' if os.geteuid() == 0 else 'not root'}, user namespaces allowed: {allowed}"
    )
    return Check("system", platform.system() == "Linux", detail)


def check_backend(name: str) -> Check:
    """Return what a backend can do here, after running its self-test.

    Args:
        name: `docker`, `docker:RUNTIME`, `namespaces:bwrap` or `namespaces:unshare`.
    """
    try:
        backend = backend_factory(name)(LIMITS)
        try:
            findings = tuple(run_canaries(backend))
        finally:
            backend.close()
    except SandboxUnavailableError as error:
        return Check(name, False, f"{error}{advice(str(error))}")
    failed = [finding for finding in findings if not finding.holds]
    detail = f"{backend.isolation}: {len(findings) - len(failed)} of {len(findings)} canaries held"
    for finding in failed:
        detail += f"\n{finding.name}: {finding.detail}"
    limits = f"memory and processes: {backend.limits_enforced_by}; {_EVERYWHERE}"
    return Check(name, not failed, detail, limits, findings)


def diagnose() -> Diagnosis:
    """Return what works on this machine; builds a cell of every kind and runs its self-test."""
    checks = [_kernel_check()]
    used = None
    if checks[0].ok:
        checks.append(_cgroup_check())
    for name in STAND_FOR["auto"]:
        check = check_backend(name)
        checks.append(check)
        used = used or (name if check.ok else None)
    return Diagnosis(used is not None, used, tuple(checks))
