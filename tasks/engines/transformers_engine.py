"""The `transformers` engine: a local model served by a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from tasks.engines.base import EngineOptions
from tasks.engines.worker_engine import WorkerEngine


class TransformersOptions(EngineOptions):
    """How the `transformers` engine uses the machine.

    None of it changes what is sampled, up to the arithmetic of data type and device.
    """

    SPEED_ONLY: ClassVar = frozenset({"num_threads", "rows_per_batch", "tokens_per_batch"})
    PACKAGES: ClassVar = ("transformers", "torch")

    num_threads: int = Field(2, ge=1, description="CPU threads of the engine's process")
    rows_per_batch: int = Field(256, ge=1, description="samples decoded together at most")
    tokens_per_batch: int = Field(
        32768, ge=1, description="prompt and new tokens of a batch at most; bounds the KV cache"
    )
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = Field(
        "float32", description="data type of the weights in memory; auto: as stored"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto takes the GPU where there is one"
    )


class TransformersEngine(WorkerEngine):
    """A model folder served by `transformers` in a worker process; an `Engine`.

    It gives every measure and takes stop texts; it knows no structured output.

    Args:
        model_path: A local model folder.
        options: How to use the machine.

    Raises:
        ModelFolderError: If the folder can't be loaded from; nothing was started then.
        EngineError: If the worker does not come up.
    """

    name = "transformers"
    worker_module = "tasks.engines.transformers_worker"
    worker_imports = "tasks.engines.served_model"

    def __init__(self, model_path: str | Path, options: TransformersOptions | None = None) -> None:
        """Start the worker and wait until the model is loaded."""
        self.options = options or TransformersOptions()
        super().__init__(model_path, self.options, self.options.num_threads)
