"""Answers to made problems are verified by the environment's own working, and only by that."""

from pathlib import Path
from typing import Any

import pytest

from storage import Warehouse
from tasks.checks.verified import verify_answers
from tasks.environments import Solver, load_environment

Row = dict[str, Any]
ANA = "Ana has 6 pens. Then Ana buys 2 more."


def written(
    house: Warehouse, problems: dict[str, str], answers: dict[str, list[str | None]]
) -> None:
    """Made problems by id, each with answers; problem 'given' is the environment's."""
    prompts: list[Row] = [
        {
            "id": id,
            "environment": "addition",
            "messages": [{"role": "user", "content": text}],
            "reference": None,
            "source": "seed" if id == "given" else "decompose",
            "parent_ids": [],
            "split": "train",
            "difficulty": None,
            "metadata": {},
        }
        for id, text in problems.items()
    ]
    samples: list[Row] = []
    scores: list[Row] = []
    for id, given in answers.items():
        for index, answer in enumerate(given):
            samples.append(
                {"id": f"{id}-{index}", "prompt_id": id, "parent_ids": [], "role": "answer",
                 "purpose": "train", "turn": 0, "index": index, "policy_id": "m",
                 "weight_hash": "w", "engine": "e", "sampling": {}, "seed": 0, "text": "x",
                 "num_tokens": 1, "finish_reason": "stop", "status": "ok"}
            )  # fmt: skip
            scores.append(
                {"id": f"score-{id}-{index}", "sample_id": f"{id}-{index}", "check": "answer",
                 "version": "1", "value": None, "label": answer, "detail": {}, "status": "ok"}
            )  # fmt: skip
    for table, rows in (("prompts", prompts), ("samples", samples), ("scores", scores)):
        house.write(table, rows, run="r", round=1, part="p")


@pytest.mark.parametrize(
    ("name", "problem", "answer"),
    [
        ("copy", "0123", "0123"),
        ("reverse", "0123", "3210"),
        ("addition", "12+93=", "0600"),
        ("addition", "12 + 93", None),
        ("copy", "12a", None),
        ("word_problems", f"{ANA} How many pens are there in the end?", "8"),
        ("word_problems", "How many pens?", None),
    ],
)  # fmt: skip
def test_environments_work_out_what_is_of_their_kind(
    name: str, problem: str, answer: str | None
) -> None:
    environment = load_environment(name)
    assert isinstance(environment, Solver)
    if name == "addition" and answer is not None:
        left, right = problem.removesuffix("=").split("+")
        answer = str(int(left[::-1]) + int(right[::-1]))[::-1].ljust(3, "0")
    assert environment.solve(problem) == answer


def test_verified_answers_are_right_or_wrong_and_others_have_no_score(tmp_path: Path) -> None:
    house = Warehouse.open(tmp_path)
    problems = {"one": "12", "two": "no digits", "given": "34"}
    written(house, problems, {"one": ["12", "21", None], "two": ["5"], "given": ["34"]})
    environment = load_environment("copy")
    for _ in range(2):  # doing it again changes nothing
        assert verify_answers(house, environment, run="r", round=1) == 3
    rows = house.read("scores", run="r", round=1, part="verified").to_pylist()
    found = {row["sample_id"]: row["value"] for row in rows}
    assert found == {"one-0": 1.0, "one-1": 0.0, "one-2": 0.0}
    assert {row["check"] for row in rows} == {"verified"}


def test_an_environment_that_works_out_nothing_verifies_nothing(tmp_path: Path) -> None:
    house = Warehouse.open(tmp_path)
    written(house, {"one": "12"}, {"one": ["12"]})
    environment = load_environment("functions")
    assert not isinstance(environment, Solver)
    assert verify_answers(house, environment, run="r", round=1) == 0
