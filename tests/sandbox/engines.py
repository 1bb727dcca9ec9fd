"""A real container engine for tests: one that is there, or one of our own in a temporary folder."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import SandboxUnavailableError
from sandbox.backends.engine import connect
from sandbox.image import build_image

_START_TIMEOUT_S = 60.0


def why_no_engine_of_our_own() -> str | None:
    """Why none can be started here, None when one can."""
    if os.geteuid() != 0:
        return "starting an engine needs root"
    if shutil.which("dockerd") is None:
        return "dockerd is not installed: scripts/system-packages docker"
    return None


@contextlib.contextmanager
def engine_at(url: str) -> Iterator[None]:
    """Let the sandbox find this engine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", url)
        yield


class Engine:
    """An engine in a folder of its own, without a network; can be ended and started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.url = f"unix://{folder}/engine.sock"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # Killed with its parent, but a zombie where nothing reaps: dockerd would wait for it.
        (self.folder / "exec/containerd/containerd.pid").unlink(missing_ok=True)
        argv = ["dockerd", "--host", self.url, "--bridge", "none", "--iptables=false"]
        argv += ["--ip6tables=false", "--data-root", f"{self.folder}/data"]
        argv += ["--exec-root", f"{self.folder}/exec", "--pidfile", f"{self.folder}/pid"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*argv, *self._options], stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                with engine_at(self.url):
                    connect(5.0).close()
                return
            except SandboxUnavailableError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log_end = (self.folder / "log").read_text()[-2000:]
                    raise SandboxUnavailableError(f"dockerd: {error}\n{log_end}") from error
            time.sleep(0.05)

    def end(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """End it as a service manager does, or as it never should."""
        if self._process is not None:
            self._process.send_signal(with_signal)
            self._process.wait(60)


@contextlib.contextmanager
def engine_of_our_own(*options: str) -> Iterator[Engine]:
    """Start an engine in a new temporary folder; nothing of it is left."""
    # Not pytest's folder: the path of a socket has room for a hundred bytes.
    with tempfile.TemporaryDirectory(prefix="selfloom-engine-") as folder:
        engine = Engine(Path(folder), *options)
        try:
            engine.start()
            yield engine
        finally:
            engine.end()
            _kill_what_names(folder)
            _unmount_below(folder)


def _kill_what_names(folder: str) -> None:
    """Whatever an engine that was killed has left running: watchers of containers, and those."""
    watchers = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and f"{folder}/" in (entry / "cmdline").read_text():
                watchers.append(int(entry.name))
    for pid in watchers:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in (*map(int, children), pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)


def _unmount_below(folder: str) -> None:
    """Whatever an engine that was killed has left mounted."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((p for p in points if p.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", point], check=False)


def copy_image(tag: str, source: str, target: str) -> None:
    """Copy an image from one engine to another."""
    with tempfile.TemporaryFile() as archive:
        with engine_at(source), connect(300.0) as engine:
            for chunk in engine.get_image(tag):
                archive.write(chunk)
        archive.seek(0)
        with engine_at(target), connect(300.0) as engine:
            for _ in engine.load_image(archive):
                pass


def with_image(url: str) -> str:
    """Build the cell image in an engine unless it has it; return its name."""
    with engine_at(url):
        return build_image()
