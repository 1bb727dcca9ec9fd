"""The sampling primitive: ask a model about problems, get its completions as `samples` rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from storage import content_id
from tasks.engines import Completion, Engine, GenerationRequest, OnProgress
from tasks.environments import Problem

Purpose = Literal["train", "evaluate"]
SEED_BITS = 40  # leaves room for the sample index and stays exact in a double


class SamplingSpec(BaseModel):
    """How completions are drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = Field(default=8, ge=1, le=4096, description="Completions per problem.")
    temperature: float = Field(
        default=0.7, ge=0.0, le=5.0, description="0 is greedy, 1 the model's own distribution."
    )
    top_p: float = Field(
        default=1.0, gt=0.0, le=1.0, description="Nucleus: smallest set of tokens with this mass."
    )
    top_k: int = Field(default=0, ge=0, description="Most likely tokens kept; 0 keeps all.")
    max_new_tokens: int = Field(
        default=64, ge=1, le=32_768, description="Tokens after which a completion is cut off."
    )


@dataclass(frozen=True)
class SampleKey:
    """What the samples of one call have in common.

    Attributes:
        run: Run that asks.
        round: Its round.
        purpose: `train` samples may become training rows, `evaluate` ones never do.
        role: `program` where the completion is run, else `answer`.
        policy_id: The model that answers.
    """

    run: str
    round: int
    purpose: Purpose
    role: Literal["answer", "program"]
    policy_id: str


def sample_seed(seed: int, key: SampleKey, spec: SamplingSpec, prompt_id: str) -> int:
    """The seed of a problem's first sample: one per (seed, round, purpose, temperature, prompt).

    It does not depend on the shard, the batch or the run's name, so resumed and repeated work draws
    the same samples.

    Example:
        >>> key = SampleKey("a", 1, "train", "answer", "m")
        >>> sample_seed(0, key, SamplingSpec(), "p") < 2**52
        True
    """
    text = f"{seed}\x1f{key.round}\x1f{key.purpose}\x1f{spec.temperature}\x1f{prompt_id}"
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> (64 - SEED_BITS)
    return number * 4096  # seeds of two prompts are at least n apart


def sample_rows(
    engine: Engine,
    problems: Sequence[Problem],
    spec: SamplingSpec,
    key: SampleKey,
    *,
    seed: int,
    on_progress: OnProgress | None = None,
) -> Iterator[dict[str, object]]:
    """Ask an engine about problems and yield one `samples` row per (problem, sample index).

    Args:
        engine: Serves the policy; its weight hash goes into every row.
        problems: What to ask.
        spec: How to draw.
        key: What the rows have in common.
        seed: The run's seed.
        on_progress: Called with (finished samples, all samples).
    """
    requests = [
        GenerationRequest(
            id=problem.id,
            messages=problem.messages,
            seed=sample_seed(seed, key, spec, problem.id),
            **spec.model_dump(),
        )
        for problem in problems
    ]
    sampling = json.dumps(spec.model_dump(), sort_keys=True)
    for group in engine.generate(requests, on_progress):
        for completion in group:
            yield _row(completion, key, sampling, engine.weight_hash) | {"engine": engine.name}


def _row(
    completion: Completion, key: SampleKey, sampling: str, weight_hash: str
) -> dict[str, object]:
    identity = (key.run, key.round, completion.request_id, key.role, key.purpose)
    return {
        "id": content_id("sample", *identity, sampling, completion.index, weight_hash),
        "prompt_id": completion.request_id,
        "parent_ids": [],
        "role": key.role,
        "purpose": key.purpose,
        "turn": 0,
        "index": completion.index,
        "policy_id": key.policy_id,
        "weight_hash": weight_hash,
        "sampling": sampling,
        "seed": completion.seed,
        "text": completion.text,
        "num_tokens": completion.num_tokens,
        "finish_reason": completion.finish_reason,
        "sum_logprob": completion.sum_logprob,
        "mean_logprob": completion.mean_logprob,
        "min_logprob": completion.min_logprob,
        "mean_entropy": completion.mean_entropy,
        "status": "ok",
    }
