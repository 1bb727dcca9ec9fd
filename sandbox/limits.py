"""What a program may use up before it is stopped."""

import math
from dataclasses import dataclass, fields

from sandbox.errors import SandboxUsageError

# A Python process with the preloaded library maps about this much before it runs a line.
MIN_MEMORY_MIB = 64

_RANGES: dict[str, tuple[float, float]] = {
    "wall_s": (0.05, 3600),
    "cpu_s": (0.05, 3600),
    "memory_mib": (MIN_MEMORY_MIB, 1 << 20),
    "processes": (1, 4096),
    "stdout_kib": (1, 1 << 18),
    "stderr_kib": (1, 1 << 18),
    "file_mib": (1, 1 << 16),
    "tmp_mib": (1, 1 << 16),
    "tmp_inodes": (16, 1 << 20),
    "open_files": (32, 4096),
    "source_kib": (1, 1 << 16),
    "stdin_kib": (1, 1 << 18),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of every program of a sandbox.

    The wall limit should be at least three times the CPU limit, so that a verdict does not flip
    when the machine is busy: programs that compute are stopped by CPU time, and only those that
    wait by the wall clock.

    Attributes:
        wall_s: Seconds by the clock. Time in which other processes kept the program from running
            is not counted, up to three times the limit.
        cpu_s: Seconds of CPU time over all threads and processes of the program.
        memory_mib: Memory of all its processes and files together (per process where no cgroup
            can be written, see `Execution.limits_enforced_by`).
        processes: Processes and threads alive at once.
        stdout_kib: Longer standard output is `output_limit`.
        stderr_kib: Longer standard error is cut; sixteen times as much is `output_limit`.
        file_mib: Size of one file.
        tmp_mib: Size of `/tmp`, and of `/dev/shm`.
        tmp_inodes: Files and folders in `/tmp`, and in `/dev/shm`.
        open_files: Open file descriptors of one process.
        source_kib: Longer source is `compile_error` with the flag `source_too_large`.
        stdin_kib: Longer input is refused with `SandboxUsageError`.

    Raises:
        SandboxUsageError: A value is not a finite number in its range.

    Example:
        >>> Limits(cpu_s=1).wall_s
        6.0
    """

    wall_s: float = 6.0
    cpu_s: float = 2.0
    memory_mib: int = 256
    processes: int = 32
    stdout_kib: int = 1024
    stderr_kib: int = 64
    file_mib: int = 16
    tmp_mib: int = 32
    tmp_inodes: int = 2048
    open_files: int = 256
    source_kib: int = 1024
    stdin_kib: int = 16384

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = _RANGES[field.name]
            kinds = (int, float) if field.name.endswith("_s") else (int,)
            if isinstance(value, bool) or not isinstance(value, kinds):
                kind = "a number" if float in kinds else "an integer"
                raise SandboxUsageError(
                    f"Limits({field.name}={value!r}): expected {kind} from {low:g} to {high:g}"
                )
            if not math.isfinite(value) or not low <= value <= high:
                raise SandboxUsageError(
                    f"Limits({field.name}={value!r}): out of range; set {low:g} to {high:g}"
                )
