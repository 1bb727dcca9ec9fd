"""What Prefect costs a round: the same rounds with it, and as plain function calls.

The stages, their order, their overlap and their tables are the same. Without Prefect, a task is a
call of its function, a submitted task a call in one other thread, and events, logs, progress,
artifacts and concurrency limits are left out. Both kinds run in turns, each in a fresh warehouse,
after a first one that is not counted; the server is the one that `selfloom ui` starts. The goal:
5 seconds and 1 % of the bare round at most.

Run: python benchmarks/orchestration.py                       # a round as in the demo, small
     python benchmarks/orchestration.py --shards 1000         # a round of 1,000 small shards
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")

from prefect import Flow, Task
from prefect.client.orchestration import get_client

from flows.recipes import find_recipe
from flows.recipes.config import LoopSpec, RecipeConfig
from flows.self_training import LOOPS, run_loop
from flows.server import _free_port, prefect_server
from storage import Warehouse

RECIPE = "rest_em"
GOAL_S, GOAL_SHARE = 5.0, 0.01
NUM_ROUNDS = 2  # round 0 measures the base model, round 1 is whole
LEFT_OUT = (
    "progress.get_run_logger",
    "progress.create_progress_artifact",
    "progress.update_progress_artifact",
    "artifacts.create_image_artifact",
    "artifacts.create_table_artifact",
    "estimates.create_table_artifact",
    "training_round.create_markdown_artifact",
    "events.emit_event",
)


@contextmanager
def without_prefect() -> Iterator[None]:
    """Tasks and flows are plain calls, and nothing is told to a server."""
    with ThreadPoolExecutor(max_workers=1) as pool, ExitStack() as stack:

        def submit(
            task: Task[Any, Any],
            *arguments: Any,
            return_state: bool = False,
            wait_for: Any = None,
            **named: Any,
        ) -> Future[Any]:
            def run() -> Any:
                # One thread, first come first served: what is waited for is done by now.
                given = [a.result() if isinstance(a, Future) else a for a in arguments]
                return task.fn(*given, **named)

            return pool.submit(run)

        def call(wrapped: Task[Any, Any] | Flow[Any, Any], *given: Any, **named: Any) -> Any:
            return wrapped.fn(*given, **named)

        stack.enter_context(patch.object(Task, "__call__", call))
        stack.enter_context(patch.object(Task, "submit", submit))
        stack.enter_context(patch.object(Flow, "__call__", call))
        stack.enter_context(patch("flows.slots._slot", lambda name: nullcontext()))
        for name in LEFT_OUT:
            stack.enter_context(patch(f"flows.{name}", Mock()))
        yield


def settings(given: argparse.Namespace) -> RecipeConfig:
    """A small round of programs, with as many shards as asked for."""
    held_out = 60
    return find_recipe(RECIPE).config.model_validate(
        {
            "prompts": {"num": given.shards * given.problems, "difficulties": [1, 2]},
            "sampling": {"n": given.samples, "temperature": 1.0, "max_new_tokens": 48},
            "shard_size": given.problems,
            "evaluation": {
                "num": min(held_out, given.problems * 12),
                "num_samples": 0,
                "difficulties": [1, 2],
            },
            "training": {"learning_rate": 1e-4, "steps": 20, "max_length": 192},
            "engine": {"reuse": False},
            "monitors": {"min_training_rows": 1, "min_newest_majority_share": 0.0},
        }
    )


def run_once(given: argparse.Namespace, folder: str, kind: str) -> float:
    """Seconds of a loop of one round, round 0 included."""
    loop = LoopSpec(run="timed", rounds=1, base_model="seed:programs", warehouse=folder)
    config = settings(given)
    start = time.monotonic()
    if kind == "prefect":
        LOOPS[RECIPE](config, loop)
    else:
        with without_prefect():
            run_loop(RECIPE, config, loop)
    took = time.monotonic() - start
    drawn = Warehouse.open(folder).read("samples", run="timed", round=1, columns=["purpose"])
    num = drawn.column("purpose").to_pylist().count("train")
    assert num == given.shards * given.problems * given.samples, num
    return took


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def server_pid() -> int:
    """The Prefect server that this process started."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    for pid in children:
        if b"flows.server_process" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return int(pid)
    raise RuntimeError("the server is not a child of this process")


def num_task_runs() -> int:
    """Task runs that the server knows."""
    with get_client(sync_client=True) as client:
        return int(client.request("POST", "/task_runs/count", json={}).json())


def main() -> None:
    """Run both kinds in turns and print what Prefect costs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--problems", type=int, default=5, help="problems per shard")
    parser.add_argument("--samples", type=int, default=4, help="per problem")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    took: dict[str, list[float]] = {"prefect": [], "bare": []}
    server_cpu: list[float] = []
    task_runs: list[int] = []
    with prefect_server("127.0.0.1", _free_port(), "lasting"), tempfile.TemporaryDirectory() as top:
        pid = server_pid()
        for number in range(given.runs + 1):
            for kind in sorted(took, reverse=number % 2 == 1):
                cpu, runs = cpu_seconds(pid), num_task_runs()
                seconds = run_once(given, f"{top}/{kind}-{number}", kind)
                print(f"  {number} {kind:<8} {seconds:7.1f} s", flush=True)
                if number == 0:
                    continue
                took[kind].append(seconds)
                if kind == "prefect":
                    time.sleep(2)  # the server writes task runs down a moment later
                    server_cpu.append(cpu_seconds(pid) - cpu)
                    task_runs.append(num_task_runs() - runs)
    with_prefect, bare = (statistics.median(took[kind]) for kind in ("prefect", "bare"))
    more = (with_prefect - bare) / NUM_ROUNDS
    tasks, cpu_s = statistics.median(task_runs), statistics.median(server_cpu)
    allowed = GOAL_S + GOAL_SHARE * bare / NUM_ROUNDS
    print(f"{given.shards} shards of {given.problems} problems x {given.samples} samples")
    print(f"two rounds: {with_prefect:.1f} s with Prefect, {bare:.1f} s without (medians)")
    print(f"overhead: {more:.2f} s per round; allowed 5 s + 1 % = {allowed:.2f} s")
    print(f"{tasks:.0f} task runs: {1000 * (with_prefect - bare) / tasks:.0f} ms each")
    print(f"server: {cpu_s:.1f} CPU s, {cpu_s / with_prefect:.0%} of a core")


if __name__ == "__main__":
    main()
