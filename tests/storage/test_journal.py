"""What is in a journal survives; what is half written does not come back."""

import errno
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import Journal, JournalBusyError, WarehouseFullError

Start = Callable[..., subprocess.Popen[str]]
GROUPS: dict[str, list[dict[str, object]]] = {
    f"p{i}": [{"id": f"{i}-{k}", "text": "é\ud800\x00" * i, "value": 0.1 * k} for k in range(3)]
    for i in range(5)
}

HOLD = """
import sys
from pathlib import Path
from storage import Journal
journal = Journal(Path(sys.argv[1]), "mine")
journal.append("a", [{"id": "a"}])
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a journal with all groups."""
    found = tmp_path / "new" / "x.journal"
    with Journal(found, "mine") as journal:
        for name, rows in GROUPS.items():
            journal.append(name, rows)
    return found


def test_groups_come_back_as_they_were(path: Path) -> None:
    with Journal(path, "mine") as journal:
        assert journal.groups == GROUPS
        journal.append("more", [{"id": "x", "value": 1e-300}])
    with Journal(path, "mine") as journal:
        assert journal.groups == {**GROUPS, "more": [{"id": "x", "value": 1e-300}]}


@settings(deadline=None, max_examples=60)
@given(cut=st.integers(0, 2**31), garbage=st.sampled_from([b"", b"\0" * 4096, b"\x05\0\0\0torn"]))
def test_a_torn_tail_costs_the_groups_in_it_and_no_more(
    cut: int, garbage: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("torn") / "x.journal"
    ends = []
    with Journal(path, "mine") as journal:
        for name, rows in GROUPS.items():
            journal.append(name, rows)
            ends.append(path.stat().st_size)
    length = cut % (ends[-1] + 1)
    path.write_bytes(path.read_bytes()[:length] + garbage)
    whole = sum(end <= length for end in ends)
    for _ in range(2):
        with Journal(path, "mine") as journal:
            assert list(journal.groups.items()) == list(GROUPS.items())[:whole]
            assert path.stat().st_size == (ends[whole - 1] if whole else path.stat().st_size)
    with Journal(path, "mine") as journal:
        journal.append("next", [])
    with Journal(path, "mine") as journal:
        assert list(journal.groups) == [*list(GROUPS)[:whole], "next"]


def test_a_flipped_bit_ends_the_journal(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with Journal(path, "mine") as journal:
        assert 0 < len(journal.groups) < len(GROUPS)
        assert all(GROUPS[name] == rows for name, rows in journal.groups.items())


def test_groups_of_other_settings_are_dropped(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Journal(path, "another") as journal:
        assert journal.groups == {}
    assert "its groups are dropped" in caplog.text
    with Journal(path, "mine") as journal:
        assert journal.groups == {}


def test_a_group_is_written_once(path: Path) -> None:
    with Journal(path, "mine") as journal, pytest.raises(ValueError, match="'p1' is in"):
        journal.append("p1", [])


def test_a_killed_writer_loses_nothing_and_keeps_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
        writer.kill()
        with Journal(path, "mine") as journal:
            assert journal.groups == {"a": [{"id": "a"}]}


def test_two_writers_are_told_apart(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.journal._LOCK_WAIT_S", 0.1)
    with Journal(path, "mine"), pytest.raises(JournalBusyError, match="by another process"):
        Journal(path, "mine")


def test_a_removed_journal_is_gone_and_a_new_one_starts_empty(path: Path) -> None:
    with Journal(path, "mine") as journal:
        journal.remove()
        assert not path.exists()
    with Journal(path, "mine") as journal:
        assert journal.groups == {}


def test_a_failed_write_leaves_the_groups_before(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def fail(file: int, data: bytes) -> int:
        if random.random() < 0.5:
            return real(file, bytes(data)[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal(path, "mine") as journal:
        size = path.stat().st_size
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", fail)
            with pytest.raises(WarehouseFullError, match=r"x\.journal"):
                journal.append("more", [{"text": "x" * 1000}])
        assert path.stat().st_size == size
        journal.append("more", [])
    with Journal(path, "mine") as journal:
        assert list(journal.groups) == [*GROUPS, "more"]


def test_a_failed_fsync_is_not_forgotten(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(file: int) -> None:
        raise OSError(errno.EIO, "broken disk")

    journal = Journal(path, "mine", sync_interval_s=0.0)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        journal.append("more", [])
        journal._thread.join()
    with pytest.raises(OSError, match="broken disk"):
        journal.append("again", [])
    journal.close()
