"""Which loop applies, on result patterns measured with real small models."""

import json

import pytest

from tasks.errors import EvaluationError
from tasks.evaluation.metrics import ProblemResult
from tasks.headroom import HeadroomSpec, headroom

SPEC = HeadroomSpec(num_resamples=500)


def problems(kind: str, greedy: bool, right: int, wrong: int, count: int) -> list[ProblemResult]:
    """Return problems with `right` samples of the right answer and `wrong` of one other answer."""
    answers = ("5",) * right + ("6",) * wrong
    marks = (True,) * right + (False,) * wrong
    return [ProblemResult(f"{kind}-{i}", 1, greedy, answers, marks) for i in range(count)]


def test_an_undertrained_model_needs_a_checker() -> None:
    # Greedy 0.64, votes worse than greedy, but right samples exist nearly everywhere.
    results = problems("g", True, 3, 5, 40) + problems("h", True, 5, 3, 24)
    results += problems("w", False, 2, 6, 36)
    found = headroom(results, SPEC)
    assert found.loop == "labels"
    assert found.greedy == 0.64 and found.vote == 0.24 and found.verification == 1.0
    assert found.vote_gain_interval.high < 0
    assert "maj@8 0.240 (-0.400)" in found.reason


def test_votes_that_beat_greedy_allow_a_label_free_loop() -> None:
    results = problems("a", True, 8, 0, 50) + problems("b", False, 6, 2, 30)
    results += problems("c", False, 0, 8, 20)
    found = headroom(results, SPEC)
    assert found.loop == "label_free"
    assert found.vote_gain == pytest.approx(0.3)


def test_nearly_perfect_votes_allow_an_extending_loop_without_a_gap() -> None:
    results = problems("a", True, 8, 0, 199) + problems("b", False, 7, 1, 1)
    found = headroom(results, SPEC)
    assert found.vote_gain < SPEC.min_gain
    assert (found.loop, found.confident_precision) == ("label_free", 1.0)


def test_confident_but_wrong_votes_allow_nothing() -> None:
    # The weak base: votes are unanimous on some problems, and a third of those labels are wrong.
    results = problems("a", True, 8, 0, 20) + problems("b", False, 0, 8, 80)
    found = headroom(results, SPEC)
    assert found.confident_precision == 0.2
    assert found.loop == "none"


def test_a_gap_within_noise_does_not_count() -> None:
    results = problems("a", False, 8, 0, 3) + problems("b", True, 0, 8, 2)
    results += problems("c", False, 0, 8, 20)
    assert headroom(results, SPEC).loop == "none"


def test_it_is_deterministic_and_json() -> None:
    results = problems("a", True, 5, 3, 10) + problems("b", False, 2, 6, 10)
    assert headroom(results, SPEC) == headroom(results[::-1], SPEC)
    assert json.loads(json.dumps(headroom(results, SPEC).to_dict()))["num_problems"] == 20


def test_problems_without_greedy_or_samples_are_not_measured() -> None:
    with pytest.raises(EvaluationError, match="none of 2"):
        headroom([ProblemResult("p", 1, True), ProblemResult("q", 1, None, ("1",), (True,))], SPEC)
