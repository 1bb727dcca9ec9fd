"""Rows of a query on their way into a table: all of them appear at once, or none."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from storage import RowError, Warehouse
from tasks import sql_script
from tasks.sql_script import write_query

PLACE: dict[str, Any] = {"run": "r", "round": 1, "part": "votes"}
VOTES = (
    "SELECT 'vote-' || i AS id, 'r' AS run, 1 AS round, 'p' AS prompt_id, i::VARCHAR AS answer, "
    "1 AS count, 1.0 AS weight, 0.5 AS share, 1 AS rank, 2 AS num_samples "
    "FROM range({}) AS t(i) ORDER BY i"
)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """A warehouse into which queries are written in pieces of a few thousand rows."""
    monkeypatch.setattr(sql_script, "ROWS_PER_PIECE", 4_000)
    return Warehouse.open(tmp_path / "w")


def count(house: Warehouse) -> int:
    return int(house.read("votes", columns=["id"]).num_rows)


def test_a_reader_sees_all_rows_of_a_query_or_none(
    house: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def watched(*arguments: Any) -> Any:
        for piece in pieces(*arguments):
            seen.append(count(house))
            yield piece
        seen.append(count(house))

    pieces = sql_script._pieces
    monkeypatch.setattr(sql_script, "_pieces", watched)
    with house.connect() as connection:
        assert write_query(house, connection, VOTES.format(30_000), "votes", **PLACE) == 30_000
        assert len(seen) > 5 and set(seen) == {0}
        assert count(house) == 30_000
        seen.clear()
        assert write_query(house, connection, VOTES.format(9_000), "votes", **PLACE) == 9_000
    assert len(seen) > 2 and set(seen) == {30_000}
    assert count(house) == 9_000
    ids = house.read("votes", columns=["id"]).column("id").to_pylist()
    assert ids == [f"vote-{i}" for i in range(9_000)]


def test_a_query_that_fails_half_way_writes_nothing(house: Warehouse) -> None:
    broken = VOTES.replace("1 AS count", "CASE WHEN i < 20000 THEN 1 END AS count").format(30_000)
    late = VOTES.replace("i::VARCHAR", "if(i < 20000, 'a', error('late'))").format(30_000)
    with house.connect() as connection:
        for query, error in ((broken, RowError), (late, duckdb.Error)):
            with pytest.raises(error):
                write_query(house, connection, query, "votes", **PLACE)
            assert house.parts("votes") == [] and not list((house.root / "tmp").rglob("unfinished"))
        # The connection is as good as new.
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_no_rows_are_an_empty_part(house: Warehouse) -> None:
    with house.connect() as connection:
        assert write_query(house, connection, VOTES.format(0), "votes", **PLACE) == 0
    assert house.has("votes", run="r", round=1, part="votes-0000") and count(house) == 0
