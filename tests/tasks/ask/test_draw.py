"""Drawing until the vote is decided: the winner is that of the full draw, and the rest is saved."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.ask.draw import DrawRule, is_decided, lead_probability, next_draw

votes = st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=24)
rules = st.builds(
    DrawRule,
    chunk=st.integers(1, 6),
    n_max=st.none() | st.integers(8, 24),
    agreement=st.sampled_from([0.3, 0.5, 0.8]),
)


def winner(given: Sequence[str | None]) -> str | None:
    """As votes.sql ranks: by count, then by the answer."""
    counts = Counter(vote for vote in given if vote is not None)
    return min(counts, key=lambda answer: (-counts[answer], answer), default=None)


def drawn(rule: DrawRule, n: int, all_votes: Sequence[str | None]) -> Sequence[str | None]:
    """What a group draws out of a given sequence, which has votes enough for any rule."""
    num = 0
    while size := next_draw(rule, n, all_votes[:num]):
        num += size
        assert num <= rule.most(n)
    return all_votes[:num]


@given(rules, st.integers(1, 12), st.data())
def test_the_winner_is_that_of_the_full_draw(rule: DrawRule, n: int, data: st.DataObject) -> None:
    most = rule.most(n)
    all_votes = data.draw(
        st.lists(st.sampled_from(["a", "b", "c", None]), min_size=most, max_size=most)
    )
    early = drawn(rule, n, all_votes)
    full = drawn(rule.model_copy(update={"stop": "never"}), n, all_votes)
    assert early == all_votes[: len(early)] and len(early) <= len(full)
    assert winner(early) == winner(full)


@given(votes, st.lists(st.sampled_from(["0", "a", "b", "c", "d", None]), min_size=1, max_size=12))
def test_decided_means_that_no_rest_changes_the_winner(
    given_votes: list[str | None], rest: list[str | None]
) -> None:
    counts = Counter(vote for vote in given_votes if vote is not None)
    if is_decided(counts, len(rest)):
        assert winner([*given_votes, *rest]) == winner(given_votes)


@given(votes, st.integers(1, 5))
def test_undecided_means_that_some_rest_changes_the_winner(
    given_votes: list[str | None], remaining: int
) -> None:
    counts = Counter(vote for vote in given_votes if vote is not None)
    if not is_decided(counts, remaining):
        rests = ([answer] * remaining for answer in ("!", "a", "b", "c"))
        assert any(winner([*given_votes, *rest]) != winner(given_votes) for rest in rests)


def test_more_are_drawn_only_where_answers_disagree() -> None:
    rule = DrawRule(stop="never", chunk=4, n_max=12, agreement=0.5)
    assert len(drawn(rule, 4, ["a", "a", "b", "c", *"bbbbbbbb"])) == 4
    assert len(drawn(rule, 4, ["a", "b", "c", "d", *"aaaaaaaa"])) == 8
    assert len(drawn(rule, 4, [*"abcdefghijkl"])) == 12


def test_a_confident_lead_ends_a_group_that_is_not_decided() -> None:
    rule = DrawRule(stop="confident", confidence=0.95, chunk=4)
    assert next_draw(rule, 32, ["a"] * 4) == 0  # 31/32
    assert next_draw(rule, 32, ["a"] * 4 + ["b"]) == 4
    assert next_draw(DrawRule(chunk=4), 32, ["a"] * 4) == 4


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_lead_is_a_probability(first: int, second: int) -> None:
    found = lead_probability(first, second)
    assert found == pytest.approx(1 - lead_probability(second, first))
    assert (found > 0.5) == (first > second)


def test_rules_out_of_range_are_refused() -> None:
    for bad in ({"chunk": 0}, {"confidence": 0.5}, {"n_max": 5000}, {"stop": "soon"}):
        with pytest.raises(ValidationError, match=next(iter(bad))):
            DrawRule.model_validate(bad)
