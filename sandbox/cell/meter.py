"""CPU time and memory of all processes of a cell, from its own `/proc`.

Works without any cgroup, and sees children that were never waited for, which `rusage` misses.
"""

import os

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def _private_pages(pid: str, proc: str) -> int:
    with open(f"{proc}/{pid}/statm", "rb") as file:
        statm = file.read().split()
    return int(statm[1]) - int(statm[2])


def measure_cell(own_pid: int, proc: str = "/proc") -> tuple[float, int]:
    """Return CPU seconds and bytes of memory of every process but `own_pid`.

    Pages that a forked process still shares with `own_pid` look private to it; they are taken off.

    Args:
        own_pid: The process to leave out, the ancestor of all others.
        proc: Where the process file system is mounted.
    """
    ticks = 0
    pages = 0
    inherited = _private_pages(str(own_pid), proc)
    for name in os.listdir(proc):
        if not name.isdigit() or int(name) == own_pid:
            continue
        try:
            with open(f"{proc}/{name}/stat", "rb") as file:
                stat = file.read()
            pages += max(0, _private_pages(name, proc) - inherited)
        except OSError:
            continue  # It ended between the listing and the reading.
        # The command name may hold blanks and brackets; the fields after it cannot.
        fields = stat[stat.rindex(b")") + 2 :].split()
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICKS, pages * _PAGE


def withheld_ns(own_pid: int, proc: str = "/proc") -> int:
    """Return the longest time that a thread was ready to run but got no CPU, in nanoseconds.

    Zero where the kernel does not say. Without it a busy machine would turn a program that
    computes into one that timed out.

    Args:
        own_pid: The process to leave out.
        proc: Where the process file system is mounted.
    """
    longest = 0
    for name in os.listdir(proc):
        if not name.isdigit() or int(name) == own_pid:
            continue
        try:
            for thread in os.listdir(f"{proc}/{name}/task"):
                with open(f"{proc}/{name}/task/{thread}/schedstat", "rb") as file:
                    longest = max(longest, int(file.read().split()[1]))
        except OSError:
            continue
    return longest
