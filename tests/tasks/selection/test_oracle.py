"""Selections against ten lines of Python each: the same samples for the same reasons."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import fmean, median

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import content_id
from tasks.selection import SELECTIONS, Selection
from tasks.selection.plans import plan_filters, plan_selections
from tasks.selection.rules import find_candidates, run_filter, run_rule
from tests.tasks.selection.rounds import Drawn, load_round, right, wrong

Prompts = list[list[Drawn]]
Reasons = dict[tuple[int, int], str | None]

DRAWN = st.builds(
    Drawn,
    answer=st.sampled_from(["1", "2", "3", None]),
    text=st.sampled_from(["a", "b", "c", " a", "d", "e"]),
    is_right=st.booleans(),
    verdict=st.sampled_from(["accepted", "accepted", "accepted", "signal", "sandbox_fault"]),
    purpose=st.sampled_from(["train", "train", "train", "imported", "evaluate"]),
    scores=st.lists(st.sampled_from([0.0, 1.0, 2.5]), max_size=2).map(tuple),
    num_tokens=st.integers(1, 9),
    policy=st.sampled_from(["m", "labelled", "other"]),
)
PROMPTS = st.lists(st.lists(DRAWN, max_size=8), min_size=1, max_size=4)


def decide(
    prompts: Sequence[Sequence[Drawn]],
    name: str,
    filters: Sequence[Selection] = (),
    **parameters: object,
) -> tuple[Reasons, list[dict[str, object]]]:
    """The reason of every candidate, by its place, and the training rows, of plain tables."""
    places = {
        content_id("sample", p, i): (p, i) for p, own in enumerate(prompts) for i in range(len(own))
    }
    with duckdb.connect() as connection:
        place = load_round(connection, prompts)
        find_candidates(connection, place, allow_references=True)
        for one in plan_filters(filters, True):
            run_filter(connection, one, place)
        (plan,) = plan_selections([Selection(name, parameters)], True)
        run_rule(connection, plan, place)
        decisions = connection.execute(
            "SELECT sample_id, d.reason FROM decisions AS d JOIN candidates USING (sample)"
        ).fetchall()
        rows = connection.sql("FROM selected").to_arrow_table().to_pylist()
    return {places[sample]: reason for sample, reason in decisions}, rows


def pick(p: int, i: int) -> int:
    digest = hashlib.md5(f"{content_id('sample', p, i)}:0".encode()).digest()
    return int.from_bytes(digest[8:], "little")


def useless(one: Drawn) -> str | None:
    """Why a sample can't be used whatever the selection."""
    if one.verdict == "sandbox_fault":
        return "check_error"
    if one.answer is None:
        return "no_answer" if one.verdict == "accepted" else f"execution_{one.verdict}"
    return None


def is_judged(one: Drawn) -> bool:
    """Whether a judge's word counts: it reads texts, whatever became of a program."""
    return (useless(one) or "no_answer").startswith(("no_answer", "execution_"))


def candidates(own: Sequence[Drawn]) -> list[int]:
    return [i for i, one in enumerate(own) if one.purpose != "evaluate"]


def ballots(own: Sequence[Drawn]) -> tuple[list[tuple[str, int]], int]:
    """Answers with their counts, most voted first, and the number of samples that vote."""
    voters = [own[i] for i in candidates(own) if own[i].verdict != "sandbox_fault"]
    counts = Counter(one.answer for one in voters if one.answer is not None)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0])), len(voters)


def cap(p: int, own: Sequence[Drawn], reasons: Reasons, most: int) -> None:
    """One of equal texts and at most so many of a prompt, in the order of the pick."""
    kept: list[str] = []
    for i in sorted(
        (i for i in candidates(own) if reasons[p, i] is None), key=lambda i: pick(p, i)
    ):
        if own[i].text.strip() in kept:
            reasons[p, i] = "duplicate_text"
        else:
            kept.append(own[i].text.strip())
            reasons[p, i] = "over_prompt_cap" if len(kept) > most else None


@settings(max_examples=8, deadline=None)
@given(PROMPTS, st.sampled_from([0.2, 0.5, 0.7]), st.integers(1, 3), st.integers(1, 3))
def test_confident_majority(prompts: Prompts, share: float, votes: int, most: int) -> None:
    expected: Reasons = {}
    for p, own in enumerate(prompts):
        ranked, num = ballots(own)
        for i in candidates(own):
            reason = useless(own[i])
            if reason is None:
                if len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
                    reason = "tie"
                elif ranked[0][1] < votes:
                    reason = "few_votes"
                elif ranked[0][1] / num < share:
                    reason = "low_vote_share"
                elif own[i].answer != ranked[0][0]:
                    reason = "minority_answer"
            expected[p, i] = reason
        cap(p, own, expected, most)
    found, rows = decide(
        prompts, "confident_majority", min_share=share, min_votes=votes, max_per_prompt=most
    )
    assert found == expected
    assert len(rows) == sum(reason is None for reason in expected.values())


@settings(max_examples=8, deadline=None)
@given(PROMPTS, st.integers(1, 3))
def test_reference_correct(prompts: Prompts, most: int) -> None:
    expected: Reasons = {}
    for p, own in enumerate(prompts):
        for i in candidates(own):
            expected[p, i] = useless(own[i]) or (None if own[i].is_right else "wrong_answer")
        cap(p, own, expected, most)
    found, _ = decide(prompts, "reference_correct", max_per_prompt=most)
    assert found == expected


def pair_up(p: int, own: Sequence[Drawn], sides: dict[int, str], most: int) -> set[tuple[int, int]]:
    """Pairs of (chosen, rejected) places: both lists cycled, as Iterative RPO does."""
    by_text: dict[str, set[str]] = defaultdict(set)
    for i, side in sides.items():
        by_text[own[i].text.strip()].add(side)
    lists: dict[str, list[int]] = {"chosen": [], "rejected": []}
    seen = {text for text, both in by_text.items() if len(both) > 1}
    for i in sorted(sides, key=lambda i: pick(p, i)):
        if own[i].text.strip() not in seen:
            seen.add(own[i].text.strip())
            lists[sides[i]].append(i)
    chosen, rejected = lists["chosen"], lists["rejected"]
    pairs: list[tuple[int, int]] = []
    shift = 0
    while len(pairs) < min(most, len(chosen) * len(rejected)):
        k = len(pairs) + shift
        pair = (chosen[len(pairs) % len(chosen)], rejected[k % len(rejected)])
        if pair in pairs:
            shift += 1
        else:
            pairs.append(pair)
    return set(pairs)


def pairs_of(rows: list[dict[str, object]], prompts: Prompts) -> dict[int, set[tuple[int, int]]]:
    places = {
        content_id("sample", p, i): (p, i) for p, own in enumerate(prompts) for i in range(len(own))
    }
    found: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for row in rows:
        p, chosen = places[str(row["chosen_sample_id"])]
        found[p].add((chosen, places[str(row["rejected_sample_id"])][1]))
    assert sum(map(len, found.values())) == len(rows)
    return found


@settings(max_examples=8, deadline=None)
@given(PROMPTS, st.sampled_from([0.2, 0.5, 0.7]), st.integers(1, 20), st.booleans())
def test_vote_pairs(prompts: Prompts, share: float, most: int, weighted: bool) -> None:
    found, rows = decide(prompts, "vote_pairs", min_share=share, max_pairs=most, weighted=weighted)
    pairs = pairs_of(rows, prompts)
    for p, own in enumerate(prompts):
        ranked, num = ballots(own)
        sides = {}
        if len(ranked) > 1 and ranked[0][1] > ranked[-1][1] and ranked[0][1] / num >= share:
            names = {ranked[0][0]: "chosen", ranked[-1][0]: "rejected"}
            usable = [i for i in candidates(own) if useless(own[i]) is None]
            sides = {i: names[str(own[i].answer)] for i in usable if own[i].answer in names}
            margin = (ranked[0][1] - ranked[-1][1]) / num
            for row in rows:
                if row["prompt_id"] == content_id("prompt", p):
                    assert row["margin"] == pytest.approx(margin)
                    assert row["weight"] == (row["margin"] if weighted else 1.0)
        assert pairs[p] == pair_up(p, own, sides, most)
        used = {i for pair in pairs[p] for i in pair}
        assert {i for i in candidates(own) if found[p, i] is None} == used


@settings(max_examples=8, deadline=None)
@given(PROMPTS, st.integers(1, 20), st.booleans())
def test_reference_pairs(prompts: Prompts, most: int, unparsed_is_wrong: bool) -> None:
    found, rows = decide(
        prompts, "reference_pairs", max_pairs=most, unparsed_is_wrong=unparsed_is_wrong
    )
    pairs = pairs_of(rows, prompts)
    unparsed = ("no_answer", "execution_") if unparsed_is_wrong else ()
    for p, own in enumerate(prompts):
        sides = {
            i: "chosen" if own[i].is_right else "rejected"
            for i in candidates(own)
            if (reason := useless(own[i])) is None or reason.startswith(unparsed)
        }
        assert pairs[p] == pair_up(p, own, sides, most)
        used = {i for pair in pairs[p] for i in pair}
        assert {i for i in candidates(own) if found[p, i] is None} == used


@settings(max_examples=8, deadline=None)
@given(PROMPTS, st.sampled_from([0.0, 1.0]), st.integers(1, 20), st.booleans())
def test_best_worst(prompts: Prompts, margin: float, most: int, needs_answer: bool) -> None:
    _, rows = decide(
        prompts, "best_worst", min_margin=margin, max_pairs=most, needs_answer=needs_answer
    )
    pairs = pairs_of(rows, prompts)
    for p, own in enumerate(prompts):
        scores = {
            i: fmean(own[i].scores)
            for i in candidates(own)
            if own[i].scores
            and (useless(own[i]) is None or (not needs_answer and is_judged(own[i])))
        }
        sides = {}
        if scores and max(scores.values()) - min(scores.values()) > max(margin, 1e-9):
            names = {max(scores.values()): "chosen", min(scores.values()): "rejected"}
            sides = {i: names[score] for i, score in scores.items() if score in names}
        assert pairs[p] == pair_up(p, own, sides, most)


@settings(max_examples=8, deadline=None)
@given(PROMPTS, st.sampled_from([0.0, 0.32]), st.integers(1, 2), st.integers(0, 2))
def test_judge_pairs(prompts: Prompts, rho: float, fewest: int, longest_chosen: int) -> None:
    found, rows = decide(
        prompts,
        "judge_pairs",
        rho=rho,
        min_judgements=fewest,
        max_chosen_length=longest_chosen,
    )
    pairs = pairs_of(rows, prompts)
    for p, own in enumerate(prompts):
        scores = {
            i: fmean(own[i].scores)
            for i in candidates(own)
            if len(own[i].scores) >= fewest and is_judged(own[i])
        }
        sides = {}
        if scores and max(scores.values()) > min(scores.values()):
            high, low = max(scores.values()), min(scores.values())
            top = [i for i in scores if scores[i] >= high - rho * (high - low) - 1e-9]
            bottom = [i for i in scores if scores[i] <= low + rho * (high - low) + 1e-9]
            shortest = min(top, key=lambda i: (len(own[i].text), pick(p, i)))
            longest = min(bottom, key=lambda i: (-len(own[i].text), pick(p, i)))
            if longest_chosen and len(own[shortest].text) > longest_chosen:
                assert {found[p, i] for i in scores} == {"chosen_too_long"}
            else:
                sides = {shortest: "chosen", longest: "rejected"}
        assert pairs[p] == pair_up(p, own, sides, 1)


@settings(max_examples=8, deadline=None)
@given(PROMPTS, st.sampled_from([0.0, 1.0, 2.0]), st.integers(1, 3))
def test_best_by_score(prompts: Prompts, least: float, top: int) -> None:
    found, _ = decide(prompts, "best_by_score", min_score=least, top=top)
    for p, own in enumerate(prompts):
        best: dict[str, tuple[float, int]] = {}
        for i in candidates(own):
            if own[i].scores and useless(own[i]) in (None, "no_answer"):
                text, score = own[i].text.strip(), fmean(own[i].scores)
                if score >= least:
                    old = best.get(text, (score, pick(p, i)))
                    best[text] = (max(old[0], score), min(old[1], pick(p, i)))
        kept = sorted(best, key=lambda text: (-best[text][0], best[text][1]))[:top]
        used = [own[i].text.strip() for i in candidates(own) if found[p, i] is None]
        assert sorted(used) == sorted(kept)


@settings(max_examples=8, deadline=None)
@given(PROMPTS)
def test_difficulty_balance(prompts: Prompts) -> None:
    found, _ = decide(
        prompts,
        "difficulty_balance",
        min_share=0.3,
        max_share=0.95,
        head_per_prompt=1,
        middle_per_prompt=2,
        tail_per_prompt=3,
    )
    for p, own in enumerate(prompts):
        ranked, num = ballots(own)
        texts = set()
        if ranked and (len(ranked) == 1 or ranked[0][1] > ranked[1][1]) and ranked[0][1] >= 2:
            share = ranked[0][1] / num
            if 0.3 <= share <= 0.95:
                voters = [i for i in candidates(own) if useless(own[i]) is None]
                texts = {own[i].text.strip() for i in voters if own[i].answer == ranked[0][0]}
                most = 1 if share >= 0.9 else 3 if share <= 0.5 else 2
        used = [own[i].text.strip() for i in candidates(own) if found[p, i] is None]
        assert len(used) == len(set(used)) == (min(most, len(texts)) if texts else 0)
        assert set(used) <= texts


@settings(max_examples=8, deadline=None)
@given(PROMPTS, st.integers(1, 4), st.sampled_from([1.0, 1.5]))
def test_the_length_band_and_its_reasons(prompts: Prompts, least: int, ratio: float) -> None:
    band = Selection("length_band", {"min_tokens": least, "max_ratio": ratio})
    found, _ = decide(prompts, "reference_correct", [band], max_per_prompt=99)
    for p, own in enumerate(prompts):
        usable = [i for i in candidates(own) if useless(own[i]) is None]
        for i in usable:
            middle = median(own[j].num_tokens for j in usable)
            expected = None
            if own[i].num_tokens < least:
                expected = "too_short"
            elif own[i].num_tokens > ratio * middle:
                expected = "too_long"
            if expected or found[p, i] in ("too_short", "too_long"):
                assert found[p, i] == expected


@pytest.mark.parametrize(
    ("parameters", "kept"),
    [
        ({"measure": "difficulty", "low": 1.0, "high": 2.0}, {1, 2}),
        ({"measure": "vote_share", "low": 0.5, "high": 0.8}, {1, 2}),
        ({"measure": "quantile", "low": 0.0, "high": 0.34}, {0, 1}),
        ({"measure": "quantile", "low": 0.67, "high": 1.0}, {3}),
        ({}, {1, 2, 3}),
    ],
)
def test_a_curriculum_slice(parameters: dict[str, object], kept: set[int]) -> None:
    prompts = [
        right("a", "b", "c", "d", "e"),
        [*right("a", "b", "c", "d"), *wrong("e")],
        [*right("a", "b", "c"), *wrong("d", "e")],
        [*right("a", "b"), *wrong("c", "d", answer="4"), *wrong("e", answer="5")],
    ]
    slice_ = Selection("curriculum_slice", parameters)
    found, _ = decide(prompts, "reference_correct", [slice_], max_per_prompt=99)
    assert {p for (p, _), reason in found.items() if reason != "outside_slice"} == kept


@settings(max_examples=4, deadline=None)
@given(PROMPTS)
@pytest.mark.parametrize("name", SELECTIONS)
def test_a_prompt_is_selected_alike_among_any_others(name: str, prompts: Prompts) -> None:
    whole, _ = decide(prompts, name)
    for p, own in enumerate(prompts):
        # Ids hang on the place, so the prompt keeps its own.
        alone, _ = decide([*([] for _ in range(p)), own], name)
        assert alone == {key: reason for key, reason in whole.items() if key[0] == p}
