"""What a model did on held-out problems, as the metrics and the gate read it."""

from pathlib import Path

import pytest

from storage import Warehouse, content_id
from tasks.errors import EvaluationError
from tasks.evaluation.metrics import ProblemResult
from tasks.evaluation.suites import paired_suite, suite_results


def write_prompts(
    w: Warehouse, run: str, split: str, ids: list[str], suite: str | None = None
) -> None:
    rows: list[dict[str, object]] = [
        {
            "id": prompt_id,
            "environment": "copy",
            "messages": [{"role": "user", "content": prompt_id}],
            "reference": "1",
            "source": "seed",
            "parent_ids": [],
            "split": split,
            "difficulty": 1 + number,
            "metadata": {},
            "suite": suite,
        }
        for number, prompt_id in enumerate(ids)
    ]
    w.write("prompts", rows, run=run, round=0, part=f"{split}-{suite}")


def write_answers(
    w: Warehouse,
    run: str,
    round: int,
    policy: str,
    answers: list[tuple[str, float, str | None]],
    *,
    purpose: str = "evaluate",
    status: str = "ok",
) -> None:
    """Samples of (prompt, temperature, answer) with their scores; "1" is right."""
    samples: list[dict[str, object]] = []
    scores: list[dict[str, object]] = []
    for index, (prompt_id, temperature, answer) in enumerate(answers):
        sample_id = content_id("sample", run, round, policy, purpose, status, index)
        samples.append(
            {
                "id": sample_id,
                "prompt_id": prompt_id,
                "parent_ids": [],
                "role": "answer",
                "purpose": purpose,
                "turn": 0,
                "index": index,
                "policy_id": policy,
                "weight_hash": "h",
                "engine": "transformers",
                "sampling": {"temperature": temperature},
                "seed": index,
                "text": answer or "",
                "num_tokens": 1,
                "finish_reason": "stop",
                "status": "ok",
            }
        )
        own = {"sample_id": sample_id, "version": "1", "detail": {}, "status": status}
        right = {"id": content_id("score", sample_id, "r"), "check": "reference"}
        scores.append(
            own | {"id": content_id("score", sample_id, "a"), "check": "answer", "label": answer}
        )
        scores.append(own | right | {"value": float(answer == "1")})
    part = f"{policy}-{purpose}-{status}"
    w.write("samples", samples, run=run, round=round, part=part)
    w.write("scores", scores, run=run, round=round, part=part)


@pytest.fixture
def house(tmp_path: Path) -> Warehouse:
    w = Warehouse.open(tmp_path / "w")
    write_prompts(w, "r", "heldout", ["h0", "h1", "h2"])
    write_prompts(w, "r", "train", ["t0"])
    drawn = [("h0", 0.7, "1"), ("h0", 0.7, "2"), ("h1", 0.7, None)]
    write_answers(w, "r", 0, "base", [("h0", 0.0, "1"), ("h1", 0.0, "2"), *drawn])
    return w


def results(w: Warehouse, policy: str, run: str = "r") -> list[ProblemResult]:
    with w.connect() as con:
        return suite_results(con, run, policy)


def test_greedy_and_drawn_answers_are_told_apart(house: Warehouse) -> None:
    assert results(house, "base") == [
        ProblemResult("h0", 1, True, ("1", "2"), (True, False)),
        ProblemResult("h1", 2, False, (None,), (False,)),
    ]


def test_only_evaluation_samples_of_held_out_problems_count(house: Warehouse) -> None:
    before = results(house, "base")
    write_answers(house, "r", 1, "base", [("h2", 0.0, "1")], purpose="train")
    write_answers(house, "r", 2, "base", [("t0", 0.0, "1")])
    write_prompts(house, "s", "heldout", ["h2"])
    write_answers(house, "s", 0, "base", [("h2", 0.0, "1")])
    assert results(house, "base") == before
    assert [r.prompt_id for r in results(house, "base", "s")] == ["h2"]
    assert results(house, "other") == []


def test_an_outage_is_left_out_not_counted_as_wrong(house: Warehouse) -> None:
    write_answers(house, "r", 1, "next", [("h0", 0.0, "2")])
    write_answers(house, "r", 1, "next", [("h1", 0.0, None)], status="error")
    assert [(r.prompt_id, r.greedy_correct) for r in results(house, "next")] == [("h0", False)]


def test_models_are_paired_on_what_both_answered(house: Warehouse) -> None:
    write_answers(house, "r", 1, "next", [("h1", 0.0, "1"), ("h2", 0.0, "1")])
    suite = paired_suite("copy", results(house, "base"), results(house, "next"))
    (outcome,) = suite.outcomes
    assert (outcome.prompt_id, outcome.difficulty) == ("h1", 2)
    assert (outcome.incumbent, outcome.candidate) == (False, True)
    assert suite.num_unpaired == 2


def test_models_that_share_no_problem_are_not_compared(house: Warehouse) -> None:
    with pytest.raises(EvaluationError, match="share no prompt id"):
        paired_suite("copy", results(house, "base"), results(house, "other"))


def test_right_samples_are_counted_where_they_are_asked_for(house: Warehouse) -> None:
    drawn: list[tuple[str, float, str | None]] = [
        ("h0", 0.7, "1"),
        ("h0", 0.7, "1"),
        ("h1", 0.7, "1"),
        ("h1", 0.7, "1"),
    ]
    write_answers(house, "r", 1, "next", drawn)
    suite = paired_suite("copy", results(house, "base"), results(house, "next"), num_samples=2)
    (outcome,) = suite.outcomes  # the base has one sample of h1 only
    assert (outcome.prompt_id, outcome.incumbent, outcome.candidate) == ("h0", 1, 2)
    assert (suite.num_unpaired, suite.num_answers) == (1, 2)


def test_suites_are_kept_apart(house: Warehouse) -> None:
    before = results(house, "base")
    write_prompts(house, "r", "heldout", ["k0"], suite="skill")
    write_answers(house, "r", 1, "base", [("k0", 0.0, "1")])
    assert results(house, "base") == before
    with house.connect() as con:
        found = suite_results(con, "r", "base", "skill")
    assert [(r.prompt_id, r.greedy_correct) for r in found] == [("k0", True)]
