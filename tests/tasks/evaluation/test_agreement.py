"""Agreement of samples by difficulty, and the difficulty from which a loop extends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.evaluation import ProblemResult, agreement_by_difficulty, frontier


def result(difficulty: int | None, *answers: str | None) -> ProblemResult:
    return ProblemResult("p", difficulty, None, answers, tuple(False for _ in answers))


def test_the_share_of_the_most_frequent_answer_is_averaged_per_difficulty() -> None:
    found = agreement_by_difficulty(
        [
            result(11, "1", "1", "2", "1"),
            result(11, "3", "3", "3", "3"),
            result(12, None, None, None, "7"),
            result(12, None, None),
            result(13),
            result(None, "1"),
        ]
    )
    assert found == {11: pytest.approx(0.875), 12: pytest.approx(0.125)}


def test_a_wrong_answer_that_all_give_agrees() -> None:
    assert agreement_by_difficulty([result(5, "9", "9")]) == {5: 1.0}


def test_the_frontier_follows_the_mastered_difficulties_without_a_gap() -> None:
    agreement = {9: 0.2, 11: 1.0, 12: 0.99, 13: 0.98, 14: 1.0}
    assert frontier(agreement, base=10, step=1, at_least=0.99) == 13
    assert frontier(agreement, base=10, step=2, at_least=0.99) == 16
    assert frontier({}, base=10, step=3, at_least=0.99) == 13


@given(
    st.dictionaries(st.integers(1, 20), st.floats(0, 1)),
    st.integers(1, 10),
    st.integers(1, 3),
    st.floats(0.01, 1),
)
def test_everything_before_the_frontier_is_mastered_and_the_frontier_is_not(
    agreement: dict[int, float], base: int, step: int, at_least: float
) -> None:
    found = frontier(agreement, base=base, step=step, at_least=at_least)
    levels = range(base + step, found, step)
    assert (found - base) % step == 0 and found > base
    assert all(agreement[level] >= at_least for level in levels)
    assert agreement.get(found, 0.0) < at_least
