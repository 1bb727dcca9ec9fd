"""Answers: found by declared rules, equal by canonical form."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.checks import answers
from tasks.checks.answers import (
    RULES_WITH_FALLBACK,
    canonical_answer,
    canonical_map,
    extract_answer,
    same_answer,
)

NUMBERS: list[tuple[str, str | None]] = [
    ("1,000.0", "1000"),
    ("$1,000", "1000"),
    ("1e3", "1000"),
    ("1.5E-3", "0.0015"),
    ("-$5", "-5"),
    ("$-5.50", "-5.5"),
    ("\u22125", "-5"),
    ("+5", "5"),
    ("- 5", "-5"),
    ("-0.00", "0"),
    ("007", "7"),
    (".5", "0.5"),
    ("5.", "5"),
    ("50%", "50"),
    ("50\\%", "50"),
    ("2/4", "0.5"),
    ("2/6", "1/3"),
    ("-1/40", "-0.025"),
    ("2 1/2", "2.5"),
    ("1½", "1.5"),
    ("\\frac{3}{4}", "0.75"),
    ("$\\dfrac{1}{3}$", "1/3"),
    ("\\boxed{18}", "18"),
    ("**18**", "18"),
    ("(18)", "18"),
    ("1.8 billion", "1800000000"),
    ("123456789012345678901234567890", "123456789012345678901234567890"),
]
TEXTS: list[tuple[str, str | None]] = [
    ("Paris.", "paris"),
    ("  New   York ", "new york"),
    ("(B)", "b"),
    ("\\text{Yes}", "yes"),
    ('"a b"', "a b"),
    ("1,2", "1,2"),
    ("(1, 2)", "(1, 2)"),
    ("10:30", "10:30"),
    ("18-20", "18-20"),
    ("2/0", "2/0"),
    ("--5", "--5"),
    ("1e999999999", "1e999999999"),
    ("5 apples", "5 apples"),
    ("", None),
    (" . ", None),
]


@pytest.mark.parametrize(("raw", "expected"), NUMBERS + TEXTS)
def test_canonical_forms(raw: str, expected: str | None) -> None:
    assert canonical_answer(raw) == expected


def test_a_digit_flood_stays_text() -> None:
    flood = "18" * 5000
    assert canonical_answer(flood) == flood


NUMERIC_TEXT = st.from_regex(r"[-+$]{0,2}[0-9]{0,6}[,.]?[0-9]{0,4}(e-?[0-9]{1,3})?[%/]?[0-9]{0,3}")
MARKED_TEXT = st.text(alphabet="0123456789.,/%$*`\\{}() -+eE'\"boxedtxfracAß½\u2212\n", max_size=30)


@given(st.one_of(st.text(max_size=40), NUMERIC_TEXT, MARKED_TEXT))
def test_canonical_is_idempotent(raw: str) -> None:
    once = canonical_answer(raw)
    if once is not None:
        assert canonical_answer(once) == once


@given(st.integers(-(10**12), 10**12))
def test_the_ways_to_write_an_integer_are_one_answer(number: int) -> None:
    ways = [f"{number}", f"{number:,}", f"{number}.0", f" {number}. ", f"{number}%", f"{number}/1"]
    assert {canonical_answer(way) for way in ways} == {str(number)}


@given(st.integers(-999, 999), st.integers(1, 999), st.integers(1, 9))
def test_equal_fractions_are_one_answer(top: int, bottom: int, factor: int) -> None:
    assert same_answer(f"{top}/{bottom}", f"{top * factor}/{bottom * factor}")


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
def test_different_numbers_are_different_answers(left: int, right: int) -> None:
    assert same_answer(f"{left / 100:.2f}", f"{right / 100:.2f}") == (left == right)


EXTRACTIONS = [
    ("6 * 3 = 18\n#### 18", "18", "hash"),
    ("#### 1,080 ", "1,080", "hash"),
    ("#### Step 1: add\n4 + 1\n#### 5", "5", "hash"),
    ("so 18\nA: 18", "18", "answer_line"),
    ("A: $18.00 a day", "$18.00", "answer_line"),
    ("**Final Answer:** 42", "42", "answer_line"),
    ("Answer: 5 + 3 = 8", "8", "answer_line"),
    ("A: 3/4 cup", "3/4", "answer_line"),
    ("A: 1.8 billion", "1.8 billion", "answer_line"),
    ("A: 10:30", "10:30", "answer_line"),
    ("A: 5\nA: 6", "6", "answer_line"),
    ("thus \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}", "boxed"),
    ("\\boxed{1} no, \\boxed{2}", "2", "boxed"),
    ("The answer is 18.", "18", "phrase"),
    ("The final answer is: **$3.50**. Good.", "$3.50", "phrase"),
    ("the answer is .5 of it", ".5", "phrase"),
]


@pytest.mark.parametrize(("text", "answer", "rule"), EXTRACTIONS)
def test_extraction(text: str, answer: str, rule: str) -> None:
    assert extract_answer(text) == (answer, rule)


@pytest.mark.parametrize(
    "text", ["", "16 - 3 = 13", "A:", "####", "\\boxed{5", "A: \n13", "the answer"]
)
def test_no_marker_no_answer(text: str) -> None:
    assert extract_answer(text) is None


def test_the_last_number_counts_only_where_it_is_asked_for() -> None:
    text = "16 - 3 = <<16-3=13>>13 eggs, so $1,250.50 in all"
    assert extract_answer(text) is None
    assert extract_answer(text, rules=RULES_WITH_FALLBACK) == ("$1,250.50", "last_number")
    assert extract_answer("10-4", rules=RULES_WITH_FALLBACK) == ("4", "last_number")


def test_text_answers_keep_their_words() -> None:
    assert extract_answer("A: 18 dollars", kind="text") == ("18 dollars", "answer_line")


HOSTILE = ["\\boxed{", "{", "answer is ", "answer is a", "- ", "1,", "9", "A: ", "$", "*", "a. "]


@pytest.mark.parametrize("piece", HOSTILE)
def test_run_away_samples_do_not_stall(piece: str) -> None:
    """Not timed: a quadratic scan of these 200,000 characters would take minutes."""
    text = piece * (200_000 // len(piece))
    found = extract_answer(text)
    assert found is None or len(found.answer) <= len(text)
    extract_answer(text, rules=RULES_WITH_FALLBACK)
    assert canonical_answer(text) is None or canonical_answer(canonical_answer(text) or "")


def test_canonical_map_asks_once_per_distinct_answer() -> None:
    asked: list[str] = []

    def canonical(raw: str) -> str | None:
        asked.append(raw)
        return raw.upper()

    assert canonical_map(["a", None, "b", "a"], canonical) == {"a": "A", "b": "B"}
    assert asked == ["a", "b"]


def test_examples_in_docstrings() -> None:
    result = doctest.testmod(answers)
    assert result.attempted > 0
    assert result.failed == 0
