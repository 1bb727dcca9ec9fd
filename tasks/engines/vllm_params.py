"""Our options and requests in vLLM's words."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from vllm import SamplingParams
from vllm.config import StructuredOutputsConfig
from vllm.platforms import current_platform
from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

from tasks.engines.base import GenerationRequest, Structure
from tasks.engines.model_folder import read_adapter_config
from tasks.engines.vllm_distributions import NUM_COLUMNS

_CPU_KV_CACHE_GIB = 1.0
# vLLM's kernels know these ranks; an adapter is served by the next higher one.
_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
# Room for seed + index in 64 bits with a sign.
_SEED_MASK = 2**62 - 1


def engine_arguments(path: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of vLLM's EngineArgs.

    Args:
        path: The model folder.
        options: The fields of `VllmOptions`.
    """
    is_cpu = current_platform.is_cpu()
    cache_gib, eager = options["kv_cache_gib"], options["enforce_eager"]
    if cache_gib is None and is_cpu:
        # vLLM's own choice is most of the memory, which the sandbox and training need too.
        cache_gib = _CPU_KV_CACHE_GIB
    arguments = {
        "model": path,
        "dtype": _stored_dtype(path) if options["dtype"] == "auto" else options["dtype"],
        "max_num_seqs": options["max_num_seqs"],
        "gpu_memory_utilization": options["gpu_memory_utilization"],
        "kv_cache_memory_bytes": None if cache_gib is None else int(cache_gib * 2**30),
        "enforce_eager": is_cpu if eager is None else eager,
        "tensor_parallel_size": options["tensor_parallel_size"],
        "data_parallel_size": options["data_parallel_size"],
        "enable_prefix_caching": options["enable_prefix_caching"],
        "load_format": "safetensors",
        "generation_config": "vllm",
        "logprobs_mode": "raw_logprobs",
        "worker_extension_cls": "tasks.engines.vllm_distributions.ShowsDistributions",
        # One backend for every structure: vLLM's own choice for the first one would serve them all.
        # JSON has no free whitespace, with which small models like to fill all of a completion.
        "structured_outputs_config": StructuredOutputsConfig(
            backend="guidance", disable_any_whitespace=True
        ),
        "disable_log_stats": True,
    }
    if is_cpu:
        # vLLM 0.32 can't take back a random number on a CPU, which it does for a sample with a
        # seed whose prompt it reads in parts: "CPU Generator does not use offset".
        arguments["enable_chunked_prefill"] = False
        # Only whole blocks are shared. vLLM's 128 tokens are longer than many a prompt; with 32,
        # the least its CPU kernels like, 8 samples of short prompts took a quarter less time.
        arguments["block_size"] = 32
    if options["max_model_len"] is not None:
        arguments["max_model_len"] = options["max_model_len"]
    if options["lora_path"] is not None:
        settings = read_adapter_config(options["lora_path"])
        rank = max([settings["r"], *(settings.get("rank_pattern") or {}).values()])
        arguments["enable_lora"] = True
        arguments["max_lora_rank"] = min((r for r in _LORA_RANKS if r >= rank), default=rank)
        if isinstance(targets := settings.get("target_modules"), list):
            # Prepared for any adapter, the output layer can't read prompts' log-probabilities.
            arguments["lora_target_modules"] = sorted(targets)
    return {**arguments, **options["extra"]}


def sampling_params(request: GenerationRequest, stop_tokens: Collection[int]) -> SamplingParams:
    """How a request is sampled.

    Args:
        request: Sample `i` gets the seed `request.seed + i`, which is vLLM's own rule for n. A
            greedy request is asked for once: all its samples are the same.
        stop_tokens: The tokens that end a sample.

    Raises:
        ValueError: If vLLM does not take a value.
    """
    return SamplingParams(
        n=request.n if request.temperature > 0 else 1,
        seed=request.seed & _SEED_MASK,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        max_tokens=request.max_new_tokens,
        stop=list(request.stop),
        stop_token_ids=sorted(stop_tokens),
        # The text is decoded once at the end; vLLM needs it only to find a stop text.
        detokenize=bool(request.stop),
        logprobs=NUM_COLUMNS,
        flat_logprobs=True,
        structured_outputs=request.structure and _structured(request.structure),
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def scoring_params() -> SamplingParams:
    """How a prompt is read for the log-probabilities of its tokens."""
    return SamplingParams(
        temperature=0.0,
        max_tokens=1,
        prompt_logprobs=NUM_COLUMNS,
        flat_logprobs=True,
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _stored_dtype(path: str) -> str:
    """The data type that a model's config names; vLLM's own `auto` would halve float32."""
    config = json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))
    return str(config.get("dtype") or config.get("torch_dtype") or "auto")


def _structured(structure: Structure) -> StructuredOutputsParams:
    """A structure as vLLM takes it."""
    if structure.json_schema is not None:
        schema = json.loads(structure.json_schema)
        if not isinstance(schema, dict):
            raise ValueError(f"a JSON schema is an object, not {structure.json_schema!r}")
        return StructuredOutputsParams(json=schema)
    if structure.regex is not None:
        return StructuredOutputsParams(regex=structure.regex)
    return StructuredOutputsParams(choice=list(structure.choices))
