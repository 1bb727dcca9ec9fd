"""Short rounds with something killed, full or lost in each, against the same rounds undisturbed.

Every round is one `selfloom run`, started again with the same command until it ends well. At a
random moment of the first try one thing happens: kill -9 of the flow's process, the engine, the
trainer, a cell of the sandbox, the process that engines are forked from, or the Prefect server;
the disk with the warehouse is full for a while; or the database is lost. In the end the tables have
to be those of an undisturbed run, with no process, model or shard left over. Only log-probabilities
may be apart by rounding: what is left of a shard after a kill is drawn in other batches.

Needs root, for a disk that can be filled (a tmpfs). With `--database` Prefect keeps its records in
that PostgreSQL, and losing it ends all connections; without, SQLite's file is locked. `--recipe`
runs the stages of another recipe; `--set` gives what it needs beside the small settings here.

Run: python benchmarks/chaos.py --rounds 100
     python benchmarks/chaos.py --rounds 20 --recipe codedpo --base-model seed:skills \\
         --set environment.name=functions --set prompts.difficulties=[2,3] \\
         --set sampling.n=8 --set sampling.temperature=1.2 --set sampling.max_new_tokens=96 \\
         --set tests.n=4 --set tests.temperature=1 --set tests.max_new_tokens=96 \\
         --set training.max_length=256 --set cross.num_timings=0
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil

from storage import Warehouse, diff_tables

PROJECT = Path(__file__).resolve().parents[1]
SELFLOOM = (sys.executable, "-c", "from flows.cli import main; main()")
RUN = "chaos"
SETTINGS = {
    "prompts.num": 16,
    "prompts.difficulties": [1, 2],
    "sampling.n": 4,
    "sampling.temperature": 1.0,
    "sampling.max_new_tokens": 48,
    "shard_size": 4,
    "evaluation.num": 12,
    "evaluation.difficulties": [1, 2],
    "evaluation.num_samples": 0,
    "training.learning_rate": 1e-4,
    "training.steps": 10,
    "training.checkpoint_every_steps": 3,
    "training.batch_size": 8,
    "training.max_length": 192,
    "gate.alpha": 1.0,
    "gate.min_gain": -1.0,
    "gate.min_problems": 1,
    "gate.non_inferiority": "off",
    "monitors.min_training_rows": 1,
    "monitors.min_newest_majority_share": 0.0,
    "sandbox.backend": "namespaces",
}
# What a process is known by: a part of its command line.
PROCESSES = {
    "engine": "tasks.engines.",
    "trainer": "tasks.training",
    "cell": "bwrap",
    "fork server": "tasks.fork_server",
    "server": "flows.server_process",
}
FAULTS = ("flow", *PROCESSES, "disk", "database")
DISK_MIB = 1500
LOG_PROBABILITIES = (
    "sum_logprob",
    "mean_logprob",
    "min_logprob",
    "mean_entropy",
    "mean_self_certainty",
)
ROUNDING = 1e-5  # nats, float32 on another batch
OUTAGE_S = 15.0
MAX_TRIES = 5
PATIENCE_S = 60.0  # for processes that are told to end


class Place:
    """A warehouse with a Prefect home of its own, and the command that runs rounds there."""

    def __init__(self, folder: Path, database: str | None, arguments: Sequence[str]):
        self.folder, self.database, self.arguments = folder, database, arguments
        self.house, self.home = folder / "disk" / "warehouse", folder / "prefect"
        self.house.parent.mkdir(parents=True, exist_ok=True)

    def start(self, rounds: int) -> subprocess.Popen[bytes]:
        """`selfloom run`, up to a round."""
        command = [*SELFLOOM, "run", *self.arguments, "--run", RUN, "--rounds", str(rounds)]
        command += ["--warehouse", str(self.house)]
        variables = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
        variables |= {"PREFECT_HOME": str(self.home), "PYTHONPATH": str(PROJECT)}
        if self.database:
            variables["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = self.database
        with (self.folder / "output.txt").open("ab") as output:
            return subprocess.Popen(command, env=variables, stdout=output, stderr=output)

    def processes(self) -> set[psutil.Process]:
        """Everything that was started with this Prefect home, and what is below it."""
        found: set[psutil.Process] = set()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("PREFECT_HOME") == str(self.home):
                    found |= {process, *process.children(recursive=True)}
        return found

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """No byte can be written beside the warehouse."""
        filler = self.house.parent / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))
        try:
            yield
        finally:
            filler.unlink()

    @contextlib.contextmanager
    def lost_database(self) -> Iterator[None]:
        """SQLite's file is locked, or PostgreSQL ends every connection."""
        if self.database:
            asyncio.run(end_connections(self.database))
            yield
            return
        connection = sqlite3.connect(self.home / "prefect.db", timeout=60, isolation_level=None)
        with contextlib.closing(connection):
            connection.execute("BEGIN EXCLUSIVE")
            yield


async def end_connections(url: str) -> None:
    """End all connections to the database but this one."""
    import asyncpg  # of Prefect's

    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    await connection.close()


def undisturbed(place: Place, rounds: int) -> float:
    """Run up to a round; the seconds that it took."""
    start = time.monotonic()
    if place.start(rounds).wait() != 0:
        raise SystemExit(f"the undisturbed run fails: {place.folder}/output.txt")
    return time.monotonic() - start


def strike(place: Place, run: subprocess.Popen[bytes], fault: str, choose: random.Random) -> bool:
    """Do it; False where the run ended before there was anything to hit."""
    if fault in ("disk", "database"):
        with place.full_disk() if fault == "disk" else place.lost_database():
            is_hit = run.poll() is None
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.wait(timeout=OUTAGE_S)
        return is_hit
    while run.poll() is None:
        victims = [run.pid] if fault == "flow" else find(run.pid, PROCESSES[fault])
        if victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(choose.choice(victims), 9)
                return True
        time.sleep(0.005)
    return False


def find(pid: int, words: str) -> list[int]:
    """Processes below one, by their command lines."""
    found = []
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if words in " ".join(process.cmdline()):
                    found.append(process.pid)
    return sorted(found)


def disturbed_round(place: Place, number: int, usual_s: float, choose: random.Random) -> str:
    """One round with one fault; says what happened. Raises if it can't be finished."""
    fault, delay = choose.choice(FAULTS), choose.uniform(0.2, 0.9) * usual_s
    run = place.start(number)
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.wait(timeout=delay)
    family = place.processes()
    is_hit = strike(place, run, fault, choose)
    codes = [run.wait()]
    no_orphans(place, family)
    while codes[-1] != 0:
        if len(codes) == MAX_TRIES:
            raise RuntimeError(f"round {number} can't be finished; see {place.folder}/output.txt")
        codes.append(place.start(number).wait())
        no_orphans(place, set())
    print(
        f"round {number:>3}: {fault:<11} after {delay:4.1f} s, exits {codes}"
        f"{'' if is_hit else ' (too late, nothing was hit)'}",
        flush=True,
    )
    return fault if is_hit else "none"


def no_orphans(place: Place, family: set[psutil.Process]) -> None:
    """Raise where a process outlives the command that started it."""
    deadline = time.monotonic() + PATIENCE_S
    while left := [p for p in family | place.processes() if is_running(p)]:
        if time.monotonic() > deadline:
            raise RuntimeError(f"still there: {left}")
        time.sleep(0.1)


def is_running(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    return False


@contextlib.contextmanager
def own_disk(folder: Path) -> Iterator[None]:
    """A small disk in memory at a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={DISK_MIB}m,mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "chaos", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def leftovers(house: Path) -> list[str]:
    """Unfinished models and shards, and rows that are nobody's."""
    unfinished = [str(path) for path in (house / "models").glob(".*")]
    unfinished += [str(path) for path in (house / "pending").rglob("*.parquet")]
    told = subprocess.run(
        [*SELFLOOM, "verify", "--warehouse", str(house)],
        capture_output=True,
        text=True,
        check=False,
    )
    return unfinished + ([] if told.returncode == 0 else [told.stdout + told.stderr])


def farthest_apart(calm: Warehouse, wild: Warehouse) -> float:
    """Returns the largest difference of two samples' log-probabilities, nats; inf for one null."""
    names = ["id", "round", *LOG_PROBABILITIES]
    one, two = (
        {
            (row["id"], row["round"]): row
            for row in house.read("samples", run=RUN, columns=names).to_pylist()
        }
        for house in (calm, wild)
    )
    apart = 0.0
    for key in one.keys() & two.keys():
        for name in LOG_PROBABILITIES:
            a, b = one[key][name], two[key][name]
            if a != b:
                apart = max(apart, math.inf if a is None or b is None else abs(a - b))
    return apart


def main() -> None:
    """Run both kinds and compare them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of what happens when")
    parser.add_argument("--database", help="postgresql+asyncpg://... for Prefect's records")
    parser.add_argument("--folder", type=Path, help="to keep everything in; must be new")
    parser.add_argument("--recipe", default="rest_em")
    parser.add_argument("--base-model", default="seed:programs")
    parser.add_argument("--set", action="append", default=[], help="NAME=VALUE, as selfloom run's")
    given = parser.parse_args()
    arguments = [given.recipe, "--base-model", given.base_model]
    for name, value in {**SETTINGS, **dict(one.split("=", 1) for one in given.set)}.items():
        arguments += ["--set", f"{name}={value}"]
    top = given.folder or Path(tempfile.mkdtemp(prefix="selfloom-chaos-"))
    calm, wild = (Place(top / name, given.database, arguments) for name in ("calm", "wild"))
    undisturbed(calm, 1)
    usual_s = undisturbed(calm, 2)  # the first one starts with round 0
    rest_s = undisturbed(calm, given.rounds)
    print(f"undisturbed: {rest_s:.0f} s; {usual_s:.1f} s a round alone", flush=True)
    choose, hits, start = random.Random(given.seed), Counter[str](), time.monotonic()
    with own_disk(wild.house.parent):
        for number in range(1, given.rounds + 1):
            hits[disturbed_round(wild, number, usual_s, choose)] += 1
        print(f"disturbed: {time.monotonic() - start:.0f} s; {dict(hits)}")
        houses = [Warehouse.open(place.house) for place in (calm, wild)]
        different = diff_tables(*houses, ignore=[f"samples.{name}" for name in LOG_PROBABILITIES])
        apart = farthest_apart(*houses)
        left = leftovers(wild.house)
        num = houses[1].read("rounds", run=RUN, columns=["round"]).num_rows - 1
        print(f"{num} finished rounds, {len(different)} rows differ, {len(left)} things left over")
        for line in [*different[:20], *left]:
            print(f"  {line}")
        print(f"log-probabilities are at most {apart:.1e} nats apart")
    if not given.folder:
        shutil.rmtree(top)
    if different or left or num != given.rounds or apart > ROUNDING:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
