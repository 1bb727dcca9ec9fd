"""Parsers on what models write when they go wrong: endless repetition, and numbers that are none.

A parser that looks twice at the same characters takes minutes here, and hits pytest's timeout.
"""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.ask.parsers import (
    ChoiceParser,
    CodeParser,
    JsonParser,
    ListParser,
    Reader,
    ScoreParser,
    VerdictParser,
    read,
)

LENGTH = 300_000
JSON = JsonParser(fields={"score": "number"}, value="score")
PARSERS: tuple[Reader, ...] = (
    ScoreParser(),
    ChoiceParser(),
    VerdictParser(),
    ListParser(),
    CodeParser(),
    JSON,
)
LONG = {
    "fences without a line": "```" * (LENGTH // 3),
    "fences with a language": "```a" * (LENGTH // 4),
    "an item with a gap": "- x" + " " * LENGTH + "y",
    "a choice and empty lines": "A" + "\n" * LENGTH + "B",
    "a marker and nothing": "winner" + " " * LENGTH + "score" + "*" * LENGTH,
    "brackets": "[[" * (LENGTH // 2) + "{" * (LENGTH // 2),
    "digits": "Score: " + "9" * LENGTH,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG.keys())
def test_a_text_that_repeats_itself_is_read_like_any_other(text: str) -> None:
    for parser in PARSERS:
        parsed = read(parser, text)
        is_item = isinstance(parser, ListParser) and text.startswith("- ")
        assert (parsed.failure is None) == (parsed.value is not None) == is_item


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400])
def test_a_number_that_is_none_is_no_value(number: str) -> None:
    for kind in ("number", "integer"):
        parser = JsonParser.model_validate({"fields": {"score": kind}, "value": "score"})
        parsed = read(parser, f'{{"score": {number}}}')
        assert parsed.failure in ("wrong_fields", "out_of_range") and parsed.value is None
        json.dumps(parsed.detail, allow_nan=False)
    assert read(JSON, '{"score": 1e300}').value == 1e300


@pytest.mark.parametrize("names", [{"value": "why"}, {"value": "mark"}, {"label": "mark"}])
def test_a_value_has_to_be_a_declared_number(names: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="expected"):
        JsonParser.model_validate({"fields": {"why": "text", "score": "number"}, **names})


FENCE = re.compile(
    r"```[ \t]*(\w*)[^\n]*\n(.*?)```", re.DOTALL
)  # the plain rule, slow on hostile texts


@given(st.lists(st.sampled_from(["```", "`", "py", "\n", " ", "x = 1"]), max_size=24).map("".join))
def test_blocks_are_those_of_the_plain_rule(text: str) -> None:
    blocks = [code for language, code in FENCE.findall(text) if language in ("", "py")]
    expected = blocks[-1] if blocks and blocks[-1].strip() else None
    assert CodeParser().parse(text).detail.get("code") == expected
