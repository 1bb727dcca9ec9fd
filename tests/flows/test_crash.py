"""Kill -9 in the middle of sampling, training and evaluation; the same command ends the same.

`pytest -m slow tests/flows/test_crash.py` runs it: five processes, some minutes.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from storage import Warehouse, diff_tables

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.sandbox]

RUN = "crash"
SETTINGS = {
    "environment": {"name": "word_problems"},
    "prompts": {"num": 60, "difficulties": [1, 2]},
    "sampling": {"n": 4, "temperature": 0.8, "max_new_tokens": 48},
    "evaluation": {"num": 60, "difficulties": [1, 2], "num_samples": 2},
    "training": {
        "method": "sft",
        "learning_rate": 1e-4,
        "steps": 40,
        "batch_size": 8,
        "max_length": 192,
        "checkpoint_every_steps": 5,
    },
    "gate": {"alpha": 1.0, "non_inferiority": "off"},
    "monitors": {"min_training_rows": 1},
    "sandbox": {"cpu_s": 10, "wall_s": 60},
    "shard_size": 20,
}
_COMMAND = "from flows.cli import main; main()"
_TOKEN = "SELFLOOM_TEST_CRASH"


def start(house: Path, home: Path) -> subprocess.Popen[bytes]:
    """The command, in a process with a Prefect of its own and a mark that children inherit."""
    house.parent.mkdir(parents=True, exist_ok=True)
    settings = house.parent / "settings.json"
    settings.write_text(json.dumps(SETTINGS), encoding="utf-8")
    arguments = ["run", "rest_em", "--run", RUN, "--rounds", "2", "--warehouse", str(house)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    with (house.parent / "output.txt").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-c", _COMMAND, *arguments, "--config", str(settings)],
            env=environment | {"PREFECT_HOME": str(home), _TOKEN: str(home)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def output_of(house: Path) -> str:
    return (house.parent / "output.txt").read_text(encoding="utf-8", errors="replace")[-5000:]


def finish(house: Path, home: Path) -> None:
    process = start(house, home)
    assert process.wait() == 0, output_of(house)


def kill_when(house: Path, home: Path, condition: Callable[[], bool]) -> None:
    """Start the command, kill it as soon as the condition holds, and see everything of it end."""
    process = start(house, home)
    try:
        while not condition():
            assert process.poll() is None, f"ended before the kill:\n{output_of(house)}"
            time.sleep(0.01)
        family = marked(home) | descendants(process.pid)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(family) > 1, "nothing else was running: the kill was not in the middle of anything"
    for _ in range(600):
        if not (left := {pid for pid in family | marked(home) if is_running(pid)}):
            return
        time.sleep(0.1)
    pytest.fail(f"still there a minute after the kill: {[command_of(pid) for pid in left]}")


def descendants(pid: int) -> set[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return set()
    children = {int(child) for child in text.split()}
    return children.union(*(descendants(child) for child in children))


def marked(home: Path) -> set[int]:
    """Processes that inherited the mark, wherever they hang in the tree."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{_TOKEN}={home}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.add(int(folder.name))
        except OSError:
            continue
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")[:200]
    except OSError:
        return str(pid)


@pytest.mark.timeout(1800)
def test_a_loop_that_is_killed_three_times_ends_as_one_that_was_not(tmp_path: Path) -> None:
    home = tmp_path / "prefect"
    whole, broken = tmp_path / "whole" / "w", tmp_path / "broken" / "w"
    finish(whole, home)

    def part(table: str, number: int, name: str) -> Path:
        return broken / f"tables/{table}/run={RUN}/round={number}/{name}.parquet"

    def shard(number: int, name: str) -> Path:
        return broken / f"pending/samples/run={RUN}/round={number}/{name}.parquet"

    def in_sampling() -> bool:
        return shard(1, "sample-0000").is_file()

    def in_training() -> bool:
        return any((broken / "models").glob(f".{RUN}-r1.training/checkpoints/*/complete"))

    def in_evaluation() -> bool:
        return shard(2, "heldout-greedy-0000").is_file()

    kill_when(broken, home, in_sampling)
    assert not shard(1, "sample-0002").is_file()
    assert not part("samples", 1, "sample-0000..0002").is_file()
    kill_when(broken, home, in_training)
    assert not (broken / "models" / f"{RUN}-r1").exists()
    kill_when(broken, home, in_evaluation)
    assert not part("evaluations", 2, "heldout").is_file()
    finish(broken, home)

    with Warehouse.open(broken).connect() as con:
        rounds = con.execute("SELECT round FROM rounds ORDER BY round").fetchall()
        balanced = con.execute("SELECT round, balanced FROM row_counts ORDER BY round").fetchall()
    assert rounds == [(0,), (1,), (2,)]
    assert balanced == [(1, True), (2, True)]
    assert diff_tables(Warehouse.open(whole), Warehouse.open(broken)) == []
    assert marked(home) == set()
