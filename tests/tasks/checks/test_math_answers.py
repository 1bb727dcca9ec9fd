"""Mathematical answers: equal values are one answer, and no answer can hang or break the check."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.checks.math_answers import MAX_CHARACTERS, MathAnswers
from tasks.checks.scoring import Answered, score_answers
from tasks.environments import load_environment
from tasks.errors import OptionError

EQUAL = [
    (r"\frac{1}{2}", "0.5", r"$\dfrac12$", r"\boxed{\frac{2}{4}}", "x = 1/2"),
    (r"\sqrt{8}", r"2\sqrt{2}", r"\frac{4}{\sqrt{2}}"),
    (r"\{1, 2, 3\}", r"\{3,2,1\}", "1, 2, 3", r"x = 1 \text{ or } x = 2 \text{ or } x = 3"),
    ("x^2+2x+1", "(x+1)^2", "1 + x(x + 2)"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&\frac{4}{2}\\3&4\end{pmatrix}"),
    ("x > 3", "3 < x"),
    ("x^2 = 1", "2x^2 - 2 = 0"),
    (r"\frac{3\pi}{2}", r"1.5\pi"),
    (r"\left(\frac{1}{2}, 3\right)", "(0.5, 3)"),
    ("3+4i", "4i+3"),
    (r"e^{i\pi}", "-1"),
    ("5!", "120"),
    ("1,000", "1000", r"\$1000", "10^3"),
    ("Paris.", "paris", r"\text{Paris}"),
]
DIFFERENT = [
    ("(1,2)", "[1,2]"),
    ("(1,2)", "(2,1)"),
    (r"\{1,2\}", r"\{1,3\}"),
    ("x > 3", "x < 3"),
    (r"\sqrt{2}", "1.414"),
    ("a+b", "a-b"),
    (r"\pi", "3.14159265358979"),
    ("1/3", "0.333333"),
]
FOREVER = r"\frac{5^{\left(5^{\left(5^{\left(5^5\right)}\right)} - 4\right)} - 5}{16}"


@pytest.fixture(scope="module")
def math() -> Iterator[MathAnswers]:
    with MathAnswers() as answers:
        yield answers


@pytest.mark.parametrize("ways", EQUAL)
def test_equal_values_are_one_answer(math: MathAnswers, ways: tuple[str, ...]) -> None:
    classes = {math(way) for way in ways}
    assert len(classes) == 1 and None not in classes


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_different_values_are_two_answers(math: MathAnswers, left: str, right: str) -> None:
    assert math(left) != math(right)


@pytest.mark.parametrize("raw", [way for ways in EQUAL for way in ways])
def test_a_class_is_its_own_class(math: MathAnswers, raw: str) -> None:
    found = math(raw)
    assert found is not None and math(found) == found


HOSTILE = [
    "",
    " . ",
    "\x00",
    "x\x00+1",
    "\ud800",
    "a\ud800+1",
    r"\frac{",
    "{" * 900,
    "$$",
    "\n",
    "1/0",
]


@pytest.mark.parametrize("raw", HOSTILE)
def test_hostile_text_has_a_class_or_none(math: MathAnswers, raw: str) -> None:
    found = math(raw)
    assert found is None if not raw.strip(" .") else found is None or math(found) == found


def test_what_never_ends_is_given_up_and_the_next_answer_is_worked_out() -> None:
    with MathAnswers(limit_s=1.0) as math:
        before = math.num_given_up
        assert math(FOREVER) == FOREVER
        assert math.num_given_up == before + 1
        assert math(r"\frac{2}{\sqrt{2}}") == math(r"\sqrt{2}")
        assert math(FOREVER) == FOREVER  # known by now: costs nothing again
        assert math.num_given_up == before + 1


def test_a_text_of_megabytes_is_not_parsed(math: MathAnswers) -> None:
    flood = "x+" * 2_500_000
    assert math(flood) == flood and math("1" * (MAX_CHARACTERS + 1)) == "1" * (MAX_CHARACTERS + 1)


def test_each_distinct_answer_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with MathAnswers() as math:
        asked: list[str] = []
        ask = math._ask

        def counted(raw: str) -> str | None:
            asked.append(raw)
            return ask(raw)

        monkeypatch.setattr(math, "_ask", counted)
        math.many(["a+b", "b+a", None, "a+b"])
        math.many(["b+a", "7"])
    assert asked == ["a+b", "b+a"]


def test_an_environment_chooses_it_and_votes_group_by_it(tmp_path: Path) -> None:
    rows = [{"q": f"{n}?", "a": r"\boxed{\frac{1}{\sqrt{2}}}"} for n in range(20)]
    file = tmp_path / "p.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    options = {"path": str(file), "question": "q", "reference": "a", "answer_kind": "math"}
    environment = load_environment("jsonl", options)
    reference = environment.problems("train", 1)[0].reference
    texts = [r"so \boxed{\frac{\sqrt{2}}{2}}", r"\boxed{2^{-1/2}}", r"\boxed{0.7}", "no"]
    samples = [Answered(str(n), text, reference) for n, text in enumerate(texts)]
    scores = list(
        score_answers(samples, environment.parse_answer, environment.canonical, run="r", round=1)
    )
    labels = [row["label"] for row in scores if row["check"] == "answer"]
    values = [row["value"] for row in scores if row["check"] == "reference"]
    assert labels[0] == labels[1] != labels[2] and labels[3] is None
    assert values == [1.0, 1.0, 0.0, 0.0]
    with pytest.raises(OptionError, match="'math'"):
        load_environment("jsonl", options | {"answer_kind": "maths"})
