"""ROUGE-L against the textbook's table of longest common subsequences."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.prompts import similar_texts

WORDS = st.lists(st.sampled_from(["ann", "ben", "has", "two", "pens", "Größe", "7"]), max_size=9)


def rouge_l(one: str, two: str) -> float:
    """2 LCS / (m + n), by dynamic programming over words."""
    left, right = (re.findall(r"\w+", text.casefold()) for text in (one, two))
    row = [0] * (len(right) + 1)
    for word in left:
        before = row[:]
        for place, other in enumerate(right, 1):
            same = before[place - 1] + 1 if word == other else 0
            row[place] = max(same, before[place], row[place - 1])
    total = len(left) + len(right)
    return 2 * row[-1] / total if total else 0.0


@given(
    st.lists(WORDS, max_size=5),
    st.lists(WORDS, min_size=1, max_size=8),
    st.sampled_from([0.3, 0.5, 0.7, 0.8, 1.0]),
)
def test_what_is_dropped_is_what_the_oracle_drops(
    earlier: list[list[str]], new: list[list[str]], threshold: float
) -> None:
    old = [(f"old{i}", " ".join(words)) for i, words in enumerate(earlier)]
    texts = [(f"new{i}", ", ".join(words)) for i, words in enumerate(new)]
    kept, expected = list(old), {}
    for id, text in texts:
        found = [(rouge_l(text, other), -i, name) for i, (name, other) in enumerate(kept)]
        best, _, name = max(found, default=(0.0, 0, ""))
        # Exactly at the threshold: 2 LCS and threshold * (m + n) are compared as in the papers, >.
        if best > threshold + 1e-9:
            expected[id] = (name, round(best, 3))
        else:
            kept.append((id, text))
    made = {one.id: (one.of, one.similarity) for one in similar_texts(old, texts, threshold)}
    assert made == expected


def test_exactly_the_threshold_stays() -> None:
    words = [f"w{i}" for i in range(10)]
    other = [*words[:7], "x", "y", "z"]
    pair = [("b", " ".join(other))]
    assert rouge_l(" ".join(words), " ".join(other)) == pytest.approx(0.7)
    assert list(similar_texts([("a", " ".join(words))], pair, 0.7)) == []
    assert [one.id for one in similar_texts([("a", " ".join(words))], pair, 0.69)] == ["b"]


def test_more_words_than_the_first_plane_of_letters_has() -> None:
    long = [(str(i), f"word{i} other{i}") for i in range(40_000)]
    found = list(similar_texts(long, [("copy", "word39999 other39999")], 0.7))
    assert [(one.id, one.of) for one in found] == [("copy", "39999")]
