"""What commands print: tables that fit, numbers that are those of the warehouse."""

import re
from pathlib import Path

import pytest

from flows.self_training import LoopResult
from flows.show import print_rounds, print_rows, show_evaluation, show_result
from flows.training_round import RoundResult
from storage import Warehouse
from tasks.evaluation import evaluation_rows
from tasks.evaluation.metrics import ProblemResult
from tests.tasks.conftest import finished_warehouse, warehouse_of_two_runs

__all__ = ["finished_warehouse", "warehouse_of_two_runs"]  # fixtures


def test_columns_without_room_are_left_out_and_none_is_cut(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [{f"column {i}": "x" * 18 for i in range(9)}]
    print_rows(rows, "many")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    shown = max(line.count("x" * 18) for line in lines)
    assert 3 <= shown < 9
    assert sum(line.count("x") for line in lines) == 18 * shown


def test_nothing_is_printed_for_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([], "title")
    assert capsys.readouterr().out == ""


def test_every_run_has_a_table_of_its_rounds(
    finished_warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    print_rounds(finished_warehouse, None)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    assert re.findall(r"^(\w+) \((\w+)\)", out, re.MULTILINE) == [
        ("labels", "rest_em"),
        ("votes", "lmsi"),
    ]
    verdicts = re.findall(r"^ +(\d) +(promoted|rejected|stopped)", out, re.MULTILINE)
    assert verdicts == [
        ("1", "promoted"),
        ("2", "promoted"),
        ("3", "rejected"),
        ("1", "promoted"),
        ("2", "stopped"),
    ]


def test_a_result_ends_with_report_page_and_three_queries_that_run(
    warehouse_of_two_runs: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    house = warehouse_of_two_runs
    last = RoundResult(2, "stopped", "model-votes-1", ["stop: error_avalanche: It falls."])
    show_result(house.root, [LoopResult("votes", "model-votes-1", "", [last])])
    out = capsys.readouterr().out
    assert "votes: model-votes-1 is promoted; last round: stopped" in out
    assert "  - stop: error_avalanche: It falls." in out
    report = re.search(r"^Report: +(.*)$", out, re.MULTILINE)
    assert report and Path(report[1]).is_file()
    assert "selfloom ui" in out
    queries = re.findall(rf'^  selfloom sql -w {house.root} "(.*)"$', out, re.MULTILINE)
    assert len(queries) == 3 and "lineage(" in queries[-1]
    with house.connect() as con:
        assert all(con.execute(query).fetchall() for query in queries)


def test_an_evaluation_is_one_line_per_difficulty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = [
        ProblemResult(f"p{level}{i}", level, i < 8 - level, ("1", "2"), (i < 5, i < 5))
        for level in (1, 2)
        for i in range(10)
    ]
    house = Warehouse.open(tmp_path / "w")
    rows = evaluation_rows(
        results,
        run="measured",
        round=0,
        model_id="seed:programs",
        weight_hash="w",
        suite="words",
        split="heldout",
        ks=(1, 2),
    )
    house.write("evaluations", list(rows), run="measured", round=0, part="heldout")
    show_evaluation(house.root, "measured")
    out = capsys.readouterr().out
    assert out.startswith("seed:programs on held-out problems of words")
    assert re.search(r"difficulty +problems +pass@1 greedy +maj@2 +pass@1 +pass@2", out)
    lines = re.findall(r"^ +(all|\d) +(\d+) +(\S+) \[", out, re.MULTILINE)
    assert lines == [("all", "20", "65.0%"), ("1", "10", "70.0%"), ("2", "10", "60.0%")]
    assert f"Rows: run measured in {house.root}" in out
