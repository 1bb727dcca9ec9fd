"""Solutions of environments: of the problems that are asked, and right by their own check."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tasks.checks.function_tests import HiddenTests
from tasks.environments import load_environment
from tasks.errors import OptionError
from tasks.labelled import LABELLED, labelled_rows, solved_problems

LENGTHS = ("copy", "reverse", "addition")


@pytest.mark.parametrize("name", ["word_problems", "functions", *LENGTHS])
def test_solved_problems_are_those_that_are_asked(name: str) -> None:
    environment = load_environment(name)
    for seed in (0, 7):
        solved = solved_problems(environment, "train", 12, seed, [1, 2])
        assert [problem for problem, _ in solved] == environment.problems("train", 12, seed, [1, 2])
        assert all(text for _, text in solved)


def test_word_problems_are_solved_by_programs_that_print_the_reference() -> None:
    environment = load_environment("word_problems")
    for problem, program in solved_problems(environment, "train", 20, 3, None):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(program, {})
        assert environment.parse_answer(printed.getvalue()) == problem.reference


@pytest.mark.parametrize("name", LENGTHS)
def test_a_length_task_is_solved_by_its_answer(name: str) -> None:
    environment = load_environment(name)
    for problem, text in solved_problems(environment, "train", 9, 1, [3]):
        answer = environment.parse_answer(text)
        assert answer is not None and environment.canonical(answer) == problem.reference


def test_functions_are_solved_by_functions_of_the_tested_name() -> None:
    environment = load_environment("functions")
    for problem, text in solved_problems(environment, "train", 5, 1, None):
        assert problem.reference is not None
        assert f"def {HiddenTests.from_json(problem.reference).entry_point}(" in text


def test_gsm8k_hands_out_its_worked_solutions(tmp_path: Path) -> None:
    for part, n in (("train", 3), ("test", 2)):
        rows = [{"question": f"{part} {i}?", "answer": f"It is {i}.\n#### {i}"} for i in range(n)]
        text = "\n".join(json.dumps(row) for row in rows)
        (tmp_path / f"{part}.jsonl").write_text(text, encoding="utf-8")
    environment = load_environment("gsm8k", {"path": str(tmp_path)})
    solved = solved_problems(environment, "train", None, 0, None)
    assert len(solved) == 3
    for problem, text in solved:
        assert text == f"It is {problem.reference}.\n#### {problem.reference}"


def test_an_environment_without_solutions_says_where_there_are_some(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    rows = [{"q": f"{i}?", "a": str(i)} for i in range(20)]
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    options = {"path": str(file), "question": "q", "reference": "a"}
    with pytest.raises(OptionError, match="'jsonl' knows answers, but no solutions"):
        solved_problems(load_environment("jsonl", options), "train", 1, 0, None)


def test_the_rows_of_solutions() -> None:
    solved = solved_problems(load_environment("copy"), "train", 4, 0, [3])
    rows: list[dict[str, Any]] = labelled_rows(solved, "answer", run="r", round=2)
    assert len({row["id"] for row in rows}) == 4
    assert {row["policy_id"] for row in rows} == {LABELLED}
    assert [row["text"] for row in rows] == [text for _, text in solved]
    assert rows != labelled_rows(solved, "answer", run="r", round=3)
