"""MATH: levels, boxed references, and answers that are equal by value."""

import json
from pathlib import Path

import pytest

from tasks.environments import load_environment
from tasks.errors import SourceError

ROWS = [
    ("What is half of one?", "Level 1", r"It is $\frac12 = \boxed{\frac{1}{2}}$."),
    ("Solve $x^2=4$.", "Level 5", r"We get $\boxed{-2}$ first, so $\boxed{\{-2, 2\}}$."),
    ("Odd one out", "Level ?", r"\boxed{7}"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, rows in (("train.jsonl", ROWS), ("test.jsonl", [ROWS[0], ("New?", *ROWS[2][1:])])):
        lines = [dict(zip(("problem", "level", "solution"), row, strict=True)) for row in rows]
        (tmp_path / name).write_text("\n".join(map(json.dumps, lines)))
    return tmp_path


def test_levels_references_and_splits(folder: Path) -> None:
    math = load_environment("math", {"path": str(folder)})
    train = {p.messages[0]["content"].split("\n")[0]: p for p in math.problems("train")}
    # A problem that is in both files is held out.
    assert {name: p.difficulty for name, p in train.items()} == {
        "Solve $x^2=4$.": 5,
        "Odd one out": None,
    }
    assert train["Solve $x^2=4$."].reference == r"\{-2, 2\}"
    assert train["Odd one out"].messages[0]["content"].endswith(r"answer in \boxed{}.")
    half = next(p for p in math.problems("heldout") if p.difficulty == 1)
    answer = math.parse_answer(r"So \boxed{0.5}")
    assert answer is not None and half.reference is not None
    assert math.canonical(answer) == math.canonical(half.reference)


def test_a_folder_without_a_test_file_is_refused(folder: Path) -> None:
    (folder / "test.jsonl").unlink()
    with pytest.raises(SourceError, match=r"no file test\.jsonl"):
        load_environment("math", {"path": str(folder)})
