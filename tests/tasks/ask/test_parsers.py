"""Parsers: what they find, and the kind of failure where they find nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.ask.parsers import (
    AnswerParser,
    ChoiceParser,
    CodeParser,
    JsonParser,
    ListParser,
    Reader,
    ScoreParser,
    VerdictParser,
    read,
)

JSON = JsonParser(
    fields={"score": "number", "why": "text", "tags": "texts"}, value="score", label="why"
)
PARSERS = (
    ScoreParser(),
    ChoiceParser(),
    VerdictParser(),
    JSON,
    ListParser(),
    AnswerParser(),
    CodeParser(),
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Score: 4", 4.0),
        ("score is 3.5 of 5", 3.5),
        ("Score: 2\n**Score:** 4/5", 4.0),
        ("Score: <5>", "not_found"),
        ("the total is 4", "not_found"),
        ("Score: 11", "out_of_range"),
        ("Score: -1", "out_of_range"),
        ("Score: 3-4", "ambiguous"),
        ("Score: 3 to 4", "ambiguous"),
        ("scoreboard 3", "not_found"),
        (" \n", "empty"),
    ],
)
def test_scores(text: str, found: float | str) -> None:
    parsed = read(ScoreParser(), text)
    assert (parsed.failure or parsed.value) == found
    assert (parsed.value is None) == (parsed.label is None) == (parsed.failure is not None)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A seems good. [[B]]", "B"),
        ("Winner: Response", "not_found"),
        ("The winner is **a**.", "A"),
        (" tie. ", "tie"),
        ("[[A]] or [[B]]", "ambiguous"),
        ("Verdict: Apple", "not_found"),
        ("[[C]]", "not_found"),
    ],
)
def test_choices(text: str, found: str) -> None:
    parsed = read(ChoiceParser(), text)
    assert (parsed.failure or parsed.label) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It is wrong at first.\nVerdict: correct", "yes"),
        ("Verdict: incorrect", "no"),
        ("This is not correct.", "no"),
        ("Yes!\n\n", "yes"),
        ("right or wrong?", "ambiguous"),
        ("nothing", "not_found"),
    ],
)
def test_verdicts(text: str, found: str) -> None:
    parsed = read(VerdictParser(), text)
    assert (parsed.failure or parsed.label) == found
    assert parsed.value == {"yes": 1.0, "no": 0.0}.get(found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('So:\n```json\n{"score": 2, "why": "short", "tags": ["a"]}\n```', 2.0),
        ('{"score": 2.5, "why": "", "tags": []}', 2.5),
        ('{"score": "2", "why": "", "tags": []}', "wrong_fields"),
        ('{"score": 2, "tags": []}', "wrong_fields"),
        ('{"score": 2,', "not_found"),
        ('{"score": 2,}', "malformed"),
        ("score 2", "not_found"),
    ],
)
def test_json(text: str, found: float | str) -> None:
    parsed = read(JSON, text)
    assert (parsed.failure or parsed.value) == found
    assert parsed.failure is not None or set(parsed.detail) == set(JSON.fields)


def test_lists() -> None:
    parsed = read(ListParser(), "Here:\n1. What is 2 + 2?\n 2) Why?\n- How?\nEnd")
    assert parsed.detail["items"] == ["What is 2 + 2?", "Why?", "How?"] and parsed.value == 3
    assert read(ListParser(at_least=2), "* one").failure == "too_few"
    assert read(ListParser(), "none").failure == "not_found"


def test_answers_are_those_of_the_checks() -> None:
    assert read(AnswerParser(), "so \\boxed{1,000.0}").label == "1000"
    assert read(AnswerParser(), "so 18").failure == "not_found"
    assert read(AnswerParser(rules=("last_number",)), "so 18").label == "18"


def test_code() -> None:
    parsed = read(CodeParser(), "```\nx\n```\n```python\nprint(1)\n```\n```sh\nls\n```")
    assert (parsed.label, parsed.detail["code"]) == ("python", "print(1)\n")
    assert read(CodeParser(), "```sh\nls\n```").failure == "not_found"


@given(st.sampled_from(PARSERS), st.text(max_size=60) | st.from_regex(r"(?i)score: .{0,9}"))
def test_any_text_is_read_or_fails_by_kind(parser: Reader, text: str) -> None:
    parsed = read(parser, text)
    if parsed.failure is not None:
        assert parsed.value is None and parsed.label is None


def test_another_setting_is_another_version() -> None:
    versions = {
        parser.version for parser in (*PARSERS, ScoreParser(high=10), ListParser(at_least=2))
    }
    assert len(versions) == len(PARSERS) + 2
    assert ScoreParser().version == ScoreParser(low=0).version
