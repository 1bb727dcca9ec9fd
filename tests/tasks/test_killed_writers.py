"""Kill -9 at random moments of a writing run: what is safe stays, and readers see whole commits."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from storage import Warehouse, diff_tables

SCRIPT = Path(__file__).parent / "writing_run.py"


@contextmanager
def started(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def say(process: subprocess.Popen[str], line: str) -> str:
    """What the process answers to a line."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    return answer(process)


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None and process.stderr is not None
    return process.stdout.readline() or pytest.fail(process.stderr.read())


def kill_often(
    writer: subprocess.Popen[str], num_kills: int, longest_s: float, draw: random.Random
) -> list[str]:
    """Runs that were killed and resumed until the number of kills is reached and all have ended."""
    runs, kills = ["run-0"], 0
    while True:
        pid = int(say(writer, runs[-1]))
        line = answer(writer)
        if line == "writing\n":
            if kills < num_kills:
                time.sleep(draw.uniform(0, longest_s))
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            line = answer(writer)
        if int(line) == signal.SIGKILL:
            kills += 1
            continue
        assert int(line) == 0
        if kills >= num_kills:
            return runs
        runs.append(f"run-{len(runs)}")


def check_log(log: Path) -> Counter[str]:
    """Nobody is asked again who was kept; the number of questions by whether they were repeated."""
    asked: set[str] = set()
    kept: set[str] = set()
    found: Counter[str] = Counter()
    for line in log.read_text().splitlines():
        word, prompt = line.split(" ", 1)
        if word == "kept":
            kept.add(prompt)
            continue
        assert prompt not in kept, f"{prompt} was finished and asked again"
        found["again" if prompt in asked else "first"] += 1
        asked.add(prompt)
    return found


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("num_kills", [5, pytest.param(300, marks=pytest.mark.slow)])
def test_a_killed_run_ends_as_one_that_was_not(num_kills: int, tmp_path: Path) -> None:
    kill_and_compare(str(tmp_path / "broken"), num_kills, 0.5, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_so_does_one_in_an_object_store(object_store: str, tmp_path: Path) -> None:
    kill_and_compare(f"{object_store}/{tmp_path.name}", 20, 2.0, tmp_path)


def kill_and_compare(broken: str, num_kills: int, longest_s: float, tmp_path: Path) -> None:
    """Kills come within so many seconds after the first write; a reader polls all the while."""
    whole, log = tmp_path / "whole", tmp_path / "log"
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    house = Warehouse.open(broken)
    with started("read", broken) as reader, started("write", broken, log) as writer:
        assert answer(reader) == "reading\n"
        runs = kill_often(writer, num_kills, longest_s, random.Random(seed))
        output, errors = reader.communicate()
        assert reader.returncode == 0, errors
        num_polls = int(output)
    assert num_polls > 0
    with started("write", whole, tmp_path / "whole.log") as writer:
        for run in runs:
            say(writer, run)
            assert [answer(writer), answer(writer)] == ["writing\n", "0\n"]
    assert diff_tables(Warehouse.open(whole), house) == []
    left = [*(house.place / "pending").rglob("*"), *(house.root / "pending").rglob("*")]
    assert [path for path in left if path.is_file()] == []
    found = check_log(log)
    print(f"{num_kills} kills in {len(runs)} runs, {num_polls} polls, {dict(found)}")
    assert found["first"] == 60 * len(runs)
    assert found["again"] <= num_kills, "a kill costs the question that was going on"
