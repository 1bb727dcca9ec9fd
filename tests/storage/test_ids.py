"""Ids follow from content alone: the same in every process, different for different content."""

import json
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import content_id
from storage.ids import Identity

PARTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def test_golden() -> None:
    # Ids are stored in tables, so a change of this function orphans every warehouse.
    assert (
        content_id("sample", "demo", 1, "prompt-ab", "answer", 0) == "sample-37ce5a5dade25461e46e"
    )
    assert content_id("pair", {"b": [1.5, None], "a": "ü\ud800"}) == "pair-cca907bd10b0d9e42fca"


def test_another_process_gives_the_same_ids(start: Callable[..., subprocess.Popen[str]]) -> None:
    code = (
        "from storage import content_id; print(content_id('vote', {'a': 1, 'b': [True, 'x']}, 2))"
    )
    first, second = (start(code).communicate()[0] for _ in range(2))
    assert first == second == content_id("vote", {"b": [True, "x"], "a": 1}, 2) + "\n"


@given(st.lists(PARTS, max_size=4), st.lists(PARTS, max_size=4))
def test_equal_ids_exactly_for_equal_content(one: list[Identity], two: list[Identity]) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)
    assert (content_id("x", *one) == content_id("x", *two)) is same


@given(st.text(), st.text(), st.text())
def test_parts_do_not_run_together(a: str, b: str, c: str) -> None:
    assert content_id("x", a + b, c) != content_id("x", a, b + c) or b == ""


def test_types_and_kinds_count() -> None:
    ids = {content_id("x", part) for part in (1, 1.0, "1", True, None, "None", [1], [[1]])}
    assert len(ids | {content_id("y", 1)}) == 9


@pytest.mark.parametrize("kind", ["", "Sample", "a-b", "1a", "a b"])
def test_malformed_kinds_are_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="id kind"):
        content_id(kind, 1)


@pytest.mark.parametrize("part", [float("nan"), float("inf"), [float("nan")]])
def test_numbers_without_an_identity_are_refused(part: Identity) -> None:
    with pytest.raises(ValueError, match="JSON"):
        content_id("x", part)


@pytest.mark.parametrize("part", [{1: 2}, [{"a": {1: 2}}], object(), b"bytes"])
def test_values_that_json_would_change_are_refused(part: Identity) -> None:
    with pytest.raises(TypeError):
        content_id("x", part)
