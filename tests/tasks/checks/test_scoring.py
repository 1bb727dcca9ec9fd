"""Scores: one opinion per check and sample, and an outage is none."""

from __future__ import annotations

from tasks.checks.answers import canonical_answer, extract_answer
from tasks.checks.scoring import Answered, grade, score_answers


def parse(text: str) -> str | None:
    found = extract_answer(text)
    return None if found is None else found.answer


def test_answer_and_reference_rows() -> None:
    samples = [
        Answered("a", "A: 1,000", "1000"),
        Answered("b", "A: 7", "1000"),
        Answered("c", "no idea", "1000"),
        Answered("d", "A: 3"),
        Answered("e", None, "1000", detail={"verdict": "wall_timeout"}),
    ]
    rows = list(score_answers(samples, parse, canonical_answer, run="r", round=1))
    found = [(row["sample_id"], row["check"], row["label"], row["value"]) for row in rows]
    assert found == [
        ("a", "answer", "1000", None),
        ("a", "reference", None, 1.0),
        ("b", "answer", "7", None),
        ("b", "reference", None, 0.0),
        ("c", "answer", None, None),
        ("c", "reference", None, 0.0),
        ("d", "answer", "3", None),
        ("e", "answer", None, None),
        ("e", "reference", None, 0.0),
    ]
    assert rows[0]["detail"] == {"raw": "1,000"}
    assert rows[7]["detail"] == {"verdict": "wall_timeout"}
    assert len({row["id"] for row in rows}) == len(rows)


def test_an_outage_is_not_a_score() -> None:
    sample = Answered("a", "A: 5", "5", outage="sandbox_fault: fork failed")
    for row in score_answers([sample], parse, canonical_answer, run="r", round=1):
        assert (row["status"], row["value"], row["label"]) == ("error", None, None)
        assert row["error"] == "sandbox_fault: fork failed"


def test_rewards_of_a_batch() -> None:
    texts = ["A: 5.0", "A: 6", "none", "A: 5"]
    assert grade(texts, ["5", "5", "5", None], parse, canonical_answer) == [1.0, 0.0, 0.0, None]
