"""The rounds that all views of a loop are made from."""

import json
from pathlib import Path

import pytest

from storage import Warehouse
from tasks.errors import ReportError
from tasks.report.rounds import Note, parse_note, read_rounds, round_table_rows


def test_every_round_has_one_row_with_the_same_columns(finished_warehouse: Warehouse) -> None:
    with finished_warehouse.connect() as con:
        rows = round_table_rows(con)
    assert [(row["run"], row["round"]) for row in rows] == [
        ("labels", "1"),
        ("labels", "2"),
        ("labels", "3"),
        ("votes", "1"),
        ("votes", "2"),
    ]
    assert len({tuple(row) for row in rows}) == 1


def test_accuracy_is_the_childs_and_the_change_is_against_the_parent(
    finished_warehouse: Warehouse,
) -> None:
    with finished_warehouse.connect() as con:
        first, second, third = round_table_rows(con, ["labels"])
    assert (first["accuracy"], first["change"]) == ("72.0% [66.0, 78.0]", "+22.0")
    assert (second["accuracy"], second["change"]) == ("90.0% [84.0, 96.0]", "+18.0")
    assert third["change"] == "-1.0"


def test_a_stopped_round_has_no_accuracy_and_says_why(finished_warehouse: Warehouse) -> None:
    with finished_warehouse.connect() as con:
        stopped = read_rounds(con, ["votes"])[-1]
        row = round_table_rows(con, ["votes"])[-1]
    assert (row["verdict"], row["accuracy"], row["change"]) == ("stopped", "-", "-")
    assert row["findings"] == "stop: error_avalanche"
    assert stopped.notes[0].message.startswith("On the newest slice")


def test_a_round_under_way_is_shown_as_unfinished(warehouse_of_two_runs: Warehouse) -> None:
    w = warehouse_of_two_runs
    rows = w.read("samples", run="votes", round=2).to_pylist()[:5]
    w.write("samples", [row | {"round": 3} for row in rows], run="votes", round=3, part="all")
    with w.connect() as con:
        last = read_rounds(con, ["votes"])[-1]
    assert (last.round, last.verdict, last.parent, last.reasons) == (3, "unfinished", None, ())


def test_kept_metrics_are_not_measured_again(warehouse_of_two_runs: Warehouse) -> None:
    w = warehouse_of_two_runs
    (row,) = w.read("rounds", run="labels", round=1).to_pylist()
    row["metrics"] = json.dumps({"num_samples": 7, "headroom": {"reason": "A loop applies."}})
    w.write("rounds", [row], run="labels", round=1, part="all")
    with w.connect() as con:
        first = read_rounds(con, ["labels"])[0]
    assert first.metrics.num_samples == 7
    assert first.headroom == "A loop applies."


def test_an_unknown_run_is_named_with_those_there_are(
    finished_warehouse: Warehouse, tmp_path: Path
) -> None:
    with (
        finished_warehouse.connect() as con,
        pytest.raises(ReportError, match="'nope' is not in the warehouse; it holds labels, votes"),
    ):
        round_table_rows(con, ["labels", "nope"])
    with Warehouse.open(tmp_path / "empty").connect() as con:
        assert round_table_rows(con) == []


def test_findings_are_read_back_in_any_form() -> None:
    assert parse_note("stop: constant_answer: 90%: bad.") == Note(
        "stop", "constant_answer", "90%: bad."
    )
    hotter = parse_note("hotter: diversity_loss: 1.2: few.")
    assert hotter == Note("hotter", "diversity_loss", "1.2: few.")
    assert parse_note("the disk was full") == Note("warn", "note", "the disk was full")
