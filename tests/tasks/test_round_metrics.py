"""Metrics of a round from real tables, checked against a count by hand."""

import json
import math
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from storage import Warehouse, content_id
from tasks.evaluation.metrics import pass_at_k
from tasks.round_metrics import RoundMetrics, earlier_rounds, round_metrics

Row = dict[str, object]


def by_hand(w: Warehouse, run: str, round: int) -> dict[str, float]:
    """Return some metrics of a round, computed row by row."""
    samples = [
        row
        for row in w.read("samples", run=run, round=round).to_pylist()
        if row["purpose"] == "train"
    ]
    ids = {row["id"]: row["prompt_id"] for row in samples}
    scores = w.read("scores", run=run, round=round).to_pylist()
    answers = {s["sample_id"]: s["label"] for s in scores if s["check"] == "answer"}
    right = {s["sample_id"]: s["value"] == 1.0 for s in scores if s["check"] == "reference"}
    votes = w.read("votes", run=run, round=round).to_pylist()
    leaders = [v for v in votes if v["rank"] == 1]
    leading = {v["prompt_id"]: v["answer"] for v in leaders}
    rewarded = [(answers[i] == leading[p]) == right[i] for i, p in ids.items()]
    examples = w.read("examples", run=run, round=round).to_pylist()
    kept = [right[e["sample_ids"][0]] for e in examples]
    entropies = [
        -sum(v["share"] * math.log(v["share"]) for v in votes if v["prompt_id"] == p)
        for p in leading
    ]
    right_answers = {(ids[i], answers[i]) for i in ids if right[i]}
    distinct = {(ids[i], answers[i]) for i in ids}
    return {
        "num_samples": len(samples),
        "sample_accuracy": sum(right[i] for i in ids) / len(ids),
        "any_correct_share": len({p for p, _ in right_answers}) / len(set(ids.values())),
        "mean_majority_share": sum(v["share"] for v in leaders) / len(leaders),
        "unanimous_coverage": sum(v["share"] == 1.0 for v in leaders) / len(leaders),
        "majority_accuracy": sum((v["prompt_id"], v["answer"]) in right_answers for v in leaders)
        / len(leaders),
        "distinct_answers_per_prompt": len(distinct) / len(set(ids.values())),
        "disputed_share": sum(v["share"] < 1 for v in leaders) / len(leaders),
        "reward_accuracy": sum(rewarded) / len(rewarded),
        "vote_entropy": sum(entropies) / len(entropies),
        "generation_verification_gap": sum(kept) / len(kept)
        - sum(right[i] for i in ids) / len(ids),
    }


@pytest.mark.parametrize(("run", "round"), [("labels", 1), ("labels", 3), ("votes", 2)])
def test_metrics_equal_a_count_by_hand(finished_warehouse: Warehouse, run: str, round: int) -> None:
    with finished_warehouse.connect() as con:
        measured = round_metrics(con, run, round)
    for name, value in by_hand(finished_warehouse, run, round).items():
        assert getattr(measured, name) == pytest.approx(value, abs=1e-8), name


def test_pass_at_k_is_the_evaluations(finished_warehouse: Warehouse) -> None:
    w = finished_warehouse
    ids = {
        row["id"]: row["prompt_id"]
        for row in w.read("samples", run="labels", round=1).to_pylist()
        if row["purpose"] == "train"
    }
    marks = [
        s for s in w.read("scores", run="labels", round=1).to_pylist() if s["check"] == "reference"
    ]
    right = Counter(ids[s["sample_id"]] for s in marks if s["sample_id"] in ids and s["value"] == 1)
    counts = [right[prompt] for prompt in dict.fromkeys(ids.values())]
    with w.connect() as con:
        measured = round_metrics(con, "labels", 1).pass_at_k
    assert set(measured) == {"1", "2", "4"}
    for k, value in measured.items():
        expected = pass_at_k([4] * len(counts), counts, int(k)).mean()
        assert value == pytest.approx(expected, abs=1e-8), k


def test_distinct_n_counts_words_of_a_prompts_samples(finished_warehouse: Warehouse) -> None:
    texts: dict[str, list[list[str]]] = {}
    for row in finished_warehouse.read("samples", run="labels", round=1).to_pylist():
        if row["purpose"] == "train":
            words = re.findall(r"\w+|[^\w\s]", row["text"], re.ASCII)
            texts.setdefault(row["prompt_id"], []).append(words)
    shares = []
    for own in texts.values():
        pairs = [pair for words in own for pair in pairwise(words)]
        shares.append(len(set(pairs)) / len(pairs))
    with finished_warehouse.connect() as con:
        m = round_metrics(con, "labels", 1)
    assert m.distinct_2 == pytest.approx(sum(shares) / len(shares), abs=1e-8)
    assert m.distinct_1 is not None and 0 < m.distinct_1 < sum(shares) / len(shares)


def test_the_yield_of_all_difficulties_is_the_rounds(finished_warehouse: Warehouse) -> None:
    with finished_warehouse.connect() as con:
        m = round_metrics(con, "votes", 2)
    assert list(m.by_difficulty) == ["1", "2", "3"]
    levels = list(m.by_difficulty.values())
    assert sum(level["num_samples"] or 0 for level in levels) == m.num_samples
    assert sum(level["num_selected"] or 0 for level in levels) == m.num_examples
    right = sum((level["sample_accuracy"] or 0) * (level["num_samples"] or 0) for level in levels)
    assert right / m.num_samples == pytest.approx(m.sample_accuracy)


def test_greedy_answers_and_the_newest_slice_are_told_apart(
    finished_warehouse: Warehouse,
) -> None:
    with finished_warehouse.connect() as con:
        m = round_metrics(con, "votes", 2)
    assert m.newest_difficulty == 3
    assert m.greedy_accuracy is not None and m.majority_accuracy is not None
    assert m.majority_gain == pytest.approx(m.majority_accuracy - m.greedy_accuracy, abs=1e-8)
    assert m.num_samples == 24 * 4 and sum(m.verdicts.values()) == 24 * 4


def test_an_empty_round_has_zero_counts_and_nothing_else(finished_warehouse: Warehouse) -> None:
    with finished_warehouse.connect() as con:
        assert round_metrics(con, "labels", 99) == RoundMetrics()


def sample(number: int, text: str, finish: str, status: str = "ok") -> Row:
    return {
        "id": content_id("sample", number),
        "prompt_id": "prompt-1",
        "parent_ids": [],
        "role": "answer",
        "purpose": "train",
        "turn": 0,
        "index": number,
        "policy_id": "m",
        "weight_hash": "w",
        "engine": "transformers",
        "sampling": "{}",
        "seed": number,
        "text": text,
        "num_tokens": 10,
        "finish_reason": finish,
        "status": status,
        "error": None if status == "ok" else "the engine died",
    }


def test_loops_truncation_and_outages_are_shares_of_their_own(tmp_path: Path) -> None:
    w = Warehouse.open(tmp_path / "w")
    rows = [
        sample(1, "na" * 200, "length"),
        sample(2, "Three bags hold four apples each, so there are twelve apples.", "stop"),
        sample(3, "12", "stop"),
        sample(4, "", "error", status="error"),
    ]
    w.write("samples", rows, run="r", round=1, part="a")
    with w.connect() as con:
        m = round_metrics(con, "r", 1)
    assert m.error_share == 0.25
    assert m.truncated_share == pytest.approx(1 / 3, abs=1e-8)
    assert m.repeating_share == 0.5  # "12" is too short to judge, the lost sample has no text
    assert m.answered_share is None and m.sample_accuracy is None


def test_kept_metrics_come_back_and_foreign_keys_are_ignored() -> None:
    metrics = RoundMetrics(num_samples=5, verdicts={"accepted": 3}, top_answer="7")
    kept = json.loads(json.dumps(metrics.to_dict() | {"headroom": {"loop": "none"}}))
    assert RoundMetrics.from_dict(kept) == metrics


def test_earlier_rounds_are_those_before_in_order(finished_warehouse: Warehouse) -> None:
    with finished_warehouse.connect() as con:
        assert [number for number, _ in earlier_rounds(con, "labels", 3)] == [1, 2]
        assert earlier_rounds(con, "labels", 1) == []
