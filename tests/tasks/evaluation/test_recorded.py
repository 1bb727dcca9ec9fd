"""Two models compared by recorded evaluations: which answers are paired, and what is refused."""

from pathlib import Path

import pytest

from storage import Warehouse, content_id
from tasks.errors import EvaluationError
from tasks.evaluation.paired import Comparison
from tasks.evaluation.recorded import compare_recorded


def evaluate(w: Warehouse, run: str, weights: str, suite: str | None, right: list[int]) -> None:
    """A greedy answer, and two samples, of each problem; right where `right` has 1."""
    ids = [f"{suite}-{i}" for i in range(len(right))]
    prompts: list[dict[str, object]] = [
        {
            "id": prompt_id,
            "environment": "copy",
            "messages": [{"role": "user", "content": prompt_id}],
            "source": "seed",
            "parent_ids": [],
            "split": "heldout",
            "metadata": {},
            "suite": suite,
        }
        for prompt_id in ids
    ]
    w.write("prompts", prompts, run=run, round=0, part=f"heldout-{suite}")
    samples: list[dict[str, object]] = []
    scores: list[dict[str, object]] = []
    for prompt_id, is_right in zip(ids, right, strict=True):
        for index, temperature in enumerate((0.0, 0.7, 0.7)):
            sample_id = content_id("sample", run, weights, prompt_id, index)
            samples.append(
                {
                    "id": sample_id,
                    "prompt_id": prompt_id,
                    "parent_ids": [],
                    "role": "answer",
                    "purpose": "evaluate",
                    "turn": 0,
                    "index": index,
                    "policy_id": f"{run}-{weights}",
                    "weight_hash": weights,
                    "engine": "transformers",
                    "sampling": {"temperature": temperature},
                    "seed": index,
                    "text": "",
                    "num_tokens": 1,
                    "finish_reason": "stop",
                    "status": "ok",
                }
            )
            own = {"sample_id": sample_id, "version": "1", "detail": {}, "status": "ok"}
            value = float(is_right and index != 2)  # one of two samples
            check = {"id": content_id("score", sample_id), "check": "reference", "value": value}
            scores.append(own | check)
    part = f"{weights}-{suite}"
    w.write("samples", samples, run=run, round=0, part=part)
    w.write("scores", scores, run=run, round=0, part=part)


@pytest.fixture
def house(tmp_path: Path) -> Warehouse:
    w = Warehouse.open(tmp_path / "w")
    evaluate(w, "r", "old", None, [1, 0, 0, 0])
    evaluate(w, "r", "new", None, [0, 1, 1, 1])
    evaluate(w, "r", "new", "skill", [1, 1])
    evaluate(w, "s", "old", None, [1, 1, 1, 1])
    evaluate(w, "s", "old", "skill", [1, 0])
    return w


def compared(w: Warehouse, num_samples: int | None = None) -> list[Comparison]:
    with w.connect() as con:
        return compare_recorded(con, "old", "new", num_samples)


def test_models_are_paired_within_a_run_where_there_is_one_else_over_runs(
    house: Warehouse,
) -> None:
    copy, skill = compared(house)
    assert (copy.name, copy.num_problems, copy.wins, copy.losses) == ("copy", 4, 3, 1)
    assert (copy.incumbent_accuracy, copy.candidate_accuracy) == (0.25, 0.75)
    assert copy.p_value == 5 / 16
    assert (skill.name, skill.wins, skill.losses) == ("skill", 1, 0)


def test_samples_are_counted_on_request(house: Warehouse) -> None:
    copy, _ = compared(house, num_samples=2)
    assert (copy.incumbent_accuracy, copy.candidate_accuracy) == (0.125, 0.375)
    with pytest.raises(EvaluationError, match="both gave 3 samples for"):
        compared(house, num_samples=3)


def test_models_without_a_common_problem_are_refused(house: Warehouse) -> None:
    with house.connect() as con, pytest.raises(EvaluationError, match="`selfloom evaluate` both"):
        compare_recorded(con, "old", "unknown")
