"""Estimators against brute force, intervals against their definition."""

import itertools
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import EvaluationError
from tasks.evaluation.metrics import (
    ProblemResult,
    bootstrap_interval,
    bootstrap_means,
    evaluation_rows,
    maj_at_k,
    metric_values,
    pass_at_k,
)

# One sample: an answer and, by it, a mark. Answer "r" is the right one, None could not be parsed.
ANSWERS = st.lists(st.sampled_from(["r", "a", "b", "c", None]), min_size=1, max_size=8)


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int, int]:
    n = draw(st.integers(1, 9))
    return n, draw(st.integers(0, n)), draw(st.integers(1, n))


@given(counts())
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(case: tuple[int, int, int]) -> None:
    n, c, k = case
    subsets = list(itertools.combinations([True] * c + [False] * (n - c), k))
    expected = sum(any(subset) for subset in subsets) / len(subsets)
    assert pass_at_k([n], [c], k)[0] == pytest.approx(expected, abs=1e-12)


@given(counts())
def test_pass_at_k_equals_the_product_form_of_the_paper(case: tuple[int, int, int]) -> None:
    n, c, k = case
    paper = 1.0 if n - c < k else 1.0 - float(np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))
    assert pass_at_k([n], [c], k)[0] == pytest.approx(paper, abs=1e-12)


def brute_force_majority(answers: list[str | None], k: int) -> float:
    won = []
    for subset in itertools.combinations(answers, k):
        votes = Counter(answer for answer in subset if answer is not None)
        best = max(votes.values(), default=0)
        leaders = [answer for answer, count in votes.items() if count == best]
        won.append(1 / len(leaders) if "r" in leaders else 0.0)
    return sum(won) / len(won)


@given(ANSWERS, st.data())
def test_maj_at_k_is_the_mean_over_all_subsets(
    answers: list[str | None], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(answers)))
    value = maj_at_k(answers, [a == "r" for a in answers], k)
    assert value == pytest.approx(brute_force_majority(answers, k), abs=1e-12)


@given(ANSWERS, st.randoms(use_true_random=False))
def test_maj_at_k_does_not_depend_on_sample_order(
    answers: list[str | None], rng: random.Random
) -> None:
    shuffled = list(answers)
    rng.shuffle(shuffled)
    k = (len(answers) + 1) // 2
    one = maj_at_k(answers, [a == "r" for a in answers], k)
    assert one == maj_at_k(shuffled, [a == "r" for a in shuffled], k)


def test_maj_at_1_is_the_share_of_right_samples_and_pass_at_1_too() -> None:
    answers, marks = ["r", "a", None, "r"], [True, False, False, True]
    assert maj_at_k(answers, marks, 1) == pass_at_k([4], [2], 1)[0] == 0.5


def test_sixty_four_samples_with_thirty_wrong_answers_still_vote() -> None:
    answers = ["r"] * 20 + [f"wrong {i % 30}" for i in range(44)]
    value = maj_at_k(answers, [a == "r" for a in answers], 32)
    assert 0.999 < value <= 1.0


@pytest.mark.parametrize(("n", "c", "k"), [(3, 1, 4), (3, 4, 2), (3, -1, 2), (3, 1, 0)], ids=str)
def test_pass_at_k_refuses_impossible_counts(n: int, c: int, k: int) -> None:
    with pytest.raises(EvaluationError, match=str(k)):
        pass_at_k([n], [c], k)


VALUES = st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=1, max_size=40)


@given(VALUES, st.integers(0, 2**32))
def test_bootstrap_is_deterministic_by_seed_and_brackets_the_mean(
    values: list[float], seed: int
) -> None:
    array = np.array(values)
    first = bootstrap_interval(array, seed=seed, num_resamples=200)
    assert first == bootstrap_interval(array, seed=seed, num_resamples=200)
    assert 0.0 <= first.low <= first.high <= 1.0
    wide = bootstrap_interval(array, seed=seed, num_resamples=200, confidence=0.999)
    assert wide.low <= first.low and first.high <= wide.high


def test_another_seed_draws_other_problems() -> None:
    values = np.arange(50, dtype=np.float64) / 50
    assert not np.array_equal(
        bootstrap_means(values, seed=1, num_resamples=10),
        bootstrap_means(values, seed=2, num_resamples=10),
    )


@given(VALUES, st.data())
def test_raising_one_value_lowers_no_resampled_mean(
    values: list[float], data: st.DataObject
) -> None:
    row = data.draw(st.integers(0, len(values) - 1))
    raised = np.array(values)
    raised[row] += 1.0
    before = bootstrap_means(np.array(values), seed=3, num_resamples=100)
    assert (bootstrap_means(raised, seed=3, num_resamples=100) >= before).all()


def test_bootstrap_width_matches_the_binomial() -> None:
    values = np.array([1.0] * 120 + [0.0] * 80)
    interval = bootstrap_interval(values, seed=0)
    assert interval.high - interval.low == pytest.approx(
        2 * 1.96 * (0.6 * 0.4 / 200) ** 0.5, rel=0.1
    )


def test_blocks_do_not_change_what_a_large_suite_draws() -> None:
    values = np.random.default_rng(0).random(300)
    means = bootstrap_means(values, seed=5, num_resamples=7_000)
    rng = np.random.default_rng(5)
    expected = values[rng.integers(0, 300, size=(6_666, 300))].mean(axis=1)
    assert np.array_equal(means[:6_666], expected)


def test_a_perfect_suite_is_not_certain() -> None:
    interval = bootstrap_interval(np.ones(60), seed=0)
    assert interval.high == 1.0
    assert interval.low == pytest.approx(0.9404, abs=1e-4)
    assert bootstrap_interval(np.zeros(60), seed=0).high == pytest.approx(1 - interval.low)


def results() -> list[ProblemResult]:
    return [
        ProblemResult("p1", 1, True, ("5", "5", "6"), (True, True, False)),
        ProblemResult("p2", 1, False, ("7", "8", "8"), (True, False, False)),
        ProblemResult("p3", 2, None, ("9",), (True,)),
        ProblemResult("p4", 2, False, (None, None, None), (False, False, False)),
    ]


def rows_of(problems: list[ProblemResult]) -> list[dict[str, object]]:
    return evaluation_rows(
        problems,
        run="r",
        round=1,
        model_id="model-1",
        weight_hash="w",
        suite="s",
        split="heldout",
        ks=(3,),
        num_resamples=100,
    )


def test_evaluation_rows_hold_all_metrics_overall_and_by_difficulty() -> None:
    rows = {(r["difficulty"], r["metric"], r["k"]): r for r in rows_of(results())}
    greedy = rows[None, "pass@1 greedy", None]
    assert (greedy["value"], greedy["n"]) == (pytest.approx(1 / 3), 3)
    assert rows[None, "pass@k", 3]["n"] == 3  # p3 lost samples to an outage and is left out
    assert rows[1, "pass@k", 3]["value"] == 1.0
    assert rows[1, "maj@k", 3]["value"] == 0.5
    assert rows[2, "pass@1 greedy", None]["n"] == 1
    assert len({r["id"] for r in rows.values()}) == len(rows)


def test_evaluation_rows_do_not_depend_on_problem_order() -> None:
    assert rows_of(results()) == rows_of(results()[::-1])


def test_a_metric_nobody_measured_has_no_row() -> None:
    rows = rows_of([ProblemResult("p", 1, None, ("5",), (True,))])
    assert rows == []


def test_duplicate_problems_and_unknown_metrics_are_refused() -> None:
    with pytest.raises(EvaluationError, match="twice"):
        rows_of(results() + results())
    with pytest.raises(EvaluationError, match="pass@9k"):
        metric_values(results(), "pass@9k", 2)
    with pytest.raises(EvaluationError, match="2 answers"):
        ProblemResult("p", None, True, ("1", "2"), (True,))
