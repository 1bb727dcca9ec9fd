"""CPU per sample where a round finds its samples in the warehouse, next to drawing them.

One process, three ways to fill the same shards (200 problems, groups of 8): drawn from an engine
that costs nothing; the same behind the lookup of earlier samples, in a warehouse of other runs that
has none for these weights; reused from a run that asked the same. And what the first question of a
round costs, once. The lookup's share is the second less the first. `--runs` fills the warehouse.

Run: python benchmarks/reuse.py --runs 25 --prompts 5000
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from storage import Warehouse, content_id
from tasks.engines import Completion, GenerationRequest, OnProgress
from tasks.environments import Problem
from tasks.sampling import SampleKey, SamplingSpec, sample_shard
from tasks.serving import EarlierSamples

N, SHARD, SHARDS_PER_FILE = 8, 200, 20
SPEC = SamplingSpec(n=N, max_new_tokens=128)


class NullEngine:
    """Answers at once, with the words of Python's documentation."""

    name, model_path, fingerprint = "null", "", "e" * 64
    generate = score = close = __enter__ = __exit__ = None

    def __init__(self, weights: str, earlier: EarlierSamples | None = None) -> None:
        from pydoc_data.topics import topics

        self.weight_hash, self._earlier = weights.rjust(64, "0"), earlier
        self._words = sorted(set(" ".join(topics.values()).split()))

    def iterate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        skip: Collection[str] = (),
    ) -> Iterator[tuple[GenerationRequest, list[Completion]]]:
        """What was found of earlier samples, and new ones for the rest."""
        found: dict[str, list[Completion]] = {}
        if self._earlier is not None:
            found = self._earlier.find(self.weight_hash, self.fingerprint, requests)
        for request in requests:
            yield request, found.get(request.id) or [self._draw(request, i) for i in range(N)]

    def _draw(self, request: GenerationRequest, index: int) -> Completion:
        text = " ".join(random.choices(self._words, k=30))
        return Completion(
            request.id, index, request.seed + index, text, 50, "stop",
            -random.random() * 40, -random.random(), -random.random() * 5, random.random(),
        )  # fmt: skip


def fill(house: Warehouse, run: str, problems: Sequence[Problem], engine: Any) -> list[float]:
    """Fill a round; CPU ms per sample of each shard."""
    key, parts, took = SampleKey(run, 1, "train", "answer", "m"), list[str](), list[float]()
    for start in range(0, len(problems), SHARD):
        parts.append(f"sample-{start // SHARD:04d}")
        shard, begin = problems[start : start + SHARD], time.process_time()
        sample_shard(house, engine, shard, SPEC, key, seed=0, part=parts[-1])
        took.append((time.process_time() - begin) * 1000 / (len(shard) * N))
    for start in range(0, len(parts), SHARDS_PER_FILE):
        house.seal("samples", parts[start : start + SHARDS_PER_FILE], run=run, round=1)
    return took


def first_question(house: Warehouse, weights: str) -> float:
    """Wall ms until a round knows what there is of its weights, for a request that nobody asked."""
    earlier = EarlierSamples(house, run="new", round=1)
    request = GenerationRequest("x", [{"role": "user", "content": "never asked"}])
    begin = time.monotonic()
    earlier.find(weights.rjust(64, "0"), NullEngine.fingerprint, [request])
    took = time.monotonic() - begin
    earlier.close()
    return took * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="runs that fill the warehouse")
    parser.add_argument("--prompts", type=int, default=2_000, help="prompts of a run")
    arguments = parser.parse_args()
    asked = [[{"role": "user", "content": f"{i} " + "x" * 260}] for i in range(arguments.prompts)]
    problems = [
        Problem(content_id("p", own[0]["content"]), own, None, None, "train") for own in asked
    ]
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        house = Warehouse.open(Path(folder) / "w")
        for number in range(arguments.runs):
            found["drawn"] = fill(house, f"run-{number}", problems, NullEngine(str(number)))
        for name, weights in (("drawn, nothing found", "new"), ("reused", "0")):
            earlier = EarlierSamples(house, run=f"asks-{weights}", round=1)
            # The first shard asks the first question, which is on a line of its own.
            found[name] = fill(house, f"asks-{weights}", problems, NullEngine(weights, earlier))[1:]
            earlier.close()
        total = house.read("samples", columns=["reused_from"]).column("reused_from")
        assert len(total) - total.null_count == len(problems) * N, "all of one run are copies"
        first = {weights: first_question(house, weights) for weights in ("newer", "0")}
    print(f"warehouse of {len(total):,} samples in {arguments.runs + 2} runs; medians of shards")
    print(f"{'':28} {'CPU ms per sample':>18}")
    for name, took in found.items():
        print(f"{name:28} {statistics.median(took):18.4f}")
    print(f"first question of a round: {first['newer']:.0f} ms for weights that nobody asked,")
    print(f"{first['0']:.0f} ms for weights of {2 * len(problems) * N:,} samples")


if __name__ == "__main__":
    main()
