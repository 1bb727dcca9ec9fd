"""A run that only writes: a process that is killed and started again, and one that reads.

`python writing_run.py write WAREHOUSE LOG` reads names of runs from standard input and works on
each in a child of its own, whose process id it prints; the child prints "writing" when it begins
to write, and the parent prints how it ended.
`python writing_run.py read WAREHOUSE` reads the tables until its standard input ends.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

sys.path.insert(0, str(Path(__file__).parents[2]))

import duckdb

from storage import Warehouse
from tasks.checks.shard import check_shard
from tasks.engines import Completion, GenerationRequest, Messages, OnProgress, TokenScores
from tasks.environments import load_environment
from tasks.sampling import SampleKey, SamplingSpec, sample_shard

SPEC = SamplingSpec(n=4, temperature=1.0)
SHARD, SHARDS_PER_FILE, NUM_FILES = 10, 3, 2
ROWS_PER_FILE = SHARD * SHARDS_PER_FILE * SPEC.n
COPY = load_environment("copy")
PROBLEMS = COPY.problems("train", SHARD * SHARDS_PER_FILE * NUM_FILES, 0, [4])


class SlowEngine:
    """Makes completions out of seeds, and notes down whom it was asked about and who was kept."""

    name, model_path, weight_hash, fingerprint = "slow", "", "weights", "all"

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log

    def iterate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        skip: Collection[str] = (),
    ) -> Iterator[tuple[GenerationRequest, list[Completion]]]:
        for request in requests:
            if request.id in skip:
                continue
            self._log(f"asked {request.id}")
            time.sleep(0.002)
            yield request, [_completion(request, index) for index in range(request.n)]
            # Asking for the next one means that this one is in the journal.
            self._log(f"kept {request.id}")

    def generate(
        self, requests: Sequence[GenerationRequest], on_progress: OnProgress | None = None
    ) -> list[list[Completion]]:
        return [completions for _, completions in self.iterate(requests, on_progress)]

    def score(
        self, pairs: Sequence[tuple[Messages, str]], on_progress: OnProgress | None = None
    ) -> list[TokenScores]:
        raise NotImplementedError

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass


def _completion(request: GenerationRequest, index: int) -> Completion:
    draw = random.Random(request.seed + index)
    text, value = draw.choice("abc") * 20, draw.random()
    return Completion(
        request.id, index, request.seed + index, text, 9, "stop", -value, -value / 9, -1.0, value
    )


def work(house: Warehouse, run: str, log: Callable[[str], None]) -> None:
    """Sample, check and seal, as a round does; what is done is not done again."""
    key = SampleKey(run, 1, "train", "answer", "model")
    engine = SlowEngine(lambda line: log(f"{line} {run}"))
    for number in range(NUM_FILES):
        parts = []
        for shard in range(number * SHARDS_PER_FILE, (number + 1) * SHARDS_PER_FILE):
            part = f"sample-{shard:04d}"
            problems = PROBLEMS[shard * SHARD : (shard + 1) * SHARD]
            references = {problem.id: problem.reference for problem in problems}
            if not house.has("scores", run=run, round=1, part=part):
                if not house.has("samples", run=run, round=1, part=part):
                    sample_shard(house, engine, problems, SPEC, key, seed=0, part=part)
                check_shard(house, COPY, None, references, run=run, round=1, part=part)
            parts.append(part)
        for table in ("samples", "executions", "scores"):
            house.seal(table, parts, run=run, round=1)


def write(root: str, log_path: str) -> None:
    """Work on every run that standard input names, each in a child."""
    # Nothing but imports has happened here, so that a child starts in a millisecond.
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            note = partial(_note, os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
            house = Warehouse.open(root)
            print("writing", flush=True)
            work(house, line.strip(), note)
            os._exit(0)
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)


def _note(log: int, text: str) -> None:
    os.write(log, f"{text}\n".encode())


CHECK = """
SELECT run, count(*), count(DISTINCT id), count(DISTINCT prompt_id),
       count(text), sum(length(text)) FROM samples GROUP BY run
"""
CHECK_SCORES = "SELECT run, count(*), count(DISTINCT id) FROM scores GROUP BY run"


def read(root: str) -> None:
    """Query the tables until standard input ends; an error ends it with a report."""
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    house = Warehouse.open(root)
    kept, seen, num_polls = house.connect(), 0, 0
    while not ended.is_set():
        # By a connection that stays open, a new one, and a client that knows nothing of us.
        connections = [kept, house.connect()]
        if house.place == house.root:
            connections.append(duckdb.connect(f"{house.root}/selfloom.duckdb", read_only=True))
        for connection in connections:
            # Scores first: they are sealed after their samples, so there are never more of them.
            scores = {run: counts for run, *counts in connection.execute(CHECK_SCORES).fetchall()}
            samples = connection.execute(CHECK).fetchall()
            for run, rows, num_ids, prompts, texts, length in samples:
                own = scores.pop(run, [0, 0])
                found = (run, rows, num_ids, prompts, texts, length, own)
                assert rows == num_ids == texts == prompts * SPEC.n == length / 20, found
                assert rows in range(0, ROWS_PER_FILE * NUM_FILES + 1, ROWS_PER_FILE), found
                assert own[0] == own[1] and own[0] % ROWS_PER_FILE == 0, found
            assert scores == {}, scores
            total = sum(row[1] for row in samples)
            assert total >= seen, f"{seen} rows, then {total}"
            seen, num_polls = total, num_polls + 1
        if num_polls == len(connections):
            print("reading", flush=True)
        for connection in connections[1:]:
            connection.close()
    print(num_polls, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(*sys.argv[2:])
    else:
        read(*sys.argv[2:])
