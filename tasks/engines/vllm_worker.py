"""The process that holds a model for the `vllm` engine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from tasks.engines.model_folder import adapted_weight_hash, weight_hash
from tasks.engines.worker import WorkerModel, run_worker


def load(path: str, options: Mapping[str, Any]) -> WorkerModel:
    """A model served by vLLM.

    Args:
        path: The model folder.
        options: The fields of `VllmOptions`.
    """
    # vLLM reads these when it is imported.
    os.environ |= {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        # Copies of the model need processes of their own. One alone lives in this process, so
        # that killing this process leaves nothing behind.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "1" if options["data_parallel_size"] > 1 else "0",
    }
    # Cores are shared with the sandbox and other engines; OMP_NUM_THREADS bounds the threads.
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    from tasks.engines.vllm_model import VllmModel

    return VllmModel.load(path, options)


def identify(path: str, options: Mapping[str, Any]) -> str:
    """The hash of the served weights, with the adapter's if there is one."""
    adapter = options["lora_path"]
    return weight_hash(path) if adapter is None else adapted_weight_hash(path, adapter)


if __name__ == "__main__":
    run_worker(load, identify)
