"""Worker processes that never outlive the process which started them.

Engines and trainers run as `python -m <module>` in a session of their own, or are forked from a
process that has imported their libraries (`tasks.fork_server`), so that their memory
is really free when they end and one signal reaches everything they started. Two nets catch them:
the parent kills the whole process group in its `finally`, and the child watches its parent and
kills its own group when the parent is gone (SIGKILL, power of the terminal, a crashed flow).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tasks.forked_child import ForkedChild, start_forked

# The folder that holds the top-level packages: the child must import the same `tasks` as we do,
# whatever its working directory is.
_IMPORT_ROOT = str(Path(__file__).resolve().parents[1])

# How long the death of a killed process group is waited for.
_GROUP_END_S = 5.0

_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "PYTHONUNBUFFERED": "1",
    # Threads that wait at a barrier sleep instead of spinning. Where cores are shared with the
    # sandbox or another model, spinning slows both several times.
    "OMP_WAIT_POLICY": "PASSIVE",
}

# For children that compute with tensors: freed memory stays with the process. glibc gives large
# blocks back at once, and a generation that frees and takes its cache at every token spent a fifth
# of its time on getting empty pages again. Variables of the user's own come first.
_KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
}


Child = subprocess.Popen[bytes] | ForkedChild


def start_child(
    module: str,
    arguments: Sequence[str],
    num_threads: int,
    *,
    stderr: IO[bytes],
    talk: bool,
    imports: str | None = None,
) -> Child:
    """Start `python -m module` in its own session, offline, bound to this process's life.

    Args:
        module: The module to run; its `main` must call `die_with_parent` first.
        arguments: Command-line arguments; this process's id is added as the last one.
        num_threads: Threads that numeric libraries of the child may use.
        stderr: An open file that takes everything the child prints.
        talk: Whether stdin and stdout are pipes to us; if not, stdout goes to `stderr`.
        imports: A module that imports what takes the child long; this process's children have it
            imported once, and keep the memory that they free. None: the child starts from nothing.

    Returns:
        The started process; end it with `end_child`.
    """
    inherited = os.environ.get("PYTHONPATH")
    environment = {
        **(_KEEP_MEMORY if imports is not None else {}),
        **os.environ,
        **_OFFLINE,
        "OMP_NUM_THREADS": str(num_threads),
        "MKL_NUM_THREADS": str(num_threads),
        "PYTHONPATH": os.pathsep.join([_IMPORT_ROOT, inherited] if inherited else [_IMPORT_ROOT]),
    }
    if imports is not None:
        forked = start_forked(module, arguments, environment, imports, stderr=stderr, talk=talk)
        if forked is not None:
            return forked
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments, str(os.getpid())],
        stdin=subprocess.PIPE if talk else subprocess.DEVNULL,
        stdout=subprocess.PIPE if talk else stderr,
        stderr=stderr,
        env=environment,
        start_new_session=True,
    )


def end_child(process: Child, grace_s: float = 0.0) -> None:
    """Make sure that the child and everything it started is gone, and reap it.

    Args:
        process: A process from `start_child`, running or already ended.
        grace_s: Seconds to wait for it to end by itself before its group is killed.
    """
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=grace_s)
    # The group may outlive its leader, so it is killed also when the leader has ended.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        # The others give their memory back a little later. Where no init process reaps them they
        # stay in the table for ever, so this ends at some time.
        deadline = time.monotonic() + _GROUP_END_S
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.02)
    process.wait()


def read_tail(file: IO[bytes], num_lines: int = 25) -> str:
    """The last lines that a child printed, for an error message.

    Args:
        file: The file that was given to `start_child` as `stderr`.
        num_lines: How many lines to return at most.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 64 * 1024))
    lines = file.read().decode("utf-8", errors="replace").splitlines()
    return "\n".join(lines[-num_lines:])


def die_with_parent(parent_pid: int) -> None:
    """In the child: kill the own process group as soon as the parent process is gone.

    Linux's PR_SET_PDEATHSIG is not used because it fires when the *thread* that started the
    child ends, and flows start engines from threads that come and go.

    Args:
        parent_pid: The process id of the starter; ends at once if it is already gone.
    """

    def watch() -> None:
        try:
            parent = os.pidfd_open(parent_pid)
        except (AttributeError, OSError):
            while os.getppid() == parent_pid:
                time.sleep(0.5)
        else:
            # The id could have been reused before we opened it: then we have another parent.
            if os.getppid() == parent_pid:
                poller = select.poll()
                poller.register(parent, select.POLLIN)
                poller.poll()
        os.killpg(os.getpgid(0), signal.SIGKILL)

    threading.Thread(target=watch, name="die-with-parent", daemon=True).start()
