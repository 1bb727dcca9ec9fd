"""Says what of the sandbox works on this machine, and how to fix what does not."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from sandbox.backends.cgroups import find_hierarchy
from sandbox.errors import SandboxUnavailableError
from sandbox.limits import Limits
from sandbox.opening import choose_backend


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        name: What was looked at.
        ok: Whether it works.
        detail: What was found, with the fix where it does not work.
    """

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What works here.

    Attributes:
        available: Whether programs can be run.
        builder: What `auto` uses, None where nothing works.
        checks: All findings.
    """

    available: bool
    builder: str | None
    checks: tuple[Check, ...]


def _cgroup_check() -> Check:
    hierarchy = find_hierarchy()
    if hierarchy is not None:
        folders = ", ".join(str(folder) for folder in hierarchy.folders.values())
        return Check("cgroups", True, f"{hierarchy.label} in {folders}")
    return Check(
        "cgroups",
        False,
        "no control group can be written: memory is limited per process and by polling; for exact "
        "limits run as root, or under: systemd-run --user --scope -p Delegate=yes",
    )


def _kernel_check() -> Check:
    namespaces = Path("/proc/sys/user/max_user_namespaces")
    allowed = namespaces.read_text().strip() if namespaces.exists() else "unknown"
    detail = (
        f"{platform.system()} {platform.release()} on {platform.machine()}, "
        f"{'root' if os.geteuid() == 0 else 'not root'}, user namespaces allowed: {allowed}"
    )
    return Check("system", platform.system() == "Linux", detail)


def diagnose() -> Diagnosis:
    """Return what works on this machine; builds and tests a cell with every known builder."""
    checks = [_kernel_check()]
    if checks[0].ok:
        checks.append(_cgroup_check())
    builder = None
    for candidate in ("bwrap", "unshare"):
        try:
            choose_backend(f"namespaces:{candidate}", Limits())
        except SandboxUnavailableError as error:
            checks.append(Check(candidate, False, str(error)))
        else:
            builder = builder or candidate
            checks.append(Check(candidate, True, "a cell was built and passed its self-test"))
    return Diagnosis(builder is not None, builder, tuple(checks))
