"""Outer process of one cell: puts the jail into its control group, and cleans up after it.

A process of its own, so that a parent killed with SIGKILL leaves neither processes nor control
groups. Runs by path on the standard library only. Standard input and output are the cell's control
channel and are passed on untouched; the lifeline is a pipe whose other end only the parent holds.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any


def _enter(groups: list[str]) -> None:
    for folder in groups:
        with open(os.path.join(folder, "cgroup.procs"), "w") as file:
            file.write("0")


def _remove(groups: list[str]) -> None:
    deadline = time.monotonic() + 5
    for folder in groups:
        while time.monotonic() < deadline:
            try:
                os.rmdir(folder)
                break
            except FileNotFoundError:
                break
            except OSError:
                with contextlib.suppress(OSError), open(f"{folder}/cgroup.procs") as file:
                    for pid in file.read().split():
                        os.kill(int(pid), signal.SIGKILL)
                time.sleep(0.005)


def main() -> int:
    """Run the command of the first argument (JSON) until it or the parent ends."""
    config: dict[str, Any] = json.loads(sys.argv[1])
    groups: list[str] = config["groups"]
    lifeline: int = config["lifeline"]
    try:
        # Joining in the child keeps this interpreter's own memory out of the cell's limit.
        cell = subprocess.Popen(
            config["argv"], env=config["environment"], preexec_fn=lambda: _enter(groups)
        )
        # Only the cell may hold the channel now: its end must be visible to the parent.
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        pidfd = os.pidfd_open(cell.pid)
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        poller.register(lifeline, select.POLLIN | select.POLLHUP)
        if lifeline in dict(poller.poll()):
            # Process 1 sees the closed channel too and goes by itself, unless it hangs.
            poller.unregister(lifeline)
            if not poller.poll(config["grace_ms"]):
                cell.kill()
        return cell.wait()
    finally:
        _remove(groups)


if __name__ == "__main__":
    sys.exit(main())
