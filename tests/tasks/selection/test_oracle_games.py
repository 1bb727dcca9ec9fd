"""Selections of games and of labeled rows, against ten lines of Python each."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import content_id
from tests.tasks.selection.rounds import Drawn, right, wrong
from tests.tasks.selection.test_oracle import (
    PROMPTS,
    Prompts,
    ballots,
    candidates,
    decide,
    pair_up,
    pairs_of,
    pick,
    useless,
)


def is_open(one: Drawn, needs_answer: bool = False) -> bool:
    """Whether a sample can be used by a rule that looks at no answers."""
    reason = useless(one)
    return reason is None or (reason != "check_error" and not needs_answer)


def rates_of(own: list[Drawn], needs_answer: bool) -> dict[int, float]:
    usable = [i for i in candidates(own) if is_open(own[i], needs_answer) and own[i].scores]
    return {i: fmean(own[i].scores) for i in usable}


@settings(max_examples=8, deadline=None)
@given(PROMPTS, st.sampled_from([0.0, 0.6]), st.booleans(), st.booleans(), st.integers(1, 5))
def test_win_rate_pairs(
    prompts: Prompts, margin: float, use_all: bool, needs_answer: bool, most: int
) -> None:
    found, rows = decide(
        prompts,
        "win_rate_pairs",
        min_margin=margin,
        use_all=use_all,
        needs_answer=needs_answer,
        max_pairs=most,
        soft_labels=True,
    )
    pairs = pairs_of(rows, prompts)
    for p, own in enumerate(prompts):
        rates = rates_of(own, needs_answer)
        sides: dict[int, str] = {}
        if rates and max(rates.values()) - min(rates.values()) > max(margin, 1e-9):
            order = sorted(rates, key=lambda i: (-rates[i], pick(p, i)))
            half = len(order) // 2
            if use_all:
                sides = dict.fromkeys(order[:half], "chosen")
                sides |= dict.fromkeys(order[len(order) - half :], "rejected")
            else:
                names = {max(rates.values()): "chosen", min(rates.values()): "rejected"}
                sides = {i: names[rates[i]] for i in order if rates[i] in names}
        assert pairs[p] == pair_up(p, own, sides, most)
        for row in rows:
            if row["prompt_id"] == content_id("prompt", p):
                places = {content_id("sample", p, i): i for i in range(len(own))}
                won = rates[places[str(row["chosen_sample_id"])]]
                lost = rates[places[str(row["rejected_sample_id"])]]
                assert (row["chosen_win_rate"], row["rejected_win_rate"]) == (won, lost)
                assert row["margin"] == pytest.approx(won - lost)
                assert row["soft_label"] == pytest.approx(1 / (1 + math.exp(lost - won)))
        used = {i for pair in pairs[p] for i in pair}
        assert {i for i in candidates(own) if found[p, i] is None} == used


def test_every_sample_is_in_one_pair_where_all_are_used() -> None:
    own = [one._replace(scores=(i / 6,)) for i, one in enumerate(right(*"abcdef"))]
    _, rows = decide([own], "win_rate_pairs", use_all=True, max_pairs=3)
    used = Counter(str(s) for row in rows for s in row["sample_ids"])  # type: ignore[attr-defined]
    assert set(used.values()) == {1} and len(used) == 6
    assert {row["soft_label"] for row in rows} == {1.0}


@settings(max_examples=8, deadline=None)
@given(PROMPTS, st.sampled_from(["", "m"]), st.booleans(), st.integers(1, 4))
def test_policy_pairs(prompts: Prompts, rejected: str, needs_answer: bool, most: int) -> None:
    found, rows = decide(
        prompts,
        "policy_pairs",
        rejected_policy=rejected,
        needs_answer=needs_answer,
        max_pairs=most,
    )
    pairs = pairs_of(rows, prompts)
    for p, own in enumerate(prompts):
        # A text that a chosen sample has can't be rejected, whether that sample is of use or not.
        taken = {own[i].text.strip() for i in candidates(own) if own[i].policy == "labelled"}
        sides = {}
        for i in candidates(own):
            one = own[i]
            if one.policy == "labelled" and is_open(one, needs_answer):
                sides[i] = "chosen"
            elif (
                one.policy == (rejected or one.policy) != "labelled"
                and is_open(one)
                and one.text.strip() not in taken
            ):
                sides[i] = "rejected"
        assert pairs[p] == pair_up(p, own, sides, most)
        used = {i for pair in pairs[p] for i in pair}
        assert {i for i in candidates(own) if found[p, i] is None} == used


@settings(max_examples=8, deadline=None)
@given(PROMPTS, st.sampled_from([0.25, 0.5, 0.75, 1.0]), st.integers(1, 4))
def test_contrast_pairs(prompts: Prompts, share: float, most: int) -> None:
    # Equal texts are equally similar, as the stage's similarities are.
    alike = {" a": 0.9, "a": 0.9, "b": 0.1, "c": 0.4, "d": 0.4, "e": 0.7}
    prompts = [[one._replace(scores=(alike[one.text],)) for one in own] for own in prompts]
    _, rows = decide(prompts, "contrast_pairs", share=share, max_pairs=most)
    pairs = pairs_of(rows, prompts)
    for p, own in enumerate(prompts):
        usable = [i for i in candidates(own) if is_open(own[i])]
        chosen = {i for i in candidates(own) if own[i].policy == "labelled"}
        taken = {own[i].text.strip() for i in chosen}
        others = [i for i in usable if own[i].text.strip() not in taken]
        by_text: dict[str, list[int]] = defaultdict(list)
        for i in others:
            by_text[own[i].text.strip()].append(i)
        # Which of two equally similar texts comes first is a coin's matter; both must be possible.
        ranked = sorted(by_text, key=lambda text: alike[text])
        num_kept = max(0, min(math.floor(share * len(others) + 1e-9), len(ranked) - 1))
        rejected = {own[r].text.strip() for _, r in pairs[p]}
        assert all(c in chosen for c, _ in pairs[p])
        if num_kept and any(is_open(own[i]) for i in chosen):
            texts = {own[i].text.strip() for i in chosen if is_open(own[i])}
            assert len(pairs[p]) == min(most, num_kept * len(texts))
            edge = alike[ranked[num_kept - 1]]
            assert all(alike[text] <= edge for text in rejected)
        else:
            assert not pairs[p]


@settings(max_examples=8, deadline=None)
@given(PROMPTS, st.sampled_from([0.2, 0.5]), st.integers(1, 3), st.booleans())
def test_labeled_rows(prompts: Prompts, share: float, most: int, by_reference: bool) -> None:
    name = "reference_labels" if by_reference else "vote_labels"
    parameters: dict[str, Any] = {} if by_reference else {"min_share": share}
    found, rows = decide(prompts, name, max_per_side=most, **parameters)
    expected: set[tuple[str, bool]] = set()
    for p, own in enumerate(prompts):
        ranked, num = ballots(own)
        usable = [i for i in candidates(own) if useless(own[i]) is None]
        if not by_reference:
            is_tie = len(ranked) > 1 and ranked[0][1] == ranked[1][1]
            if not ranked or is_tie or ranked[0][1] / num < share:
                usable = []
        good = {
            i: own[i].is_right if by_reference else own[i].answer == ranked[0][0] for i in usable
        }
        sides = defaultdict(set)
        for i, is_good in good.items():
            sides[own[i].text.strip()].add(is_good)
        for wanted in (True, False):
            kept: list[str] = []
            for i in sorted((i for i in good if good[i] is wanted), key=lambda i: pick(p, i)):
                text = own[i].text.strip()
                if len(sides[text]) == 1 and text not in kept and len(kept) < most:
                    kept.append(text)
                    expected.add((content_id("sample", p, i), wanted))
    assert {(row["sample_ids"][0], row["label"]) for row in rows} == expected  # type: ignore[index]
    assert len(rows) == len(expected) == sum(reason is None for reason in found.values())


def test_the_reasons_of_labeled_rows() -> None:
    own = [*right("a", "a", "same"), *wrong("x", "same"), Drawn(None, "n")]
    found, _ = decide([own], "vote_labels", max_per_side=1)
    assert Counter(found.values()) == {
        None: 2, "duplicate_text": 1, "contradictory_text": 2, "no_answer": 1,
    }  # fmt: skip
    found, _ = decide([[*right("a"), *wrong("x")]], "vote_labels")
    assert set(found.values()) == {"tie"}
    found, rows = decide([own], "reference_labels", unparsed_is_wrong=True)
    assert sum(not row["label"] for row in rows) == 2
