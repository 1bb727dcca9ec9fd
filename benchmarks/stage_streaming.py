"""Drawing programs, running them in the sandbox, and both at once, as a round does it.

Four times per run: the engine alone draws all samples (`draw`: `ask_shard`), the sandbox alone runs
and scores them (`check`: `answer` where all samples are there), both from the start, as in a round
(`both`: `answer`, where the sandbox judges a shard while the engine draws the next one), and both
beside each other with nothing to wait for (`beside`: one draws while the other checks what was
drawn before), which is as fast as this machine does two such things at once. Opening engine and
sandbox counts everywhere, and so do Prefect's tasks; a first round that is not counted warms up
caches and the server. All do the same work: the same seeds, the same programs. The goal: both take
at most 1.15 times the longer one alone.

Each side has a core of its own: one engine thread, one sandbox worker. CPU seconds (of this process
and all it started) tell whether doing both at once costs more work, and what a machine whose cores
are busy with other things can't show by the clock.

Run: python benchmarks/stage_streaming.py --problems 400 --samples 8 --shard 50
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")

import psutil
from prefect import flow
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from flows.parameters import as_it_is
from flows.recipes import find_recipe
from flows.recipes.config import RecipeConfig
from flows.sample_stage import Ask, _shards, answer, ask_shard, open_policy
from flows.stages import ONE_AFTER_ANOTHER, Stages
from storage import Warehouse
from tasks.environments import load_environment
from tasks.models import resolve_model

GOAL = 1.15
MODES = ("draw", "check", "both", "beside")


def make_stages(house: Warehouse, run: str, arguments: argparse.Namespace) -> Stages:
    """A first round of a run that writes programs with the shipped seed model."""
    config = find_recipe("rest_em").config.model_validate(
        {
            "sampling": {"n": arguments.samples, "temperature": 1.0, "max_new_tokens": 64},
            "engine": {
                "name": arguments.engine,
                "options": {"num_threads": arguments.threads},
                "reuse": False,  # all three do the same work
            },
            "sandbox": {"backend": arguments.backend, "workers": arguments.workers},
            "shard_size": arguments.shard,
        }
    )
    assert isinstance(config, RecipeConfig)
    model = resolve_model(house, arguments.model)
    environment = load_environment("word_problems")
    return Stages(house, find_recipe("rest_em"), config, environment, run, 1, model, model, 0)


def draw_all(stages: Stages, ask: Ask) -> None:
    """What `answer` does for the engine, without any check."""
    engine = open_policy(stages, ask.model)
    for shard in _shards(stages, ask):
        ask_shard(stages, as_it_is(shard), engine)


Work = Callable[[Stages, Ask], None]
# What each mode does at once, and with which run's samples, in an order in which they are there.
STEPS: dict[str, list[tuple[Work, str]]] = {
    "draw": [(draw_all, "first")],
    "beside": [(draw_all, "second"), (answer, "first")],
    "check": [(answer, "second")],
    "both": [(answer, "third")],
}


@flow(name="streaming", task_runner=ONE_AFTER_ANOTHER)
def measure(root: str, number: int, options: dict[str, object]) -> dict[str, float]:
    """Seconds of each mode, once."""
    arguments = argparse.Namespace(**options)
    house = Warehouse.open(root)

    def begin(do: Work, run: str) -> Callable[[], None]:
        stages = make_stages(house, f"{run}-{number}", arguments)
        problems = stages.environment.problems("train", arguments.problems, 0, [1, 2, 3])
        ask = Ask("train", stages.incumbent, problems, stages.config.sampling, "sample")

        def work() -> None:
            with stages.engines:
                do(stages, ask)

        return work

    took: dict[str, float] = {}
    for mode in STEPS if number % 2 else ("both", "draw", "beside", "check"):
        mine, *others = [begin(do, run) for do, run in STEPS[mode]]
        start, cpu = time.monotonic(), cpu_seconds()
        with ThreadPoolExecutor() as pool:
            going_on = [pool.submit(copy_context().run, other) for other in others]
            mine()
            for one in going_on:
                one.result()
        took[mode], took[f"{mode} cpu"] = time.monotonic() - start, cpu_seconds() - cpu
    check_same_work(house, number)
    return took


def cpu_seconds() -> float:
    """CPU seconds of this process, of all below it, and of what they reaped."""
    me = psutil.Process()
    used = [one.cpu_times() for one in (me, *me.children(recursive=True))]
    return sum(t.user + t.system + t.children_user + t.children_system for t in used)


def check_same_work(house: Warehouse, number: int) -> None:
    """Refuse to compare times of different work."""
    runs = [f"{run}-{number}" for run in ("first", "second", "third")]
    columns = ["prompt_id", "index", "text"]
    texts = [house.read("samples", run=run, columns=columns) for run in runs]
    verdicts = [house.read("executions", run=run, columns=["verdict"]) for run in runs]
    assert texts[0].num_rows == verdicts[0].num_rows > 0
    assert texts[0].equals(texts[1]) and texts[0].equals(texts[2]), "all must draw the same"
    same = sum(
        len(set(row)) == 1
        for row in zip(*(v["verdict"].to_pylist() for v in verdicts), strict=True)
    )
    print(f"  {texts[0].num_rows} samples, {same} with the same verdict in all", flush=True)


@contextmanager
def quiet_prefect() -> Iterator[None]:
    """A server of its own in a temporary folder, without a line per task."""
    logging.getLogger("prefect").setLevel(logging.WARNING)
    quiet = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
    with quiet, prefect_test_harness(server_startup_timeout=120):
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="seed:programs", help="seed:NAME or a folder")
    parser.add_argument("--engine", default="transformers", help="or vllm")
    parser.add_argument("--problems", type=int, default=400)
    parser.add_argument("--samples", type=int, default=8, help="per problem")
    parser.add_argument("--shard", type=int, default=50, help="problems per shard")
    parser.add_argument("--threads", type=int, default=1, help="of the engine")
    parser.add_argument("--workers", type=int, default=1, help="of the sandbox")
    parser.add_argument("--backend", default="namespaces:bwrap")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    found: dict[str, list[float]] = {mode: [] for mode in MODES}
    with quiet_prefect(), tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.runs + 1):
            took = measure(f"{folder}/w", number, vars(arguments))
            load = os.getloadavg()[0]
            words = ", ".join(
                f"{mode} {took[mode]:.1f} s (CPU {took[f'{mode} cpu']:.1f})" for mode in MODES
            )
            print(f"run {number}{'' if number else ' (not counted)'}: {words}; load {load:.1f}")
            for mode in MODES if number else ():
                found[mode].append(took[mode])
    medians = {mode: statistics.median(times) for mode, times in found.items()}
    longer = max(medians["draw"], medians["check"])
    print("\nmode    median s   all")
    for mode, times in found.items():
        print(f"{mode:6} {medians[mode]:9.1f}   {', '.join(f'{one:.1f}' for one in times)}")
    ratio = medians["both"] / longer
    pairs = [
        both / max(draw, check)
        for draw, check, both, _ in zip(*(found[mode] for mode in MODES), strict=True)
    ]
    print(
        f"both / longer alone: {ratio:.3f} (by run {', '.join(f'{one:.2f}' for one in pairs)}), "
        f"goal {GOAL}: {'met' if ratio <= GOAL else 'missed'}; one after the other would be "
        f"{(medians['draw'] + medians['check']) / longer:.2f}"
    )
    limit = medians["beside"] / longer
    print(f"beside each other, nothing waiting: {limit:.3f}; both / that: {ratio / limit:.3f}")


if __name__ == "__main__":
    main()
