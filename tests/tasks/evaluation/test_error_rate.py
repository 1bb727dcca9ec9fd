"""The shares of alpha that the tests of a run have: they sum to it, and promise what they say."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.evaluation.error_rate import level_of_test

FOUND = st.lists(st.booleans(), max_size=30)
PLANNED = st.none() | st.integers(1, 20)


@given(FOUND, PLANNED)
def test_levels_never_exceed_alpha(found: list[bool], planned: int | None) -> None:
    assert 0.0 <= level_of_test(0.05, found, planned) <= 0.05 * (1 + 1e-12)


@given(FOUND, PLANNED)
def test_what_tests_without_a_gain_use_up_sums_to_at_most_alpha(
    found: list[bool], planned: int | None
) -> None:
    used = [level_of_test(0.05, found[:k], planned) for k in range(len(found)) if not found[k]]
    assert sum(used) <= 0.05 * (1 + 1e-12)


def test_planned_rounds_share_equally_and_later_ones_inherit() -> None:
    assert level_of_test(0.05, [False] * 3, 5) == pytest.approx(0.01)
    assert level_of_test(0.05, [False, True, True], 5) == pytest.approx(0.03)
    assert level_of_test(0.05, [False] * 5, 5) == 0.0
    assert level_of_test(0.05, [True] * 5, 5) == pytest.approx(0.05)


def test_alpha_1_is_no_test() -> None:
    assert level_of_test(1.0, [False] * 9) == 1.0


@pytest.mark.parametrize("share_better", [0.0, 0.5])
def test_a_run_promotes_a_model_that_is_no_better_with_probability_alpha_at_most(
    share_better: float,
) -> None:
    rng = random.Random(1)
    num_runs, num_wrong = 4000, 0
    for _ in range(num_runs):
        found: list[bool] = []
        is_wrong = False
        for _ in range(10):
            level = level_of_test(0.05, found)
            is_better = rng.random() < share_better
            found.append(is_better or rng.random() <= level)
            is_wrong |= found[-1] and not is_better
        num_wrong += is_wrong
    assert num_wrong / num_runs <= 0.06  # 0.05, and three standard errors
