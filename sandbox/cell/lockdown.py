"""What process 1 gives up before it runs the first program."""

import contextlib
import ctypes
import os
import resource

from sandbox.cell.seccomp import install_filter

_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_SECUREBITS = 28
_NOROOT_LOCKED = 0b11
_CAPABILITY_VERSION = 0x20080522
_CAP_KILL, _CAP_SETGID, _CAP_SETUID = 5, 6, 7
_M_ARENA_MAX = -8
_MIB = 1 << 20

_PROGRAM_OOM_SCORE = 500


def _prctl(option: int, value: int, name: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({name}): {os.strerror(number)}")


def _set_capabilities(mask: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    if libc.capset(header, data):
        number = ctypes.get_errno()
        raise OSError(number, f"capset: {os.strerror(number)}")


def drop_capabilities(*, switch_uid: bool) -> None:
    """Keep only what is needed to run programs under another uid, or nothing.

    Args:
        switch_uid: Whether programs get their own uid.
    """
    with open("/proc/sys/kernel/cap_last_cap") as file:
        last = int(file.read())
    _prctl(_PR_SET_SECUREBITS, _NOROOT_LOCKED, "PR_SET_SECUREBITS")
    for capability in range(last + 1):
        _prctl(_PR_CAPBSET_DROP, capability, "PR_CAPBSET_DROP")
    kept = (_CAP_KILL, _CAP_SETGID, _CAP_SETUID) if switch_uid else ()
    _set_capabilities(sum(1 << capability for capability in kept))


def _shield_from_oom() -> None:
    """Make the kernel prefer every program to process 1 when the cell's memory is full.

    Memory that belongs to no process (files, pipes) can fill the cell, and then the kernel takes
    whoever scores highest. A program may lower its own score, but not below the least that was set
    with privileges; the old name of the file sets a score without moving that least.
    """
    with open("/proc/self/oom_score_adj") as file:
        before = file.read()
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(_PROGRAM_OOM_SCORE))
        with open("/proc/self/oom_adj", "w") as file:
            file.write("0")
    except OSError:
        # Not privileged: what was raised can be taken back, and programs can lower theirs too.
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write(before)


def lock_down(*, switch_uid: bool, open_files: int, processes: int | None) -> None:
    """Apply everything that children inherit, so that a fork pays for none of it.

    Args:
        switch_uid: Whether programs get their own uid.
        open_files: Limit of open file descriptors.
        processes: Limit of processes of this uid; None where a cgroup counts them.

    Raises:
        OSError: The kernel refused a step; the cell must not run programs.
    """
    # Not 0 if we may: a host whose core pattern is a program gives it dumps at any limit but 1.
    core = 1 if resource.getrlimit(resource.RLIMIT_CORE)[1] else 0
    resource.setrlimit(resource.RLIMIT_CORE, (core, core))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
    resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, 0))
    # Deep recursion must end in the same place on every machine.
    resource.setrlimit(resource.RLIMIT_STACK, (8 * _MIB, 8 * _MIB))
    if processes is not None:
        resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
    # Each thread would reserve 64 MiB of the address space that a process may map.
    ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
    _shield_from_oom()
    drop_capabilities(switch_uid=switch_uid)
    install_filter()
    # Hides /proc/1/{mem,maps,fd,environ} from programs, whatever their uid.
    _prctl(_PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE")
