"""Shards are unseen until they are sealed, then seen at once; every crash ends the same."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from storage import PartitionError, RowError, Warehouse, WarehouseFullError, shards

MakeRow = Callable[..., dict[str, Any]]
PARTS = [f"sample-{i:04d}" for i in range(4)]
PLACE = {"run": "r", "round": 1}


@pytest.fixture
def filled(warehouse: Warehouse, make_row: MakeRow) -> Warehouse:
    """A warehouse with four shards of 0, 1, 2 and 3 votes."""
    for size, part in enumerate(PARTS):
        rows = [make_row("votes", f"{part}-{i}", prompt_id=part) for i in range(size)]
        warehouse.write_shard("votes", rows, part=part, **PLACE)  # type: ignore[arg-type]
    return warehouse


def ids(warehouse: Warehouse, part: str | None = None) -> list[str]:
    return [str(own) for own in warehouse.read("votes", part=part).column("id").to_pylist()]


def files(warehouse: Warehouse) -> list[str]:
    found = (warehouse.table_dir("votes") / "run=r").rglob("*.parquet")
    return sorted(path.name for path in found)


def check_sealed(warehouse: Warehouse) -> None:
    assert ids(warehouse) == [f"{part}-{i}" for n, part in enumerate(PARTS) for i in range(n)]
    assert files(warehouse) == ["sample-0000..0003.parquet"]
    for size, part in enumerate(PARTS):
        assert warehouse.has("votes", part=part, **PLACE)  # type: ignore[arg-type]
        assert ids(warehouse, part) == [f"{part}-{i}" for i in range(size)]
    assert list((warehouse.root / "pending").rglob("*.parquet")) == []


def test_shards_are_found_by_name_and_by_no_view(filled: Warehouse) -> None:
    assert ids(filled) == [] and filled.parts("votes") == []
    assert filled.connect().execute("FROM votes").fetchall() == []
    assert ids(filled, "sample-0002") == ["sample-0002-0", "sample-0002-1"]
    assert filled.has("votes", part="sample-0000", **PLACE)  # type: ignore[arg-type]
    assert not filled.has("votes", part="sample-0004", **PLACE)  # type: ignore[arg-type]


def test_sealing_makes_one_file_that_knows_its_shards(filled: Warehouse) -> None:
    for _ in range(2):
        filled.seal("votes", PARTS, run="r", round=1)
        check_sealed(filled)
    assert filled.read("votes", part="sample-0002", columns=["prompt_id"]).to_pydict() == {
        "prompt_id": ["sample-0002"] * 2
    }
    assert ids(filled, "sample-0004") == ids(filled, "other-0001") == []
    count = "SELECT count(*) FROM votes WHERE run = 'r' AND round = 1"
    assert filled.connect().execute(count).fetchall() == [(6,)]
    (part,) = filled.parts("votes")
    metadata = pq.read_metadata(part.path)
    assert metadata.num_row_groups == 1
    group = metadata.row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    assert {column.compression for column in columns} == {"ZSTD"}
    assert all(column.is_stats_set for column in columns)
    assert json.loads(metadata.metadata[b"selfloom.shards"]) == {
        part: size for size, part in enumerate(PARTS)
    }


class Crash(Exception):
    pass


@pytest.mark.parametrize("survivors", range(5))
def test_a_crash_while_shards_are_deleted(
    survivors: int, filled: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = Path.unlink, [4 - survivors]

    def crash(path: Path, missing_ok: bool = False) -> None:
        if "pending" in path.parts and path.suffix == ".parquet":
            left[0] -= 1
            if left[0] < 0:
                raise Crash
        real(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", crash)
        try:
            filled.seal("votes", PARTS, run="r", round=1)
        except Crash:
            assert survivors
    assert len(list((filled.root / "pending").rglob("*.parquet"))) == survivors
    for size, part in enumerate(PARTS):
        assert len(ids(filled, part)) == size
    filled.seal("votes", PARTS, run="r", round=1)
    check_sealed(filled)


def test_a_journal_that_outlived_its_shard_goes_with_it(filled: Warehouse) -> None:
    for part in ("sample-0001", "sample-0009"):
        with filled.journal("votes", run="r", round=1, part=part, identity="mine") as journal:
            journal.append("a", [])
    filled.seal("votes", [*PARTS, "sample-0009"], run="r", round=1)
    check_sealed(filled)
    journals = [path.name for path in (filled.root / "pending").rglob("*.journal")]
    assert journals == ["sample-0009.journal"]


def test_a_full_disk_leaves_the_shards(filled: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("storage.commit.fsync", full)
        with pytest.raises(WarehouseFullError):
            filled.seal("votes", PARTS, run="r", round=1)
    assert ids(filled) == []
    filled.seal("votes", PARTS, run="r", round=1)
    check_sealed(filled)


def test_gaps_and_single_shards(filled: Warehouse) -> None:
    filled.seal("votes", ["sample-0000", "sample-0001", "sample-0003", "absent-0001"], **PLACE)  # type: ignore[arg-type]
    assert files(filled) == ["sample-0000..0001.parquet", "sample-0003.parquet"]
    assert ids(filled, "sample-0002") == ["sample-0002-0", "sample-0002-1"]
    assert not filled.has("votes", run="r", round=1, part="absent-0001")
    filled.seal("votes", PARTS, run="r", round=1)
    assert len(ids(filled)) == 6 and len(files(filled)) == 3
    assert [len(ids(filled, part)) for part in PARTS] == [0, 1, 2, 3]


def test_long_texts_are_merged_in_bounded_steps(
    warehouse: Warehouse, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.commit._BYTES_PER_GROUP", 100_000)
    for part in PARTS:
        row = make_row("votes", part, answer="x" * 60_000)
        warehouse.write_shard("votes", [row], run="r", round=1, part=part)
    warehouse.seal("votes", PARTS, run="r", round=1)
    (sealed,) = warehouse.parts("votes")
    assert pq.read_metadata(sealed.path).num_row_groups == 2
    assert ids(warehouse) == PARTS


def test_bad_shards_are_refused(warehouse: Warehouse, make_row: MakeRow) -> None:
    with pytest.raises(RowError, match="count"):
        warehouse.write_shard("votes", [make_row("votes", "a", count="x")], part="p-0", **PLACE)  # type: ignore[arg-type]
    with pytest.raises(PartitionError):
        warehouse.write_shard("votes", [], run="r", round=1, part="../p")
    with pytest.raises(PartitionError):
        warehouse.seal("votes", ["../p"], run="r", round=1)
    assert not (warehouse.root / shards.PENDING_FOLDER).exists()


def test_the_bytes_of_a_part_are_those_of_its_rows(warehouse: Warehouse, make_row: MakeRow) -> None:
    place: dict[str, Any] = {"run": "r", "round": 1}
    texts = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(2000)]
    for part, own in (("s-0000", texts[:1500]), ("s-0001", texts[1500:])):
        rows = [make_row("samples", text, text=text) for text in own]
        warehouse.write_shard("samples", rows, part=part, **place)
    pending = [warehouse.part_bytes("samples", part=f"s-000{i}", **place) for i in range(2)]
    # 32 random bytes as text twice, which no compression makes smaller.
    assert pending[0] > 1500 * 32 and 2 < pending[0] / pending[1] < 4
    warehouse.seal("samples", ["s-0000", "s-0001"], **place)
    (whole,) = warehouse.parts("samples", **place)
    sealed = [warehouse.part_bytes("samples", part=f"s-000{i}", **place) for i in range(2)]
    assert sealed[0] == pytest.approx(3 * sealed[1], rel=0.01)
    assert 0.8 < sum(sealed) / whole.path.stat().st_size < 1
    assert warehouse.part_bytes("samples", part="s-0002", **place) == 0
