"""A round of samples for `benchmarks/selection.py`: 16 answers per prompt, texts of 300 characters.

Written as the engine and the checks leave it: one part per shard in `prompts`, `samples` and
`scores` (checks 'answer' and 'reference'). One sample in 20 repeats the text and answer of the one
before it, one in 20 has no answer; prompts differ in how often the majority is right.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage import TABLES, Warehouse

RUN, ROUND = "bench", 1
PROMPTS_PER_PART = 12_500
TEXT_CHARACTERS = 300
NUM_WORDS = 5_000


def write_round(warehouse: Warehouse, num_prompts: int, num_samples: int, seed: int = 0) -> None:
    """Write prompts, samples and scores of round 1.

    Args:
        warehouse: Where to.
        num_prompts: Prompts.
        num_samples: Samples of each.
        seed: Decides all of it.
    """
    rng = np.random.default_rng(seed)
    pool = _pool(rng)
    for first in range(0, num_prompts, PROMPTS_PER_PART):
        number = min(PROMPTS_PER_PART, num_prompts - first)
        _write_part(warehouse, rng, pool, first, number, num_samples)


def _write_part(
    warehouse: Warehouse,
    rng: np.random.Generator,
    pool: np.ndarray,
    first: int,
    num_prompts: int,
    num_samples: int,
) -> None:
    num = num_prompts * num_samples
    prompts = _ids("prompt", np.arange(first, first + num_prompts))
    numbers = np.arange(first * num_samples, first * num_samples + num)
    samples = _ids("sample", numbers)
    owner = pa.array(np.repeat(np.arange(num_prompts), num_samples))
    skill = np.repeat(rng.beta(1.2, 1.2, num_prompts), num_samples)
    value = np.where(rng.random(num) < skill, 0, 1 + rng.integers(0, 6, num))
    missing = rng.random(num) < 0.05
    start = rng.integers(0, len(pool) - TEXT_CHARACTERS, num)
    again = np.flatnonzero((rng.random(num) < 0.05) & (np.arange(num) % num_samples > 0))
    start[again], value[again], missing[again] = (
        start[again - 1],
        value[again - 1],
        missing[again - 1],
    )
    words = pa.array([str(7 * k + 3) for k in range(7)])
    answers = pa.array(value, mask=missing)
    part = f"sample-{first // PROMPTS_PER_PART:04d}"
    _publish(
        warehouse,
        "prompts",
        part,
        {
            "id": prompts,
            "environment": "bench",
            "messages": _messages(_texts(pool, rng.integers(0, len(pool) - 200, num_prompts), 200)),
            "reference": "3",
            "source": "seed",
            "parent_ids": _empty_lists(num_prompts),
            "split": "train",
            "difficulty": pa.array(rng.integers(1, 6, num_prompts), pa.int32()),
            "metadata": "{}",
        },
        num_prompts,
    )
    _publish(
        warehouse,
        "samples",
        part,
        {
            "id": samples,
            "prompt_id": prompts.take(owner),
            "parent_ids": _empty_lists(num),
            "role": "answer",
            "purpose": "train",
            "turn": 0,
            "index": pa.array(np.tile(np.arange(num_samples, dtype=np.int32), num_prompts)),
            "policy_id": "bench-base",
            "weight_hash": "0" * 16,
            "engine": "bench",
            "sampling": '{"n": 16, "temperature": 0.7}',
            "seed": pa.array(np.arange(num, dtype=np.int64)),
            "text": _texts(pool, start, TEXT_CHARACTERS, ending=b"."),
            "num_tokens": 75,
            "finish_reason": "stop",
            "mean_logprob": pa.array(-rng.random(num)),
            "status": "ok",
        },
        num,
    )
    for check in ("answer", "reference"):
        is_answer = check == "answer"
        _publish(
            warehouse,
            "scores",
            f"{part}-{check}",
            {
                "id": _ids(
                    f"score-{check[0]}", np.arange(first * num_samples, first * num_samples + num)
                ),
                "sample_id": samples,
                "check": check,
                "version": "1",
                "value": None if is_answer else pa.array(((value == 0) & ~missing).astype(float)),
                "label": words.take(answers) if is_answer else None,
                "detail": "{}",
                "status": "ok",
            },
            num,
        )


def _publish(
    warehouse: Warehouse, table: str, part: str, columns: dict[str, object], num_rows: int
) -> None:
    """Write a part without the checks of `Warehouse.write`, which are not what is measured."""
    schema = TABLES[table]
    given = {**columns, "run": RUN, "round": ROUND}
    arrays = []
    for field in schema:
        value = given.get(field.name)
        if not isinstance(value, pa.Array):
            value = pa.repeat(pa.scalar(value, field.type), num_rows)
        arrays.append(value.cast(field.type))
    path = warehouse.part_path(table, run=RUN, round=ROUND, part=part)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = pa.table(arrays, schema=schema)
    pq.write_table(rows, path, compression="zstd", row_group_size=65_536)


def _pool(rng: np.random.Generator) -> np.ndarray:
    """16 MB of random words; a text is a piece of it."""
    letters = np.frombuffer(b"etaoinshrdlucmfwypvbgkjqxz", dtype=np.uint8)
    words = [rng.choice(letters, rng.integers(2, 10)).tobytes() for _ in range(NUM_WORDS)]
    drawn = rng.integers(0, NUM_WORDS, 2_600_000)
    return np.frombuffer(b" ".join(words[k] for k in drawn), dtype=np.uint8)


def _texts(pool: np.ndarray, starts: np.ndarray, length: int, ending: bytes = b"?") -> pa.Array:
    data = np.lib.stride_tricks.sliding_window_view(pool, length)[starts]
    data = np.ascontiguousarray(data)
    data[:, 0], data[:, -1] = ord("S"), ord(ending)  # a completion has no spaces around it
    offsets = np.arange(len(starts) + 1, dtype=np.int32) * length
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(starts), buffers)


def _ids(kind: str, numbers: np.ndarray) -> pa.Array:
    """Ids as long and as unordered as content ids: an invertible mix of the row's number."""
    mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    return pa.array([f"{kind}-{n:020x}" for n in mixed.tolist()])


def _messages(texts: pa.Array) -> pa.Array:
    kind = TABLES["prompts"].field("messages").type
    offsets = pa.array(np.arange(len(texts) + 1, dtype=np.int32))
    roles = pa.repeat(pa.scalar("user"), len(texts))
    items = pa.StructArray.from_arrays([roles, texts], fields=list(kind.value_type))
    return pa.ListArray.from_arrays(offsets, items, type=kind)


def _empty_lists(num: int) -> pa.Array:
    empty = pa.array([], pa.string())
    return pa.ListArray.from_arrays(pa.array(np.zeros(num + 1, dtype=np.int32)), empty)
