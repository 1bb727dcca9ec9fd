"""Selections and filters of recipes that make more than answers, against a bit of Python each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean, pstdev

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import content_id
from tasks.selection import Selection
from tasks.selection.plans import plan_filters, plan_selections
from tasks.selection.rules import find_candidates, run_filter, run_rule
from tests.tasks.selection.rounds import Drawn, load_round

Prompts = Sequence[Sequence[Drawn]]
Reasons = dict[tuple[int, int], str | None]

DRAWN = st.builds(
    Drawn,
    answer=st.sampled_from(["1", "2", None]),
    text=st.sampled_from(["a", "as an AI", "c", "d"]),
    scores=st.lists(st.sampled_from([0.0, 1.0]), max_size=1).map(tuple),
    num_tokens=st.integers(1, 30),
    is_right=st.just(False),
    verdict=st.just("accepted"),
    purpose=st.just("train"),
    policy=st.just("m"),
)
PROMPTS = st.lists(st.lists(DRAWN, min_size=1, max_size=6), min_size=1, max_size=4)
MADE = "UPDATE prompts SET source = 'self_instruct' WHERE difficulty % 2 = 1"


def run(
    prompts: Prompts,
    name: str,
    parameters: Mapping[str, object],
    filters: Sequence[Selection] = (),
    change: str = MADE,
) -> Reasons:
    """The reason of every candidate by its place; problems 1, 3, … are made ones."""
    places = {
        content_id("sample", p, i): (p, i) for p, own in enumerate(prompts) for i in range(len(own))
    }
    with duckdb.connect() as connection:
        place = load_round(connection, prompts)
        connection.execute(change)
        find_candidates(connection, place, allow_references=False)
        for one in plan_filters(filters, False):
            run_filter(connection, one, place)
        (plan,) = plan_selections([Selection(name, parameters)], False)
        run_rule(connection, plan, place)
        found = connection.execute(
            "SELECT sample_id, d.reason FROM decisions AS d JOIN candidates USING (sample)"
        ).fetchall()
    return {places[sample]: reason for sample, reason in found}


def places_of(prompts: Prompts) -> list[tuple[int, int, Drawn]]:
    return [(p, i, one) for p, own in enumerate(prompts) for i, one in enumerate(own)]


@settings(max_examples=10)
@given(PROMPTS, st.booleans())
def test_every_answer_of_made_problems(prompts: Prompts, needs_answer: bool) -> None:
    parameters = {"problems": "made", "needs_answer": needs_answer, "max_per_prompt": 100}
    found = run(prompts, "every_answer", parameters)
    for p, own in enumerate(prompts):
        usable = [i for i, one in enumerate(own) if one.answer is not None or not needs_answer]
        for i in range(len(own)):
            if i not in usable:
                assert found[p, i] == "no_answer"
            elif p % 2 == 0:
                assert found[p, i] == "other_problems"
        if p % 2 == 1:
            kept = [i for i in usable if found[p, i] is None]
            assert {own[i].text for i in kept} == {own[i].text for i in usable}
            assert len(kept) == len({own[i].text for i in kept})


@settings(max_examples=10)
@given(PROMPTS)
def test_of_judged_answers_none_is_learned(prompts: Prompts) -> None:
    found = run(prompts, "only_judged", {})
    for p, i, one in places_of(prompts):
        assert found[p, i] == ("no_answer" if one.answer is None else "only_judged")


@settings(max_examples=10)
@given(PROMPTS, st.sampled_from([0.3, 0.5, 1.0]))
def test_solved_is_verified_or_voted(prompts: Prompts, min_share: float) -> None:
    parameters = {"check_name": "judge", "min_share": min_share, "max_per_prompt": 100}
    found = run(prompts, "solved", parameters)
    for p, i, one in places_of(prompts):
        votes = Counter(other.answer for other in prompts[p] if other.answer is not None)
        ranked = sorted(votes.items(), key=lambda item: (-item[1], item[0]))
        expected: str | None
        if one.answer is None:
            continue
        if one.scores:
            expected = None if one.scores[0] == 1 else "verified_wrong"
        elif len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
            expected = "tie"
        elif ranked[0][1] < 2:
            expected = "few_votes"
        elif ranked[0][1] / len(prompts[p]) < min_share:
            expected = "low_vote_share"
        else:
            expected = None if one.answer == ranked[0][0] else "minority_answer"
        if not (expected is None and found[p, i] == "duplicate_text"):
            assert found[p, i] == expected, (p, i)


@settings(max_examples=10)
@given(
    st.lists(
        st.lists(DRAWN.filter(lambda one: one.answer is not None), min_size=1, max_size=6),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from([1.0, 1.5, 3.0]),
)
def test_the_longest_extension_of_a_chain(prompts: Prompts, min_ratio: float) -> None:
    # The first sample of a prompt is the answer; each later one extends the one before.
    change = """
        UPDATE samples SET turn = "index", parent_ids = list_transform(
            range("index"), lambda i: chain[i + 1]
        )
        FROM (
            SELECT prompt_id AS chained, list(id ORDER BY "index") AS chain
            FROM samples GROUP BY prompt_id
        )
        WHERE chained = prompt_id
    """
    found = run(prompts, "lengthened", {"min_ratio": min_ratio}, change=change)
    for p, own in enumerate(prompts):
        assert found[p, 0] == "not_extended"
        enough = [
            i for i in range(1, len(own)) if own[i].num_tokens >= min_ratio * own[0].num_tokens
        ]
        for i in range(1, len(own)):
            assert (found[p, i] == "not_longer") == (i not in enough)
        best = [i for i in enough if found[p, i] is None]
        assert len(best) == (1 if enough else 0)
        if best:
            assert own[best[0]].num_tokens == max(own[i].num_tokens for i in enough)


@settings(max_examples=10)
@given(PROMPTS, st.sampled_from([0.0, 1.0, 2.0]))
def test_filters_by_spread_and_noise(prompts: Prompts, num_sigmas: float) -> None:
    filters = [Selection("noise_words"), Selection("length_spread", {"num_sigmas": num_sigmas})]
    found = run(prompts, "every_answer", {"max_per_prompt": 100}, filters)
    lengths = [  # an open text has no answer, and counts
        one.num_tokens
        for _, _, one in places_of(prompts)
        if "AI" not in one.text and (one.answer is not None or one.verdict == "accepted")
    ]
    for p, i, one in places_of(prompts):
        if one.answer is None:
            continue
        if "AI" in one.text:
            assert found[p, i] == "noise"
            continue
        mean, width = fmean(lengths), num_sigmas * pstdev(lengths)
        is_far = abs(one.num_tokens - mean) > width + 1e-9
        far = "too_short" if one.num_tokens < mean else "too_long"
        assert found[p, i] in ((far,) if is_far else (None, "duplicate_text"))


@settings(max_examples=20)
@given(PROMPTS, st.sampled_from([0, 1, 3]))
def test_the_usual_length_of_a_difficulty(prompts: Prompts, tolerance: int) -> None:
    usual = Selection("usual_length", {"tolerance": tolerance})
    change = "UPDATE prompts SET difficulty = nullif(difficulty % 3, 2)"
    found = run(prompts, "every_answer", {"max_per_prompt": 100}, [usual], change=change)
    counts: dict[int, Counter[int]] = defaultdict(Counter)
    for p, _, one in places_of(prompts):
        if one.answer is not None:
            counts[p % 3][one.num_tokens] += 1
    for p, i, one in places_of(prompts):
        if one.answer is None:
            continue
        lengths = counts[p % 3]
        expected = max((num, length) for length, num in lengths.items())[1]
        is_far = abs(one.num_tokens - expected) > tolerance
        far = "too_short" if one.num_tokens < expected else "too_long"
        assert found[p, i] in ((far,) if is_far else (None, "duplicate_text"))


@settings(max_examples=10)
@given(PROMPTS, st.sampled_from([(0.2, 0.8), (0.5, 1.0)]))
def test_a_slice_of_made_problems_leaves_given_ones(
    prompts: Prompts, band: tuple[float, float]
) -> None:
    low, high = band
    slice_ = Selection("curriculum_slice", {"problems": "made", "low": low, "high": high})
    found = run(prompts, "every_answer", {"max_per_prompt": 100}, [slice_])
    for p, i, one in places_of(prompts):
        if one.answer is None:
            continue
        votes = Counter(other.answer for other in prompts[p] if other.answer is not None)
        share = max(votes.values()) / len(prompts[p])
        is_out = p % 2 == 1 and not low <= share <= high
        assert (found[p, i] == "outside_slice") == is_out
