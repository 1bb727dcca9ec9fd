"""CPU and bytes per sample between a model that costs nothing and durable rows; and one peer's.

Ours: requests, rows, the journal with its fsyncs, a Parquet file per shard, the sealed table, and
the prompts. The peer is distilabel with a model that answers from a list, in an environment of its
own (`--peer FOLDER` makes it there with pip, or uses it), with its cache on, which is its
durability: it writes whole batches. Both answer the same prompts (270 characters) with the same
answers (200 characters, words drawn by their frequency in Python's documentation, so that no two
answers are alike), in groups of 8. Every figure is a slope: the difference of two sizes of the same
work, so that imports and other fixed costs drop out. CPU is that of the process and its children.

Run: python benchmarks/write_path.py --peer /tmp/distilabel-1.5.3
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

N = 8
PROMPT_LENGTH, ANSWER_LENGTH = 270, 200
PROBLEMS_PER_SHARD = 100
# It imports requests, which it does not declare.
PEER = ["distilabel==1.5.3", "requests"]
PEER_SCRIPT = Path(__file__).with_name("write_path_peer.py")


class Cost(NamedTuple):
    """What one run took."""

    cpu_s: float
    wall_s: float
    num_bytes: int


def write_texts(path: Path, num_prompts: int) -> None:
    """Write one JSON line per prompt: its text and its answers."""
    from pydoc_data.topics import topics

    counts = Counter(" ".join(topics.values()).split())
    words, weights = list(counts), list(counts.values())
    draw = random.Random(0)

    def text(length: int) -> str:
        return " ".join(draw.choices(words, weights, k=length // 3))[:length]

    with path.open("w", encoding="utf-8") as lines:
        for _ in range(num_prompts):
            answers = [text(ANSWER_LENGTH) for _ in range(N)]
            lines.write(json.dumps([text(PROMPT_LENGTH), answers]) + "\n")


def run_ours(texts: Path, num_prompts: int, folder: Path) -> None:
    """Sample every prompt of the file from a model that has the answers, and seal the table."""
    from storage import Warehouse, content_id
    from tasks.engines import Completion, GenerationRequest, OnProgress
    from tasks.environments import Problem
    from tasks.sampling import SampleKey, SamplingSpec, sample_shard

    answers: dict[str, list[str]] = {}

    class NullEngine:
        name, model_path, weight_hash, fingerprint = "null", "", "f" * 64, "e" * 64
        generate = score = close = __enter__ = __exit__ = None

        def iterate(
            self,
            requests: Sequence[GenerationRequest],
            on_progress: OnProgress | None = None,
            skip: Collection[str] = (),
        ) -> Iterator[tuple[GenerationRequest, list[Completion]]]:
            for request in requests:
                yield (
                    request,
                    [
                        Completion(
                            request.id, i, request.seed + i, text, 50, "stop",
                            -random.random() * 40, -random.random(), -random.random() * 5,
                            random.random(),
                        )
                        for i, text in enumerate(answers.pop(request.id))
                    ],
                )  # fmt: skip

    house = Warehouse.open(folder)
    key = SampleKey("r", 1, "train", "answer", "m")
    spec = SamplingSpec(n=N, max_new_tokens=128)
    problems = []
    with texts.open(encoding="utf-8") as lines:
        for _, line in zip(range(num_prompts), lines, strict=False):
            prompt, found = json.loads(line)
            name = content_id("prompt", prompt)
            answers[name] = found
            messages = [{"role": "user", "content": prompt}]
            problems.append(Problem(name, messages, None, None, "train", {}))
    rows = [
        {
            "id": p.id,
            "environment": "null",
            "messages": p.messages,
            "source": "seed",
            "parent_ids": [],
            "split": p.split,
            "metadata": p.metadata,
        }
        for p in problems
    ]
    house.write("prompts", rows, run="r", round=1, part="train")
    parts = []
    for start in range(0, num_prompts, PROBLEMS_PER_SHARD):
        parts.append(f"sample-{start // PROBLEMS_PER_SHARD:04d}")
        shard = problems[start : start + PROBLEMS_PER_SHARD]
        sample_shard(house, NullEngine(), shard, spec, key, seed=0, part=parts[-1])  # type: ignore[arg-type]
    house.seal("samples", parts, run="r", round=1)
    assert house.read("samples", columns=["id"]).num_rows == num_prompts * N


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measured(command: Sequence[str], folder: Path) -> Cost:
    """Run a command that writes into a folder; its cost, children included."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*command, str(folder)],
            stdout=output,
            stderr=output,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"},
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{output.read().decode()[-4000:]}")
    wall_s = time.monotonic() - start
    return Cost(usage.ru_utime + usage.ru_stime, wall_s, size_of(folder))


def slope(command: Sequence[str], texts: Path, small: int, large: int) -> Cost:
    """Cost per sample beyond the fixed cost, from two sizes of the same work."""
    costs = []
    for num_prompts in (small, large):
        with tempfile.TemporaryDirectory() as scratch:
            costs.append(measured([*command, str(texts), str(num_prompts)], Path(scratch) / "out"))
    samples = (large - small) * N
    return Cost(
        (costs[1].cpu_s - costs[0].cpu_s) / samples,
        (costs[1].wall_s - costs[0].wall_s) / samples,
        (costs[1].num_bytes - costs[0].num_bytes) // samples,
    )


def peer_python(folder: Path) -> str:
    """The interpreter of an environment with the peer in it, made where it is missing."""
    python = folder / "bin" / "python"
    if not python.is_file():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEER], check=True)
    return str(python)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=10_000, help="prompts of the large run")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--peer", type=Path, help="environment with distilabel; made if missing")
    parser.add_argument("--peer-prompts", type=int, default=1_000)
    arguments = parser.parse_args()
    contestants = {"selfloom": ([sys.executable, __file__, "ours"], arguments.prompts)}
    if arguments.peer:
        command = [peer_python(arguments.peer), str(PEER_SCRIPT)]
        for size in (50, 500):
            contestants[f"distilabel, batches of {size}"] = (
                [*command, str(size)],
                arguments.peer_prompts,
            )
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        write_texts(Path(file.name), max(num for _, num in contestants.values()))
        found: dict[str, list[Cost]] = {name: [] for name in contestants}
        for _ in range(arguments.turns):
            for name, (command, num) in contestants.items():
                found[name].append(slope(command, Path(file.name), num // 5, num))
    print(f"per sample, groups of {N}, medians of {arguments.turns} turns")
    print(f"{'':28} {'CPU ms':>8} {'wall ms':>8} {'bytes':>7}")
    for name, costs in found.items():
        cpu, wall, size = (statistics.median(column) for column in zip(*costs, strict=True))
        print(f"{name:28} {cpu * 1000:8.4f} {wall * 1000:8.4f} {size:7.0f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["ours"]:
        run_ours(Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
