"""What process 1 of every cell is told, whichever backend builds the cell around it."""

import json
from collections.abc import Sequence
from typing import Any

from sandbox.limits import Limits

CODE_PATH = "/opt/selfloom"
PACKAGE_PATH = "/opt/packages"
# The same for all backends: a program may print where it imported numpy from.
PINNED_PATH = f"{PACKAGE_PATH}/image"

# High enough to belong to nobody; named `program` in the cell's /etc/passwd. Never 0: in a user
# namespace its root owns the /proc entries of process 1.
PROGRAM_UID = 2_000_000

# Imported once per cell instead of once per program.
PRELOAD = (
    "array", "bisect", "calendar", "cmath", "collections", "contextlib", "copy", "dataclasses",
    "datetime", "decimal", "enum", "fractions", "functools", "heapq", "inspect", "io", "itertools",
    "json", "math", "numbers", "operator", "random", "re", "statistics", "string", "textwrap",
    "time", "typing",
)  # fmt: skip

# Fixed, so that a program prints the same on every machine; no name of it comes from the host. The
# hash seed is that of the sandbox, see `cell_environment`.
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",
    "USER": "program",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


def cell_environment(seed: int) -> dict[str, str]:
    """Return the environment variables of every program.

    Args:
        seed: Of string hashes; they order sets.
    """
    return {**ENVIRONMENT, "PYTHONHASHSEED": str(seed)}


def zygote_config(
    limits: Limits,
    *,
    uid: int | None,
    cgroup: bool,
    max_processes: int | None,
    mount_scratch: bool,
    packages: Sequence[str],
    seed: int = 0,
    preload: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the configuration of process 1; plain JSON values.

    Args:
        limits: Limits of every program.
        uid: User id of programs; None where only the caller's own can be used.
        cgroup: Whether a control group limits memory, and the parent reads its counters.
        max_processes: Limit of processes of the uid; None where a control group counts them.
        mount_scratch: Whether process 1 still has to mount the writable folders.
        packages: Folders, as the cell sees them, that programs may import from.
        seed: Of hashes and of the global generators of random numbers.
        preload: Modules to import once per cell, beside `PRELOAD`.
    """
    return {
        "wall_s": limits.wall_s,
        "cpu_s": limits.cpu_s,
        "memory_mib": limits.memory_mib,
        "stdout_kib": limits.stdout_kib,
        "stderr_kib": limits.stderr_kib,
        "file_mib": limits.file_mib,
        "tmp_mib": limits.tmp_mib,
        "tmp_inodes": limits.tmp_inodes,
        "open_files": limits.open_files,
        "processes": max_processes,
        "cgroup": cgroup,
        "uid": uid,
        "environment": cell_environment(seed),
        "mount_scratch": mount_scratch,
        "code_path": CODE_PATH,
        "packages": list(packages),
        "preload": [*PRELOAD, *preload],
        "seed": seed,
    }


def zygote_argv(python: str, config: dict[str, Any]) -> list[str]:
    """Return the command of process 1.

    Args:
        python: The interpreter, as the cell sees it.
        config: From `zygote_config`.
    """
    start = f"import sys; sys.path.insert(0, {CODE_PATH!r}); "
    # Before anything else is imported that may register something to do after a fork.
    start += "from sandbox.cell import hooks; hooks.hold(); "
    start += "from sandbox.cell.zygote import main; main()"
    # Not -I: it would ignore PYTHONHASHSEED. The environment is ours anyway.
    flags = ["-s", "-S", "-P", "-X", "utf8", "-X", "int_max_str_digits=0", "-c", start]
    return [python, *flags, json.dumps(config)]
