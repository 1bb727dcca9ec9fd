"""Children of this process's fork server, as `subprocess.Popen` would give them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

# CUDA does not survive a fork, and a library may look for a device while it is imported.
_HAS_GPU = any(Path("/dev").glob("nvidia*"))


class ForkedChild:
    """A child of the fork server, with what we need of `subprocess.Popen`.

    Attributes:
        pid: Its process id, which is also its group's.
        stdin: A pipe to it, None where it was not asked to talk.
        stdout: A pipe from it, likewise.
        returncode: As Popen's; None while it runs.
    """

    def __init__(self, report: IO[bytes], stdin: IO[bytes] | None, stdout: IO[bytes] | None):
        """Wait until it is there.

        Raises:
            ConnectionError: The fork server ended before.
        """
        self._report, self.stdin, self.stdout = report, stdin, stdout
        self.returncode: int | None = None
        self._lock = threading.Lock()
        what, _, number = report.readline().partition(b" ")
        if what != b"pid":
            raise ConnectionError("the fork server ended")
        self.pid = int(number)

    def wait(self, timeout: float | None = None) -> int:
        """As `Popen.wait`; a child whose server is gone was killed, as `die_with_parent` does."""
        with self._lock:
            if self.returncode is None:
                if timeout is not None:
                    poller = select.poll()
                    poller.register(self._report, select.POLLIN)
                    if not poller.poll(max(0.0, timeout) * 1000):
                        raise subprocess.TimeoutExpired(str(self.pid), timeout)
                what, _, number = self._report.readline().partition(b" ")
                self.returncode = int(number) if what == b"exit" else -signal.SIGKILL
                self._report.close()
            return self.returncode

    def poll(self) -> int | None:
        """As `Popen.poll`."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(timeout=0)
        return self.returncode

    def terminate(self) -> None:
        """As `Popen.terminate`."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)


class _Forks:
    """This process's fork server: started when first needed, and again if it was killed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._requests: socket.socket | None = None

    def start(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        imports: str,
        *,
        stderr: IO[bytes],
        talk: bool,
    ) -> ForkedChild | None:
        """The child, or None where forking is not possible."""
        if not hasattr(os, "pidfd_open") or _HAS_GPU:
            return None
        request = json.dumps(
            {
                "module": module,
                "arguments": list(arguments),
                "environment": dict(environment),
                "imports": imports,
                "folder": os.getcwd(),
            }
        ).encode()
        with self._lock:
            for _ in range(2):  # the server may have been killed since
                with contextlib.suppress(OSError):
                    return self._ask(self._server(environment), request, stderr, talk)
                self._requests = None
        return None

    def _server(self, environment: Mapping[str, str]) -> socket.socket:
        if self._requests is None or self._owner != os.getpid():
            ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            numbers = (str(its.fileno()), str(os.getpid()))
            with its:
                subprocess.Popen(
                    [sys.executable, "-m", "tasks.fork_server", *numbers],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={**environment, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
                    start_new_session=True,
                    pass_fds=[its.fileno()],
                )
            self._requests, self._owner = ours, os.getpid()
        return self._requests

    @staticmethod
    def _ask(requests: socket.socket, request: bytes, stderr: IO[bytes], talk: bool) -> ForkedChild:
        with contextlib.ExitStack() as theirs:

            def pipe(child_reads: bool) -> tuple[int, IO[bytes]]:
                reads, writes = os.pipe()
                its, ours = (reads, writes) if child_reads else (writes, reads)
                theirs.callback(os.close, its)
                return its, os.fdopen(ours, "wb" if child_reads else "rb")

            report_fd, report = pipe(child_reads=False)
            if talk:
                (stdin_fd, stdin), (stdout_fd, stdout) = pipe(True), pipe(False)
            else:
                null = theirs.enter_context(open(os.devnull, "rb"))
                stdin_fd, stdin, stdout_fd, stdout = null.fileno(), None, stderr.fileno(), None
            fds = [stdin_fd, stdout_fd, stderr.fileno(), report_fd]
            socket.send_fds(requests, [request], fds)
        return ForkedChild(report, stdin, stdout)


_FORKS = _Forks()
start_forked = _FORKS.start
