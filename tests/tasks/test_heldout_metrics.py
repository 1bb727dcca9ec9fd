"""Held-out metrics of a model, against the evaluation's own counting."""

import json
import random
from pathlib import Path

import pytest

from storage import Warehouse
from tasks.evaluation import suite_results
from tasks.evaluation.metrics import maj_at_k
from tasks.heldout_metrics import heldout_metrics
from tests.tasks.conftest import make_prompts, make_sample, make_scores


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """One model on 30 problems: a greedy answer and five samples each; one sample is lost."""
    w = Warehouse.open(tmp_path_factory.mktemp("evaluated") / "w")
    rng = random.Random(3)
    prompts = [p | {"split": "heldout"} for p in make_prompts("r", 1, (1, 2), 30)]
    samples, scores = [], []
    for prompt in prompts:
        for index in range(6):
            row = make_sample(prompt, "r", 1, index, 0.0 if index == 5 else 0.7)
            samples.append(row | {"purpose": "evaluate", "policy_id": "m"})
            good = rng.random() < 0.6
            answer = prompt["reference"] if good else str(1000 + rng.randrange(2))
            scores += make_scores(row, answer, good)
    scores[0] |= {"status": "error", "error": "lost", "label": None}
    for table, rows in (("prompts", prompts), ("samples", samples), ("scores", scores)):
        w.write(table, rows, run="r", round=1, part="all")
    return w


def test_metrics_equal_a_count_by_hand(evaluated: Warehouse) -> None:
    with evaluated.connect() as con:
        found = heldout_metrics(con, "r", "m")
        results = suite_results(con, "r", "m")
    n = len(results)
    assert found["num_problems"] == n == 30
    greedy = sum(bool(r.greedy_correct) for r in results) / n
    accuracy = sum(sum(r.correct) / len(r.correct) for r in results) / n
    assert found["greedy_accuracy"] == pytest.approx(greedy)
    assert found["sample_accuracy"] == pytest.approx(accuracy)
    assert found["any_correct_share"] == pytest.approx(sum(any(r.correct) for r in results) / n)
    leaders = [min(r.answers, key=lambda a: (-r.answers.count(a), a)) for r in results]
    label = [r.correct[r.answers.index(a)] for r, a in zip(results, leaders, strict=True)]
    assert found["label_accuracy"] == pytest.approx(sum(label) / n)
    rewarded = [
        sum((a == lead) == c for a, c in zip(r.answers, r.correct, strict=True)) / len(r.answers)
        for r, lead in zip(results, leaders, strict=True)
    ]
    assert found["reward_accuracy"] == pytest.approx(sum(rewarded) / n)
    assert found["generation_verification_gap"] == pytest.approx(sum(label) / n - accuracy)
    distinct = sum(len(set(r.answers)) for r in results) / n
    assert found["distinct_answers_per_prompt"] == pytest.approx(distinct)
    majority = sum(maj_at_k(r.answers, r.correct, len(r.answers)) for r in results) / n
    assert found["label_accuracy"] == pytest.approx(majority, abs=0.1)  # ties apart


def test_a_model_without_samples_has_none(evaluated: Warehouse, tmp_path: Path) -> None:
    with evaluated.connect() as con:
        assert heldout_metrics(con, "r", "other") == {}
        assert json.dumps(heldout_metrics(con, "r", "m"))
    with Warehouse.open(tmp_path / "empty").connect() as con:
        assert heldout_metrics(con, "r", "m") == {}
