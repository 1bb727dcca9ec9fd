"""Durable samples from a server that answers at once: ours, a bare client, and two peers.

The server (tests/tasks/engines/null_server.py) runs in a process of its own on the same machine and
shares its cores. Ours goes from prompts through the `openai` engine and `sample_shard` to a sealed
Parquet table, with n=8 samples per request, in shards of the default size. The bare client posts
the same requests with aiohttp, reads the JSON and keeps nothing: the limit of any Python client.
The peers (`--peers FOLDER` makes an environment for each there, or uses it) ask for one sample per
request: neither has a way to take several. Figures are slopes between two sizes of the same work,
so that imports and other fixed costs drop out; CPU is that of the client process alone.

`--faults N` runs N requests instead against a server of which 2% of the answers are 429, 1% 500, 1%
are closed connections, 0.5% never come and 0.5% are malformed, and checks every row.

Run: python benchmarks/null_server.py --peers /tmp/null_server_peers
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from tests.tasks.engines.null_server import FAULTS, WORDS, answer, null_server  # noqa: E402

N, CONCURRENCY = 8, 64
MODEL = PROJECT / "tasks/seed_models/copy"
PEERS = {"curator": "bespokelabs-curator==0.1.31", "designer": "data-designer<0.9.7"}
PEER_SCRIPT = Path(__file__).with_name("null_server_peers.py")


class Cost(NamedTuple):
    """What one run took."""

    cpu_s: float
    wall_s: float


def write_prompts(path: Path, num_prompts: int) -> None:
    """Write one JSON line per prompt, of 270 characters."""
    with path.open("w", encoding="utf-8") as lines:
        for i in range(num_prompts):
            start = i * 7919 % (len(WORDS) - 300)
            lines.write(json.dumps(f"{i} {WORDS[start : start + 300]}"[:270]) + "\n")


def read_prompts(path: str, num_prompts: int) -> list[str]:
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for _, line in zip(range(num_prompts), lines, strict=False)]


def run_ours(url: str, prompts: list[str], folder: Path, mode: str) -> None:
    """Sample every prompt into a sealed table; with faults, check every row of it."""
    from flows.recipes.config import RecipeConfig
    from storage import Warehouse
    from tasks.engines import open_engine
    from tasks.environments import Problem
    from tasks.sampling import SampleKey, SamplingSpec, sample_shard

    house, spec = Warehouse.open(folder), SamplingSpec(n=N, max_new_tokens=128)
    key = SampleKey("r", 1, "train", "answer", "m")
    problems = [
        Problem(f"p{i}", [{"role": "user", "content": text}], None, None, "train", {})
        for i, text in enumerate(prompts)
    ]
    options = {
        "base_urls": [url],
        "logprobs": mode == "logprobs",
        "max_concurrency": CONCURRENCY,
        "timeout_s": 2.0 if mode == "faults" else 60.0,
    }
    size, parts = RecipeConfig.model_fields["shard_size"].default, []
    with open_engine("openai", MODEL, options) as engine:
        for start in range(0, len(problems), size):
            parts.append(f"sample-{start // size:04d}")
            shard = problems[start : start + size]
            sample_shard(house, engine, shard, spec, key, seed=0, part=parts[-1])
        used = engine.usage  # type: ignore[attr-defined]
    house.seal("samples", parts, run="r", round=1)
    rows = house.read("samples", columns=["id", "prompt_id", "index", "seed", "text", "error"])
    assert rows.num_rows == len(prompts) * N, rows.num_rows
    if mode == "faults":
        messages = {problem.id: problem.messages for problem in problems}
        check_rows(rows.to_pylist(), messages)
        print(f"{used.requests} requests, {used.retries} of them again")


def check_rows(rows: list[dict[str, object]], messages: dict[str, list[dict[str, str]]]) -> None:
    """Nothing lost, nothing double, nothing attached to another prompt."""
    assert len({row["id"] for row in rows}) == len(rows)
    assert Counter(row["prompt_id"] for row in rows) == dict.fromkeys(messages, N)
    assert len({(row["prompt_id"], row["index"]) for row in rows}) == len(rows)
    good = [row for row in rows if row["error"] is None]
    assert all(row["text"] == answer(messages[row["prompt_id"]], row["seed"]) for row in good)  # type: ignore
    errors = Counter(str(row["error"]).partition(":")[0] for row in rows if row["error"])
    print(f"{len(good)} samples, each of its own prompt and seed; errors: {dict(errors) or 'none'}")


async def run_bare(url: str, prompts: list[str]) -> None:
    """Post the same requests and read the answers."""
    import aiohttp

    async def work(session: aiohttp.ClientSession, left: list[tuple[int, str]]) -> int:
        found = 0
        while left:
            i, text = left.pop()
            body = {
                "model": str(MODEL.name), "messages": [{"role": "user", "content": text}], "n": N,
                "seed": i * 4096, "temperature": 0.7, "top_p": 1.0, "max_tokens": 128,
            }  # fmt: skip
            async with session.post(
                f"{url}/chat/completions", data=json.dumps(body).encode()
            ) as response:
                found += len(json.loads(await response.read())["choices"])
        return found

    left = list(enumerate(prompts))
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        found = await asyncio.gather(*(work(session, left) for _ in range(CONCURRENCY)))
    assert sum(found) == len(prompts) * N


def measured(command: list[str], folder: Path) -> Cost:
    """Run a client; its cost."""
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
        output.seek(0)
        told = output.read().decode()
        if process.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{told[-4000:]}")
        if "faults" in command:
            print(told, end="")
    return Cost(usage.ru_utime + usage.ru_stime, time.monotonic() - start)


def slope(command: list[str], texts: Path, small: int, large: int) -> Cost:
    """Cost per sample beyond the fixed cost, from two sizes of the same work."""
    costs = []
    for num_prompts in (small, large):
        with tempfile.TemporaryDirectory() as scratch:
            costs.append(measured([*command, str(texts), str(num_prompts)], Path(scratch) / "out"))
    samples = (large - small) * N
    return Cost(
        (costs[1].cpu_s - costs[0].cpu_s) / samples, (costs[1].wall_s - costs[0].wall_s) / samples
    )


def peer_python(folder: Path, name: str) -> str:
    """The interpreter of an environment with the peer in it, made where it is missing."""
    python = folder / name / "bin" / "python"
    if not python.is_file():
        venv.create(folder / name, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", PEERS[name]], check=True)
    return str(python)


def compare(arguments: argparse.Namespace, scratch: Path) -> None:
    """Measure everybody in turns and print a table."""
    texts, num = scratch / "prompts.jsonl", arguments.prompts
    write_prompts(texts, max(num, arguments.peer_prompts))
    models = [{"id": MODEL.name, "root": str(MODEL)}]
    with null_server(models=models, num_tokens=50) as server:
        ours = [sys.executable, __file__]
        contestants = {
            "selfloom": ([*ours, "ours", server.url], num),
            "selfloom, with logprobs": ([*ours, "logprobs", server.url], num),
            "bare aiohttp client": ([*ours, "bare", server.url], num),
        }
        for name in PEERS if arguments.peers else ():
            command = [peer_python(arguments.peers, name), str(PEER_SCRIPT), name, server.url]
            contestants[PEERS[name]] = (command, arguments.peer_prompts)
        found: dict[str, list[Cost]] = {name: [] for name in contestants}
        for _ in range(arguments.turns):
            for name, (command, size) in contestants.items():
                found[name].append(slope(command, texts, size // 5, size))
    print(f"n={N}, {CONCURRENCY} requests in flight, medians of {arguments.turns} turns")
    print(f"{'':28} {'samples/s':>10} {'CPU ms/sample':>14}")
    for name, costs in found.items():
        cpu, wall = (statistics.median(column) for column in zip(*costs, strict=True))
        print(f"{name:28} {1 / wall:10.0f} {cpu * 1000:14.4f}")


def survive(num_prompts: int, scratch: Path) -> None:
    """Ask a failing server."""
    texts = scratch / "prompts.jsonl"
    write_prompts(texts, num_prompts)
    models = [{"id": MODEL.name, "root": str(MODEL)}]
    with null_server(models=models, faults=FAULTS, num_tokens=50, seed=1) as server:
        command = [sys.executable, __file__, "faults", server.url, str(texts), str(num_prompts)]
        cost = measured(command, scratch / "out")
        counts = server.control()["counts"]
    samples = num_prompts * N
    print(f"the server saw {counts['all']} requests and failed: { {k: counts[k] for k in FAULTS} }")
    print(
        f"{samples / cost.wall_s:.0f} durable samples/s and {cost.cpu_s / samples * 1000:.4f} CPU "
        "ms/sample, start and check included"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=10_000, help="requests of the large run")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--peers", type=Path, help="folder of the peers' environments")
    parser.add_argument("--peer-prompts", type=int, default=500)
    parser.add_argument("--faults", type=int, metavar="N", help="N requests to a failing server")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.faults:
            survive(arguments.faults, Path(scratch))
        else:
            compare(arguments, Path(scratch))


if __name__ == "__main__":
    if sys.argv[1:2] in (["ours"], ["logprobs"], ["faults"]):
        _, mode, address, file, number, out = sys.argv
        run_ours(address, read_prompts(file, int(number)), Path(out), mode)
    elif sys.argv[1:2] == ["bare"]:
        asyncio.run(run_bare(sys.argv[2], read_prompts(sys.argv[3], int(sys.argv[4]))))
    else:
        main()
