"""A process that imports what engines and trainers need once, and forks them.

Importing PyTorch, Transformers and TRL takes seconds, several times a round. `start_child` asks
this process, `python -m tasks.fork_server SOCKET`, for a worker instead of starting a Python from
nothing: it imports the worker's libraries where it has not yet, forks, and the child runs the
module as `python -m` would. It has a single thread and never uses what it imported, so that a child
finds it all as it was imported. It ends with the process that started it.

Not used where there is an NVIDIA device: some library may look for it while being imported, and
CUDA does not survive a fork.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
import traceback
from contextlib import suppress
from typing import Any

os.environ["SPT_NOENV"] = "1"  # a title takes the place of the arguments alone
from setproctitle import setproctitle

NUM_FDS = 4  # stdin, stdout, stderr, and where the process id and the exit code are written
_REQUEST_BYTES = 1 << 20


def main() -> None:
    """Serve requests until the socket's other end is closed or the parent is gone."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    parent = os.pidfd_open(int(sys.argv[2]))
    wakes, wakened = os.pipe()
    for end in (wakes, wakened):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wakened, warn_on_full_buffer=False)
    poller = select.poll()
    for file in (requests.fileno(), parent, wakes):
        poller.register(file, select.POLLIN)
    reports: dict[int, int] = {}  # by process id of a child: where its exit code is told
    while True:
        ready = [file for file, _ in poller.poll()]
        if parent in ready:
            return
        if wakes in ready:
            with suppress(BlockingIOError):
                os.read(wakes, 4096)
            _reap(reports)
        if requests.fileno() in ready:
            message, fds, _, _ = socket.recv_fds(requests, _REQUEST_BYTES, NUM_FDS)
            if not message:
                return
            request = json.loads(message)
            _import(request["imports"])
            pid = os.fork()
            if pid == 0:
                for file in (requests.detach(), parent, wakes, wakened, *reports.values()):
                    os.close(file)
                _run(request, fds)
            for file in fds[:-1]:
                os.close(file)
            reports[pid] = fds[-1]


def _import(name: str) -> None:
    # What can't be imported fails in the child, which has somewhere to say so.
    with suppress(Exception):
        importlib.import_module(name)


def _reap(reports: dict[int, int]) -> None:
    """Tell the exit codes of the children that have ended."""
    for pid in list(reports):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            report = reports.pop(pid)
            _tell(report, "exit", os.waitstatus_to_exitcode(status))
            os.close(report)


def _tell(report: int, what: str, number: int) -> None:
    with suppress(BrokenPipeError):
        os.write(report, f"{what} {number}\n".encode())


def _run(request: dict[str, Any], fds: list[int]) -> None:
    """In the child: become what `python -m module arguments` would be, and end."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    _tell(fds[-1], "pid", os.getpid())  # now a signal to its group reaches it
    for number, file in enumerate(fds[:-1]):
        os.dup2(file, number)
    for file in fds:
        os.close(file)
    setproctitle(f"selfloom {request['module']}")
    os.environ.clear()
    os.environ.update(request["environment"])
    code = 1
    try:
        os.chdir(request["folder"])
        random.seed()
        sys.argv = ["", *request["arguments"], str(os.getppid())]
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
