"""Ratings against an independent maximum of the same likelihood."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.judging.elo import PRIOR_WINS, Battle, elo_ratings, position_weights

NAMES = "abcd"
battles = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.booleans())
    .filter(lambda b: b[0] != b[1])
    .map(lambda b: Battle(*b)),
    min_size=1,
    max_size=20,
)


def gradient(given_battles: list[Battle], ratings: dict[str, float]) -> dict[str, float]:
    """Derivative of the log-likelihood by every rating, prior wins included."""
    weights = position_weights(given_battles)
    found = dict.fromkeys(ratings, 0.0)

    def add(winner: str, loser: str, weight: float) -> None:
        odds = 10 ** ((ratings[loser] - ratings[winner]) / 400)
        found[winner] += weight * odds / (1 + odds)
        found[loser] -= weight * odds / (1 + odds)

    for battle in given_battles:
        pair = (battle.first, battle.second)
        add(*(pair if battle.is_first_better else pair[::-1]), weights[not battle.is_first_better])
    for a, b in {tuple(sorted((x.first, x.second))) for x in given_battles}:
        add(a, b, PRIOR_WINS)
        add(b, a, PRIOR_WINS)
    return found


@given(battles)
def test_ratings_are_where_the_likelihood_is_highest(given_battles: list[Battle]) -> None:
    ratings = elo_ratings(given_battles)
    assert set(ratings) == {name for b in given_battles for name in (b.first, b.second)}
    assert max(map(abs, gradient(given_battles, ratings).values())) < 1e-6


def test_the_gap_of_two_is_what_their_wins_say() -> None:
    # One win more, equal places: 3 of 4 weighted wins, with the prior.
    fights = [Battle("a", "b", True), Battle("b", "a", False), Battle("a", "b", True)]
    fights += [Battle("b", "a", False), Battle("a", "b", False), Battle("b", "a", True)]
    found = elo_ratings(fights)
    odds = (4 * 0.5 + PRIOR_WINS) / (2 * 0.5 + PRIOR_WINS)
    assert found["a"] - found["b"] == pytest.approx(400 * np.log10(odds))


def test_a_judge_who_only_likes_the_first_place_rates_all_alike() -> None:
    fights = [Battle(a, b, True) for a in "abc" for b in "abc" if a != b]
    assert position_weights(fights) == (0.0, 1.0)
    assert set(elo_ratings(fights).values()) == {0.0}


def test_groups_do_not_touch_each_other() -> None:
    one = [Battle("a", "b", True, "x"), Battle("b", "a", False, "x")]
    two = [Battle("c", "d", False, "y"), Battle("d", "c", True, "y")]
    found = elo_ratings(one + two)
    assert found["a"] == pytest.approx(found["d"]) and found["a"] > found["b"]
    assert elo_ratings([]) == {}
