"""Every kind of damage is found and named, and a sound warehouse has no problem."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import Warehouse
from storage.verify import Problem, check_tables
from tests.storage.conftest import valid_row


def vote(prompt_id: str, number: int) -> dict[str, object]:
    return valid_row("votes", f"vote-{prompt_id}-{number}", prompt_id=prompt_id)


@pytest.fixture
def house(tmp_path: Path) -> Warehouse:
    """A prompt and its votes in two sealed shards."""
    w = Warehouse.open(tmp_path / "w")
    w.write("prompts", [valid_row("prompts", "p")], run="r", round=1, part="train")
    for number in range(2):
        part = f"vote-{number:04d}"
        w.write_shard("votes", [vote("p", number)], run="r", round=1, part=part)
    w.seal("votes", ["vote-0000", "vote-0001"], run="r", round=1)
    return w


def problems(w: Warehouse) -> list[Problem]:
    return list(check_tables(w))


def only_file(w: Warehouse, table: str) -> Path:
    (part,) = w.parts(table)
    assert isinstance(part.path, Path)
    return part.path


def test_a_sound_warehouse_has_no_problem(house: Warehouse) -> None:
    assert problems(house) == []


def test_a_damaged_file_is_named(house: Warehouse) -> None:
    path = only_file(house, "votes")
    path.write_bytes(path.read_bytes()[:-9])
    (problem,) = problems(house)
    assert (problem.check, problem.where) == ("file", str(path))


def test_a_file_that_was_written_by_someone_else_is_named(house: Warehouse) -> None:
    path = only_file(house, "votes")
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.slice(1), path)
    (problem,) = problems(house)
    assert problem.check == "shard counts" and "has 1 rows, its shards have 0" in problem.detail


def test_rows_in_the_wrong_place_are_named(house: Warehouse) -> None:
    path = only_file(house, "prompts")
    target = path.parent.parent / "round=2" / path.name
    target.parent.mkdir()
    path.rename(target)
    assert [problem.check for problem in problems(house)] == ["partition"]


def test_repeated_ids_and_orphans_are_named(house: Warehouse) -> None:
    house.write("votes", [vote("p", 0), vote("gone", 0)], run="r", round=1, part="more")
    ids, links = problems(house)
    assert (ids.check, ids.where) == ("ids", "votes")
    assert "1 ids are there twice" in ids.detail and "vote-p-0" in ids.detail
    assert (links.check, links.where) == ("links", "votes.prompt_id")
    assert "1 rows name what prompts does not have, e.g. vote-gone-0 names gone" in links.detail


def test_lists_of_ids_are_followed(house: Warehouse) -> None:
    row = valid_row("examples", "e", prompt_id="p", sample_ids=["s"], vote_ids=["vote-p-1"])
    house.write("examples", pa.Table.from_pylist([row]), run="r", round=1, part="select")
    assert [problem.where for problem in problems(house)] == ["examples.sample_ids"]
