"""samples = selected + rejected, and what the views say when it does not hold."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import Warehouse

MakeRow = Callable[..., dict[str, Any]]
COLUMNS = "samples, selected, rejected, selected_and_rejected, unaccounted, balanced"


def counts(warehouse: Warehouse) -> list[tuple[object, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(f"SELECT round, {COLUMNS} FROM row_counts").fetchall()


def test_the_identity(story: Warehouse) -> None:
    # The draft of round 1 is none of the four: only answers and programs are selected from.
    assert counts(story) == [(1, 4, 2, 2, 0, 0, True), (2, 2, 1, 1, 0, 0, True)]


def test_a_lost_sample_is_noticed(story: Warehouse) -> None:
    story.write("rejections", [], run="r", round=2, part="p")
    assert counts(story)[1] == (2, 2, 1, 0, 0, 1, False)


def test_a_sample_in_both_is_noticed(story: Warehouse, make_row: MakeRow) -> None:
    row = make_row("rejections", "x", row_table="samples", row_id="t1")
    story.write("rejections", [row], run="r", round=2, part="more")
    assert counts(story)[1] == (2, 2, 1, 2, 1, 0, False)


def test_a_sample_written_twice_is_noticed(story: Warehouse) -> None:
    story.write("samples", story.read("samples", round=2), run="r", round=2, part="again")
    assert counts(story)[1] == (2, 4, 1, 1, 0, 0, False)


def test_rejections_of_other_tables_do_not_count(story: Warehouse, make_row: MakeRow) -> None:
    row = make_row("rejections", "x", row_table="prompts", row_id="t1")
    story.write("rejections", [row], run="r", round=2, part="more")
    assert counts(story)[1] == (2, 2, 1, 1, 0, 0, True)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 2), st.sets(st.sampled_from(["e", "l", "chosen", "rejected", "drop"]))
        ),
        max_size=8,
    )
)
def test_counts_are_sets(
    warehouse: Warehouse, make_row: MakeRow, fates: list[tuple[int, set[str]]]
) -> None:
    shutil.rmtree(warehouse.root / "tables")
    warehouse = Warehouse.open(warehouse.root)
    expected = []
    for round in sorted({round for round, _ in fates}):
        mine = {f"s{i}": fate for i, (own, fate) in enumerate(fates) if own == round}
        write_fates(warehouse, make_row, round, mine)
        used = {id for id, fate in mine.items() if fate - {"drop"}}
        dropped = {id for id, fate in mine.items() if "drop" in fate}
        both, none = len(used & dropped), len(mine) - len(used | dropped)
        expected.append((round, len(mine), len(used), len(dropped), both, none, both == none == 0))
    assert counts(warehouse) == expected


def write_fates(
    warehouse: Warehouse, make_row: MakeRow, round: int, fates: dict[str, set[str]]
) -> None:
    tables: dict[str, list[dict[str, Any]]] = {
        "samples": [make_row("samples", id, role="answer") for id in fates],
        "examples": [
            make_row("examples", f"e{i}", sample_ids=[i]) for i in fates if "e" in fates[i]
        ],
        "labels": [make_row("labels", f"l{i}", sample_ids=[i]) for i in fates if "l" in fates[i]],
        "pairs": [
            make_row("pairs", f"{side}{i}", **{f"{side}_sample_id": i})
            for i in fates
            for side in ("chosen", "rejected")
            if side in fates[i]
        ],
        "rejections": [
            make_row("rejections", f"r{i}", row_table="samples", row_id=i)
            for i in fates
            if "drop" in fates[i]
        ],
    }  # fmt: skip
    for table, rows in tables.items():
        warehouse.write(table, rows, run="r", round=round, part="p")


def test_rounds_overview(story: Warehouse) -> None:
    story.write("samples", [], run="next", round=1, part="p")
    with story.connect() as connection:
        rows = connection.sql("FROM rounds_overview").to_arrow_table().to_pylist()
    by_round = {row["round"]: row for row in rows}
    assert sorted(by_round) == [0, 1, 2]
    first = by_round[1]
    names = ["prompts", "samples", "executions", "accepted", "votes", "examples", "pairs", "labels"]
    assert [first[name] for name in names] == [1, 5, 4, 2, 2, 1, 1, 0]
    assert (first["rejections"], first["gate_verdict"], first["recipe"]) == (3, "promoted", "scpo")
    assert first["child_accuracy"] == pytest.approx((30 / 4 + 10) / 40)
    assert first["parent_accuracy"] is None, "the base was not evaluated in this run"
    second = [by_round[2][name] for name in ("samples", "executions", "accepted")]
    assert second == [2, 1, 1], "without those of evaluation"
    assert by_round[2]["parent_accuracy"] == first["child_accuracy"]
    assert by_round[0]["gate_verdict"] is None
