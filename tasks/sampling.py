"""The sampling primitive: ask a model about problems, get its completions as `samples` rows.

A problem's samples are safe as soon as the engine hands them over: they go into a journal, which
becomes a shard when all problems are done. After a crash only the missing problems are asked again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from storage import Warehouse, content_id
from tasks.engines import Completion, Engine, GenerationRequest, OnProgress, request_digest
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
        role: `program` where the completion is run, else `answer`; or whatever else a model is
            asked for.
        policy_id: The model that answers.
    """

    run: str
    round: int
    purpose: Purpose
    role: str
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


def sample_groups(
    engine: Engine,
    problems: Sequence[Problem],
    spec: SamplingSpec,
    key: SampleKey,
    *,
    seed: int,
    skip: Collection[str] = (),
    on_progress: OnProgress | None = None,
) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """Ask an engine about problems and yield the `samples` rows of each as they are finished.

    Args:
        engine: Serves the policy; its weight hash goes into every row.
        problems: What to ask.
        spec: How to draw.
        key: What the rows have in common.
        seed: The run's seed.
        skip: Ids of problems that are done; they still count where the engine plans its batches,
            so that the others are drawn as if all had been asked.
        on_progress: Called with (finished samples, all samples).

    Yields:
        (problem id, one row per sample index), in an order of the engine's choice.
    """
    settings = spec.model_dump()
    requests = [
        GenerationRequest(
            id=problem.id,
            messages=problem.messages,
            seed=sample_seed(seed, key, spec, problem.id),
            **settings,
        )
        for problem in problems
    ]
    sampling = json.dumps(settings, sort_keys=True)
    for request, completions in engine.iterate(requests, on_progress, skip):
        digest = request_digest(engine.fingerprint, request)
        yield request.id, [_row(own, key, sampling, engine, digest) for own in completions]


def sample_shard(
    warehouse: Warehouse,
    engine: Engine,
    problems: Sequence[Problem],
    spec: SamplingSpec,
    key: SampleKey,
    *,
    seed: int,
    part: str,
    on_progress: OnProgress | None = None,
) -> None:
    """Ask an engine about problems and commit its samples as one shard, unless it is committed.

    Called again after a crash, it asks only about the problems whose samples are not all safe.

    Args:
        warehouse: Where the shard goes, in the order of the problems.
        engine: Serves the policy.
        problems: What to ask; no two of the same id.
        spec: How to draw.
        key: What the rows have in common.
        seed: The run's seed.
        part: Name of the shard.
        on_progress: Called with (finished samples, all samples).

    Raises:
        EngineError: If the engine fails; what is finished stays safe.
        JournalBusyError: If another process is making the same shard.
        RowError: If a row does not fit the table.
        WarehouseFullError: If the disk is full; what is finished stays safe.
    """
    run, number = key.run, key.round
    identity = content_id(
        "sampling", asdict(key), spec.model_dump(), seed, engine.name, engine.fingerprint
    )
    with warehouse.journal("samples", run=run, round=number, part=part, identity=identity) as own:
        # Looked up under the journal's lock: another process may have finished it meanwhile.
        if not warehouse.has("samples", run=run, round=number, part=part):
            groups = sample_groups(
                engine,
                problems,
                spec,
                key,
                seed=seed,
                skip=own.groups.keys(),
                on_progress=on_progress,
            )
            for problem_id, rows in groups:
                own.append(problem_id, rows)
            ordered = [row for problem in problems for row in own.groups[problem.id]]
            warehouse.write_shard("samples", ordered, run=run, round=number, part=part)
        own.remove()


def _row(
    completion: Completion, key: SampleKey, sampling: str, engine: Engine, digest: str
) -> dict[str, object]:
    identity = (key.run, key.round, completion.request_id, key.role, key.purpose)
    return {
        "id": content_id("sample", *identity, sampling, completion.index, engine.weight_hash),
        "prompt_id": completion.request_id,
        "parent_ids": [],
        "turn": 0,
        "index": completion.index,
        "sampling": sampling,
        **completion_columns(completion, key, engine, digest),
    }


def completion_columns(
    completion: Completion, key: SampleKey, engine: Engine, digest: str | None
) -> dict[str, object]:
    """The columns of `samples` that are the same for everything that is asked.

    Args:
        completion: What the engine gave.
        key: What the samples have in common.
        engine: Serves the policy.
        digest: The request's; None where nothing was asked.
    """
    return {
        "role": key.role,
        "purpose": key.purpose,
        "policy_id": key.policy_id,
        "weight_hash": engine.weight_hash,
        "engine": engine.name,
        "seed": completion.seed,
        "text": completion.text,
        "num_tokens": completion.num_tokens,
        "finish_reason": completion.finish_reason,
        "sum_logprob": completion.sum_logprob,
        "mean_logprob": completion.mean_logprob,
        "min_logprob": completion.min_logprob,
        "mean_entropy": completion.mean_entropy,
        "mean_self_certainty": completion.mean_self_certainty,
        "num_prompt_tokens": completion.num_prompt_tokens,
        "request_digest": digest,
        "reused_from": completion.reused_from,
        "status": "ok" if completion.error is None else "error",
        "error": completion.error,
    }
