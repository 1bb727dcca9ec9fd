"""A commit is whole or invisible: kills, full disks, abandoned and living writers."""

import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from storage import Warehouse, WarehouseFullError
from storage.commit import publish, publish_text, replace_beside, staging, sweep

Start = Callable[..., subprocess.Popen[str]]

COMMIT_ROWS = """
import sys
from storage import TABLES, Warehouse
warehouse = Warehouse.open(sys.argv[1])
part = 0
while True:
    rows = [
        dict(id=f"{part}-{i}", prompt_id="p", answer="x" * 50, count=1, weight=1.0, share=1.0,
             rank=1, num_samples=1)
        for i in range(500)
    ]
    warehouse.write("votes", rows, run="r", round=1, part=f"part-{part}")
    print(part, flush=True)
    part += 1
"""

STOP_HALFWAY = """
import sys, time
from pathlib import Path
from storage.commit import publish
root = Path(sys.argv[1])
def write(path):
    path.write_bytes(b"PAR1 half")
    print("half", flush=True)
    time.sleep(600)
publish(root, root / "tables/votes/run=r/round=1/part.parquet", write)
"""

FILL = """
import resource, sys
from storage import Warehouse, WarehouseFullError
warehouse = Warehouse.open(sys.argv[1])
if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
row = dict(prompt_id="p", count=1, weight=1.0, share=1.0, rank=1, num_samples=1)
small = [row | dict(id="a", answer="1")]
import random
text = random.Random(0)
large = [row | dict(id=str(i), answer=str(text.random())) for i in range(200_000)]
warehouse.write("votes", small, run="r", round=1, part="small")
try:
    warehouse.write("votes", large, run="r", round=1, part="large")
except WarehouseFullError as error:
    print(error)
print(warehouse.has("votes", run="r", round=1, part="large"))
print([part.name for part in warehouse.parts("votes")], warehouse.read("votes").num_rows)
print(sorted(path.name for path in (warehouse.root / "tmp").rglob("*")))
print(warehouse.connect().execute("SELECT count(*) FROM votes").fetchall())
"""


@pytest.mark.parametrize("num_commits", [1, 2, 7])
def test_kill_leaves_whole_commits_only(num_commits: int, tmp_path: Path, start: Start) -> None:
    with start(COMMIT_ROWS, tmp_path / "w") as writer:
        assert writer.stdout is not None
        for _ in range(num_commits):
            assert writer.stdout.readline()
        writer.kill()
    committed = 1 + max(
        int(path.stem.removeprefix("part-")) for path in (tmp_path / "w").rglob("part-*.parquet")
    )
    assert committed >= num_commits
    warehouse = Warehouse.open(tmp_path / "w")
    for part in warehouse.parts("votes"):
        assert pq.ParquetFile(part.path).read().num_rows == 500
    assert warehouse.read("votes").num_rows == 500 * committed
    assert list((warehouse.root / "tmp").iterdir()) == []


def test_kill_in_the_middle_of_a_file(warehouse: Warehouse, start: Start) -> None:
    with start(STOP_HALFWAY, warehouse.root) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        assert warehouse.parts("votes") == []
        assert sweep(warehouse.root) == 0, "its writer lives"
        writer.send_signal(signal.SIGKILL)
    assert len(list((warehouse.root / "tmp").rglob("unfinished"))) == 1
    assert Warehouse.open(warehouse.root).read("votes").num_rows == 0
    assert list((warehouse.root / "tmp").rglob("unfinished")) == []


def test_sweep_spares_living_writers(tmp_path: Path) -> None:
    with staging(tmp_path) as mine:
        (tmp_path / "tmp" / "1-dead").mkdir()
        assert sweep(tmp_path) == 1
        assert mine.is_dir()
    assert not mine.exists()


def test_a_failed_write_changes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b.txt"
    publish_text(tmp_path, target, "before")

    def fail(path: Path) -> None:
        path.write_text("half")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        publish(tmp_path, target, fail)
    with pytest.raises(RuntimeError, match="stopped"):
        replace_beside(target, fail)
    assert target.read_text() == "before"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [target]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_every_kind_of_full_is_named(number: int, tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(WarehouseFullError, match="nothing of it was committed") as caught:
        publish(tmp_path, tmp_path / "x", fail)
    assert caught.value.errno == number


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        raise OSError(errno.EIO, "broken disk")

    with pytest.raises(OSError, match="broken disk") as caught:
        publish(tmp_path, tmp_path / "x", fail)
    assert not isinstance(caught.value, WarehouseFullError)


def check_full(output: str) -> None:
    message, *rest = output.splitlines()
    assert "large.parquet; nothing of it was committed" in message
    assert "Make room" in message
    assert rest == ["False", "['small'] 1", "[]", "[(1,)]"]


def test_file_size_limit(tmp_path: Path, start: Start) -> None:
    output, errors = start(FILL, tmp_path / "w", "limit").communicate()
    assert errors == ""
    check_full(output)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="mounts need root")
def test_full_disk(tmp_path: Path, start: Start) -> None:
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    if subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("this machine does not let root mount")
    code = (
        "import subprocess, sys\n"
        'mount = \'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$0" -c "$2" "$1/w" disk\'\n'
        "sys.exit(subprocess.run(['unshare', '-m', 'sh', '-c', mount, sys.executable, "
        "*sys.argv[1:]]).returncode)"
    )
    output, errors = start(code, tmp_path, FILL).communicate()
    assert errors == ""
    assert "No space left on device" in output
    check_full(output)
