"""What a round leaves behind: tables, balanced rows, lineage, the gate's words, a stop's reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from storage import TABLES
from tasks.engines import weight_hash
from tasks.models import resolve_model
from tests.flows.conftest import RunTiny, TinyLoop

pytestmark = [pytest.mark.prefect, pytest.mark.sandbox]

Rows = list[dict[str, Any]]


def query(tiny: TinyLoop, sql: str, **parameters: object) -> Rows:
    with tiny.house.connect() as con:
        cursor = con.execute(sql, parameters)
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def row_of_round(tiny: TinyLoop, number: int) -> dict[str, Any]:
    (row,) = tiny.house.read("rounds", run="tiny", round=number).to_pylist()
    return dict(row)


def check_balance(tiny: TinyLoop) -> None:
    (row,) = query(tiny, "SELECT * FROM row_counts")
    assert (row["round"], row["balanced"]) == (1, True)
    assert row["samples"] == row["selected"] + row["rejected"] == 160
    assert row["unaccounted"] == 0


def check_lineage(tiny: TinyLoop, table: str) -> None:
    """Samples, executions, votes, policy, weights, sampling and decision of a training row."""
    base = resolve_model(tiny.house, "tiny-base")
    is_program = tiny.config.environment.name == "word_problems"
    (own,) = query(
        tiny,
        f"SELECT id, len(sample_ids) AS n FROM {table} WHERE round = 1 ORDER BY id LIMIT 1",
    )
    steps = query(tiny, "SELECT * FROM lineage($id)", id=own["id"])
    by_relation: dict[str, Rows] = {}
    for step in steps:
        by_relation.setdefault(step["relation"], []).append(step)
    assert by_relation["self"][0]["reason"] == "kept"
    samples = [
        s for s in steps if s["table_name"] == "samples" and s["relation"].endswith("sample")
    ]
    assert len(samples) == own["n"]
    for sample in samples:
        assert (sample["policy_id"], sample["weight_hash"]) == (base.id, base.weight_hash)
        assert json.loads(sample["sampling"])["temperature"] == tiny.config.sampling.temperature
        assert sample["seed"] is not None
    executions = by_relation.get("execution", [])
    assert [step["verdict"] is not None for step in executions] == [True] * own["n"] * is_program
    checks = {step["name"].split()[0] for step in by_relation["score"]}
    assert checks == {"answer", "reference"}
    assert by_relation["vote"]
    (policy,) = by_relation["policy"]
    assert (policy["id"], policy["weight_hash"]) == (base.id, base.weight_hash)
    assert by_relation["prompt"] and by_relation["round"]
    # What did not become a row of this problem says why.
    assert all(step["reason"] for step in by_relation.get("sibling rejected", []))


def test_a_round_fills_its_tables(promoted: TinyLoop) -> None:
    filled = {name for name in TABLES if promoted.house.read(name, run="tiny").num_rows}
    assert filled == set(TABLES) - {"pairs", "labels", "decisions"}
    counts = query(
        promoted, "SELECT prompts, samples, executions, votes > 0 AS voted FROM rounds_overview"
    )
    assert counts[1] == {"prompts": 40, "samples": 160, "executions": 160, "voted": True}


def test_samples_are_selected_or_rejected_with_a_reason(promoted: TinyLoop) -> None:
    check_balance(promoted)
    reasons = query(promoted, "SELECT DISTINCT filter, reason FROM rejections")
    assert reasons and all(row["filter"] and row["reason"] for row in reasons)


def test_an_example_can_be_traced_to_all_it_came_from(promoted: TinyLoop) -> None:
    check_lineage(promoted, "examples")


def test_a_sample_leads_to_the_model_that_learned_from_it(promoted: TinyLoop) -> None:
    (row,) = query(promoted, "SELECT sample_ids[1] AS id FROM examples ORDER BY id LIMIT 1")
    steps = query(promoted, "SELECT relation, id FROM learned_from($id)", id=row["id"])
    assert {"relation": "trained", "id": "tiny-r1"} in steps


def test_models_say_what_they_came_from(promoted: TinyLoop) -> None:
    base, child = promoted.house.read("models", run="tiny").to_pylist()
    assert (base["id"], base["status"], base["parent_id"]) == ("tiny-base", "base", None)
    assert Path(base["path"]).is_absolute() and base["path"] == promoted.loop.base_model
    assert (child["id"], child["status"], child["parent_id"]) == (
        "tiny-r1",
        "promoted",
        "tiny-base",
    )
    assert child["path"] == "models/tiny-r1"
    assert child["weight_hash"] == weight_hash(promoted.house.root / child["path"])
    assert (promoted.house.root / "snapshots" / f"{child['snapshot_hash']}.parquet").is_file()
    metrics = json.loads(child["metrics"])
    examples = promoted.house.read("examples", run="tiny", round=1).num_rows
    assert (metrics["training_table"], metrics["rows_by_round"]) == ("examples", {"1": examples})
    assert metrics["training"]["steps"] == 6


def test_the_alias_follows_the_promoted_model(promoted: TinyLoop) -> None:
    root = promoted.house.root
    (child,) = promoted.house.read("models", run="tiny", round=1).to_pylist()
    assert (root / "promoted" / "tiny").resolve() == root / child["path"]
    alias = json.loads((root / "promoted" / "tiny.json").read_text())
    assert (alias["model_id"], alias["weight_hash"]) == ("tiny-r1", child["weight_hash"])


def test_the_gate_says_first_what_decided(promoted: TinyLoop) -> None:
    row = row_of_round(promoted, 1)
    assert row["gate_verdict"] == "promoted"
    assert row["gate_reasons"][0].startswith("Accuracy on the primary suites goes from")
    assert "p = " in row["gate_reasons"][1]
    assert (row["parent_model_id"], row["child_model_id"]) == ("tiny-base", "tiny-r1")


def test_nothing_that_a_clock_made_is_in_an_unmeasured_column(promoted: TinyLoop) -> None:
    (child,) = promoted.house.read("models", run="tiny", round=1).to_pylist()
    texts = [row_of_round(promoted, 1)[name] for name in ("metrics", "counts", "tokens")]
    for text in [*texts, child["metrics"]]:
        assert "second" not in text and "runtime" not in text
    assert json.loads(row_of_round(promoted, 1)["seconds"]).keys() >= {"train", "evaluate"}


def test_both_models_are_measured_on_the_same_problems(promoted: TinyLoop) -> None:
    rows = query(
        promoted,
        "SELECT suite, split, model_id, metric, k, n FROM evaluations WHERE difficulty IS NULL",
    )
    measured = {tuple(row.values())[:-1]: row["n"] for row in rows}
    names = [("maj@k", 1), ("maj@k", 2), ("pass@1 greedy", None), ("pass@k", 1), ("pass@k", 2)]
    assert measured == {
        **{
            ("word_problems", "heldout", model, *name): 60
            for model in ("tiny-base", "tiny-r1")
            for name in names
        },
        ("harder", "skills", "tiny-base", "pass@1 greedy", None): 10,
        ("harder", "skills", "tiny-r1", "pass@1 greedy", None): 10,
    }
    asked = query(
        promoted,
        "SELECT suite, difficulty = 3 AS is_hard, count(DISTINCT prompt_id) AS n "
        "FROM samples JOIN prompts ON prompts.id = prompt_id AND prompts.run = samples.run "
        "WHERE purpose = 'evaluate' GROUP BY ALL ORDER BY n",
    )
    assert [tuple(row.values()) for row in asked] == [("harder", True, 10), (None, False, 60)]


def test_the_gate_looks_at_every_suite_and_keeps_its_numbers(promoted: TinyLoop) -> None:
    row = row_of_round(promoted, 1)
    text = " ".join(row["gate_reasons"])
    assert "answered 60 problems of the primary suites" in text
    kept = json.loads(row["metrics"])["gate"]
    assert [suite["name"] for suite in kept["suites"]] == ["word_problems", "harder"]
    assert (kept["level"], kept["is_significant"]) == (1.0, True)
    overview = query(promoted, "SELECT child_accuracy FROM rounds_overview WHERE round = 1")
    assert overview[0]["child_accuracy"] == pytest.approx(kept["primary"]["candidate_accuracy"])


def test_round_0_says_which_loop_applies(promoted: TinyLoop) -> None:
    row = row_of_round(promoted, 0)
    assert row["gate_verdict"] == "none"
    found = json.loads(row["metrics"])["headroom"]
    assert found["loop"] in ("label_free", "labels", "none") and found["num_problems"] == 60


def test_a_round_keeps_both_models_on_held_out_problems(promoted: TinyLoop) -> None:
    metrics = json.loads(row_of_round(promoted, 1)["metrics"])
    before, after = metrics["heldout"]["before"], metrics["heldout"]["after"]
    assert before["num_problems"] == after["num_problems"] == 60
    with promoted.house.connect() as con:
        greedy = con.execute(
            "SELECT model_id, value FROM evaluations WHERE metric = 'pass@1 greedy' "
            "AND difficulty IS NULL AND split = 'heldout' ORDER BY model_id"
        ).fetchall()
    assert [value for _, value in greedy] == pytest.approx(
        [before["greedy_accuracy"], after["greedy_accuracy"]]
    )
    assert metrics["pass_at_k"].keys() == {"1", "2", "4"}
    assert metrics["by_difficulty"].keys() == {"1", "2"}


def test_a_stop_names_its_monitor_and_keeps_the_incumbent(stopped: TinyLoop) -> None:
    last = stopped.result.rounds[-1]
    assert (last.number, last.verdict, last.model_id) == (1, "stopped", "tiny-base")
    assert last.reasons[0].startswith("stop: training_rows: The round selected ")
    row = row_of_round(stopped, 1)
    assert (row["child_model_id"], row["gate_reasons"]) == (None, [])
    assert row["monitor_findings"] == last.reasons
    assert [model["status"] for model in stopped.house.read("models").to_pylist()] == ["base"]
    report = Path(stopped.result.report).read_text(encoding="utf-8")
    assert "Stopped in round 1: training rows." in report
    assert "training rows from 160 samples; at least 10000 are needed." in report


def test_a_stopped_round_is_balanced_too(stopped: TinyLoop) -> None:
    check_balance(stopped)


def test_a_stopped_loop_stays_stopped(stopped: TinyLoop) -> None:
    assert stopped.again(rounds=3).rounds == stopped.result.rounds


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "table"),
    [
        ("lmsi", "examples"),
        ("scpo", "pairs"),
        ("iterative_rpo", "pairs"),
        ("length_generalization", "examples"),
    ],
)
def test_every_recipe_makes_a_model(run_tiny: RunTiny, recipe: str, table: str) -> None:
    tiny = run_tiny(recipe)
    assert [r.verdict for r in tiny.result.rounds] in (["none", "promoted"], ["none", "rejected"])
    check_balance(tiny)
    check_lineage(tiny, table)
    (child,) = tiny.house.read("models", run="tiny", round=1).to_pylist()
    metrics = json.loads(child["metrics"])
    assert metrics["training_table"] == table
    assert ("chosen_logprob_end" in metrics["training"]) == (table == "pairs")
    rounds = {"0", "1"} if recipe == "length_generalization" else {"1"}
    assert metrics["rows_by_round"].keys() == rounds


@pytest.mark.slow
def test_a_training_that_a_monitor_stops_is_not_evaluated(run_tiny: RunTiny) -> None:
    # Without the likelihood term and far too fast, DPO makes the chosen completions unlikely.
    training = {"method": "dpo", "nll_weight": 0.0, "learning_rate": 3e-3, "steps": 30}
    monitors = {"min_training_rows": 1, "max_chosen_logprob_drop": 0.01}
    tiny = run_tiny("iterative_rpo", training=training | {"batch_size": 8}, monitors=monitors)
    last = tiny.result.rounds[-1]
    assert (last.verdict, last.model_id) == ("stopped", "tiny-base")
    assert last.reasons[0].startswith("stop: chosen_logprob: Training lowered the chosen")
    row = row_of_round(tiny, 1)
    metrics = json.loads(row["metrics"])
    assert metrics["chosen_logprob_end"] < metrics["chosen_logprob_start"] - 0.01
    (child,) = tiny.house.read("models", run="tiny", round=1).to_pylist()
    assert (child["id"], child["status"], row["child_model_id"]) == (
        "tiny-r1",
        "rejected",
        "tiny-r1",
    )
    assert tiny.house.read("evaluations", run="tiny", round=1).num_rows == 0
    check_balance(tiny)
