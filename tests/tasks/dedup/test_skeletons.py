"""Skeletons: the same way to the same result has one, another way another."""

import pytest

from tasks.dedup import code_skeleton, equation_skeleton, skeleton
from tasks.dedup.near import Text, near_copies

ONE = '''
import math

def area(radius, factor=2):
    """The area."""
    total = math.pi * radius ** factor  # round
    for step in range(3):
        total += step
    return total

print(area(3))
'''
RENAMED = """
import math
def f(r, k=2):
    t = math.pi*r**k
    for i in range(3):
        t += i
    return t
print(f(3))
"""


def test_names_comments_and_docstrings_are_not_the_program() -> None:
    assert code_skeleton(ONE) == code_skeleton(RENAMED) is not None


@pytest.mark.parametrize(
    "other",
    [
        ONE.replace("range(3)", "range(4)"),
        ONE.replace("math.pi", "math.e"),
        ONE.replace("total += step", "total -= step"),
        ONE.replace("print(area(3))", "print(area)"),
        ONE.replace("radius ** factor", "factor ** radius"),
    ],
)
def test_another_program_has_another_skeleton(other: str) -> None:
    assert code_skeleton(other) != code_skeleton(ONE)


@pytest.mark.parametrize(
    "source",
    ["", "def", "x = (", "a\x00b", "\ud800", "(" * 90_000, "-" * 90_000 + "1", "# only a comment"],
)
def test_what_is_no_program_has_no_skeleton(source: str) -> None:
    assert code_skeleton(source) is None


def test_the_order_of_equations_counts_and_their_words_do_not() -> None:
    first = equation_skeleton("There are 3 \u00d7 4 = 12 eggs. Then 12 - 2 = 10.")
    assert first == equation_skeleton("3*4=12\n12-2 = 10 are left") == "3*4=12 12-2=10"
    assert first != equation_skeleton("12 - 2 = 10 and 3 * 4 = 12")
    assert equation_skeleton("$1,200 + $300 = $1,500 (in all)") == "1200+300=1500"
    assert equation_skeleton("x = 5") is None


@pytest.mark.parametrize("piece", ["1+", "1+1=", "<<", "= ", "1 ", "("])
def test_run_away_samples_do_not_stall(piece: str) -> None:
    """Not timed: a quadratic scan of these 100,000 characters would take minutes."""
    equation_skeleton(piece * (100_000 // len(piece)))


def test_a_text_of_megabytes_has_no_skeleton() -> None:
    assert skeleton("1+1=2 " * 1_000_000, "answer") is None
    assert skeleton("print(1)\n" * 600_000, "program") is None


def test_the_program_of_a_sample_is_its_fenced_block() -> None:
    assert skeleton(f"So:\n```python\n{ONE}```", "program") == code_skeleton(ONE)


WORDS = [f"w{n}" for n in range(60)]


def test_near_copies_are_found_within_their_scope() -> None:
    changed = " ".join([*WORDS[:59], "other"])
    texts = [
        Text("a", "p", " ".join(WORDS)),
        Text("b", "p", changed),
        Text("c", "p", " ".join(reversed(WORDS))),
        Text("d", "p", ""),
        Text("e", "p", "?!"),
        Text("f", "q", " ".join(WORDS)),
        Text("g", "q", " ".join(WORDS).upper()),
    ]
    found = list(near_copies(texts, 0.8))
    assert [(one.id, one.of) for one in found] == [("b", "a"), ("g", "f")]
    assert 0.85 <= found[0].similarity < 1 and found[1].similarity == 1


def test_what_stays_is_compared_and_not_what_was_dropped() -> None:
    # Each text is near its neighbour; the first stays, and the third is far enough from it.
    steps = [Text(str(n), "p", " ".join(WORDS[5 * n : 5 * n + 30])) for n in range(3)]
    assert [one.id for one in near_copies(steps, 0.6)] == ["1"]


def test_ten_thousand_equal_texts_leave_one() -> None:
    texts = [Text(str(n), "p", "the very same words again") for n in range(10_000)]
    assert len(list(near_copies(texts, 0.9))) == 9_999
