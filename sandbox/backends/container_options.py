"""What a container of the `docker` backend may do, and how it is told apart from others."""

import contextlib
import os
from pathlib import Path
from typing import Any

from sandbox.backends.process_one import (
    PACKAGE_PATH,
    PINNED_PATH,
    zygote_argv,
    zygote_config,
)
from sandbox.environment import Surroundings
from sandbox.limits import Limits

OWNER_LABEL = "selfloom.owner"

_MIB = 1 << 20
# Process 1 lives in the container's group too.
_OWN_MEMORY_MIB = 24
# Where the kernel's counters cannot be read, a program has to fail before the container does.
_UNSEEN_MEMORY_MIB = 128
_OWN_PROCESSES = 1
# The first three to run programs under another user; the last is given up by process 1 itself,
# after it used it to give up the others for good.
_CAPABILITIES = ("SETUID", "SETGID", "KILL", "SETPCAP")
_STRONGER_RUNTIMES = ("runsc", "kata")

# What engines hide anyway, and all that says something about the machine or could keep something
# for the next program.
_MASKED = (
    "/sys", "/dev/mqueue", "/dev/pts", "/proc/acpi", "/proc/asound", "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
    "/proc/timer_stats",
)  # fmt: skip


def isolation_of(runtime: str) -> str:
    """Return how strong a runtime's wall is.

    Example:
        >>> isolation_of("runc"), isolation_of("/usr/bin/runsc"), isolation_of("kata-fc")
        ('container', 'vm', 'vm')
    """
    name = os.path.basename(runtime)
    return "vm" if name.startswith(_STRONGER_RUNTIMES) else "container"


def _start_time(pid: int) -> str | None:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return None


def _machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"


def owner() -> str:
    """Return the label's value of this process: boot, pid namespace, pid, start time."""
    return f"{_machine()}/{os.getpid()}/{_start_time(os.getpid())}"


def is_orphan(label: str) -> bool:
    """Whether the process that made a container is dead for certain.

    Of a process in another pid namespace, on another machine or before a reboot we cannot know.
    """
    machine, pid, started = [*label.rsplit("/", 2), "", ""][:3]
    return machine == _machine() and pid.isdigit() and _start_time(int(pid)) != started


def host_config(
    engine: Any, limits: Limits, *, counted: bool, runtime: str | None, surroundings: Surroundings
) -> dict[str, Any]:
    """Return the options that wall a container in.

    Args:
        engine: Client of the SDK; its version decides what there is.
        limits: Limits of every program.
        counted: Whether the counters of the container's control group can be read.
        runtime: The engine's runtime, None for its default.
        surroundings: What the caller chose; its package folders are mounted read-only.
    """
    scratch = f"rw,nosuid,nodev,noexec,size={limits.tmp_mib}m,nr_inodes={limits.tmp_inodes}"
    slack = _OWN_MEMORY_MIB if counted else _OWN_MEMORY_MIB + _UNSEEN_MEMORY_MIB
    memory = (limits.memory_mib + slack) * _MIB
    options = {
        "network_mode": "none",
        "dns": ["127.0.0.1"],  # Else the host's name servers are written into the container.
        "dns_search": ["."],
        "read_only": True,
        "tmpfs": {folder: f"{scratch},mode=1777" for folder in ("/tmp", "/dev/shm")},
        "ipc_mode": "none",
        "cgroupns": "private",
        "cap_drop": ["ALL"],
        "cap_add": list(_CAPABILITIES),
        "security_opt": ["no-new-privileges"],
        "pids_limit": limits.processes + _OWN_PROCESSES,
        "mem_limit": memory,
        "memswap_limit": memory,
        "ulimits": [
            {"Name": "core", "Soft": 0, "Hard": 0},
            {"Name": "nofile", "Soft": limits.open_files, "Hard": limits.open_files},
        ],
        # The machine's memory is full: cells go before anything else; programs add to this.
        "oom_score_adj": 300,
        "log_config": {"Type": "none", "Config": {}},
        # Also when we are killed: the engine closes the channel, process 1 ends.
        "auto_remove": True,
        # A first process of the engine would take the place of ours.
        "init": False,
        "runtime": runtime,
        "mounts": [
            {"Type": "bind", "Source": str(path), "Target": f"{PACKAGE_PATH}/{i}", "ReadOnly": True}
            for i, path in enumerate(surroundings.packages)
        ],
    }
    return {**engine.create_host_config(**options), "MaskedPaths": list(_MASKED)}


def container_config(
    limits: Limits, *, uid: int, counted: bool, surroundings: Surroundings
) -> dict[str, Any]:
    """Return the rest of the options, as the SDK's `create_container` takes them."""
    folders = [f"{PACKAGE_PATH}/{i}" for i in range(len(surroundings.packages))]
    config = zygote_config(
        limits,
        uid=uid,
        cgroup=counted,
        max_processes=None,
        mount_scratch=False,
        # The caller's own come first: they may bring another version of a pinned one.
        packages=[*folders, PINNED_PATH],
        seed=surroundings.seed,
        preload=surroundings.preload,
    )
    return {
        "entrypoint": zygote_argv("python3", config),
        "command": [],
        "environment": config["environment"],
        "working_dir": "/",
        "user": "0:0",
        "hostname": "cell",
        "stdin_open": True,
        "stop_signal": "SIGKILL",
        "labels": {OWNER_LABEL: owner()},
        # Else the proxies of ~/.docker/config.json, with their passwords, are told to programs.
        "use_config_proxy": False,
    }
