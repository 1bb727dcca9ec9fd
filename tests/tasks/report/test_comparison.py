"""Runs side by side, and tables of what a run explored."""

import json
from pathlib import Path

import pytest

from storage import Warehouse
from tasks.errors import ReportError
from tasks.report import read_rounds, write_comparison
from tasks.report.comparison import compare_runs, differing_settings
from tasks.report.metric_tables import metric_rows, yield_rows


def test_runs_are_compared_by_how_they_ended_and_what_they_cost(
    finished_warehouse: Warehouse,
) -> None:
    found = compare_runs(finished_warehouse, [])
    labels, votes = found.runs
    assert (labels["run"], labels["rounds"], labels["promoted"]) == ("labels", "3", "2")
    assert labels["start"] == "50.0% [44.0, 56.0]"
    assert labels["promoted model"] == "90.0% [84.0, 96.0]" and labels["change"] == "+40.0"
    assert labels["last verdict"] == "rejected" and votes["last verdict"] == "stopped"
    assert votes["findings"] == "error_avalanche"
    assert (labels["samples"], labels["tokens"]) == ("288", "7,035")
    titles = ["word_problems: accuracy by round", "word_problems: accuracy by samples drawn"]
    assert [plot.title for plot in found.plots] == titles


def test_only_settings_that_differ_are_listed(warehouse_of_two_runs: Warehouse) -> None:
    w = warehouse_of_two_runs
    configs = {
        "labels": {"seed": 0, "training": {"steps": 5, "method": "sft"}, "mix": {}},
        "votes": {"seed": 0, "training": {"steps": 9, "method": "sft"}, "min_share": 0.5},
    }
    for run, config in configs.items():
        (row,) = w.read("rounds", run=run, round=1).to_pylist()
        w.write("rounds", [row | {"config": json.dumps(config)}], run=run, round=1, part="all")
    with w.connect() as con:
        assert differing_settings(con, ["labels", "votes"]) == [
            {"setting": "min_share", "labels": "-", "votes": "0.5"},
            {"setting": "mix", "labels": "{}", "votes": "-"},
            {"setting": "training.steps", "labels": "5", "votes": "9"},
        ]


def test_the_page_needs_two_runs_that_are_there(
    finished_warehouse: Warehouse, tmp_path: Path
) -> None:
    path = write_comparison(finished_warehouse, tmp_path / "new" / "c.html", ["votes", "labels"])
    html = path.read_text(encoding="utf-8")
    assert html.count("<svg") == 2 and "<script" not in html and "None: the runs" in html
    with pytest.raises(ReportError, match=r"a comparison of labels: name two runs or more"):
        write_comparison(finished_warehouse, path, ["labels"])
    with pytest.raises(ReportError, match="'nope' is not in the warehouse"):
        write_comparison(finished_warehouse, path, ["labels", "nope"])


def test_metrics_are_one_row_per_round_and_yields_one_per_difficulty(
    warehouse_of_two_runs: Warehouse,
) -> None:
    w = warehouse_of_two_runs
    (row,) = w.read("rounds", run="labels", round=2).to_pylist()
    with w.connect() as con:
        kept = read_rounds(con, ["labels"])[1].metrics.to_dict()
    kept["heldout"] = {"before": {"label_accuracy": 0.5}, "after": {"label_accuracy": 0.75}}
    kept |= {"chosen_logprob_start": -0.5, "chosen_logprob_end": -0.4}
    w.write("rounds", [row | {"metrics": json.dumps(kept)}], run="labels", round=2, part="all")
    with w.connect() as con:
        rounds = read_rounds(con, ["labels"])
    first, second, _ = metric_rows(rounds)
    assert first["pass@4"] == f"{100 * rounds[0].metrics.pass_at_k['4']:.1f}%"
    assert (first["held-out labels right"], second["held-out labels right"]) == (
        "-",
        "50.0% → 75.0%",
    )
    assert second["log p chosen"] == "-0.500 → -0.400" and "log p rejected" not in first
    yields = yield_rows(rounds)
    assert [(one["round"], one["difficulty"]) for one in yields[:3]] == [
        ("1", "1"),
        ("1", "2"),
        ("2", "1"),
    ]
    assert metric_rows([]) == yield_rows([]) == []
