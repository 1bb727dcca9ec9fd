"""Rows for new questions: demonstrations drawn by a seed, made problems, labelled examples."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from storage import Warehouse
from tests.tasks.ask.scripted import all_rows, sums, write_problems

NUM: dict[str, Any] = {"num_questions": 5, "num_seed_shots": 3, "num_made_shots": 2}


@pytest.fixture
def house(tmp_path: Path) -> Warehouse:
    """Eight given problems and one made one."""
    house = Warehouse.open(tmp_path)
    write_problems(house, sums(8))
    made: dict[str, object] = {
        "id": "made",
        "environment": "test",
        "messages": [{"role": "user", "content": "How many?"}],
        "reference": None,
        "source": "self_instruct",
        "parent_ids": ["q"],
        "split": "train",
        "difficulty": None,
        "metadata": {"made_by": "question", "depth": 1, "constants": None},
    }
    house.write("prompts", [made], run="r", round=1, part="made")
    return house


def expected(ids: list[str], question: int, seed: int, num: int) -> list[tuple[int, str]]:
    """The lower half of md5, as DuckDB reads it: its last eight bytes, the first one lowest."""

    def pick(id: str) -> int:
        digest = hashlib.md5(f"{id}:{question}:{seed}".encode()).digest()
        return int.from_bytes(digest[8:], "little")

    return sorted((pick(id), id) for id in ids)[:num]


def test_demonstrations_are_those_that_the_seed_draws(house: Warehouse) -> None:
    rows = all_rows(house, "few_shot", shot_seed=7, **NUM)
    texts = {f"p{i}": f"{i}+{i}?" for i in range(1, 9)} | {"made": "How many?"}
    assert len(rows) == 5
    for row in rows:
        question = int(str(row.values["variant"]))
        # One made problem is there, so that a seed takes the place of the second.
        seeds = expected([f"p{i}" for i in range(1, 9)], question, 7, 4)
        shown = [id for _, id in sorted([*seeds, *expected(["made"], question, 7, 1)])]
        assert list(row.parent_ids) == shown and row.prompt_id == seeds[0][1]
        assert row.values["examples"] == [texts[id] for id in shown]


def test_another_seed_shows_others(house: Warehouse) -> None:
    one, two = (
        [row.parent_ids for row in all_rows(house, "few_shot", shot_seed=seed, **NUM)]
        for seed in (0, 1)
    )
    assert one != two
    assert one == [row.parent_ids for row in all_rows(house, "few_shot", shot_seed=0, **NUM)]


def test_given_and_made_problems_are_told_apart(house: Warehouse) -> None:
    assert {row.prompt_id for row in all_rows(house, "given_prompts")} == {
        f"p{i}" for i in range(1, 9)
    }
    assert [row.prompt_id for row in all_rows(house, "made_prompts")] == ["made"]
    assert all_rows(house, "made_prompts", depth=2) == []
    assert all_rows(house, "made_prompts", made_by="another") == []


def test_made_problems_come_with_labelled_examples_or_with_none(house: Warehouse) -> None:
    (row,) = all_rows(house, "made_with_examples", num_shots=2)
    assert row.values["examples"] == [] and row.parent_ids == ()
    labelled: list[dict[str, object]] = [
        {
            "id": f"example-{i}",
            "prompt_id": f"p{i}",
            "prompt": [{"role": "user", "content": f"{i}+{i}?"}],
            "completion": [{"role": "assistant", "content": str(2 * i)}],
            "weight": 1.0,
            "sample_ids": [],
            "score_ids": [],
            "vote_ids": [],
        }
        for i in range(1, 6)
    ]
    house.write("examples", labelled, run="r", round=0, part="seed")
    (row,) = all_rows(house, "made_with_examples", num_shots=2)
    shown = row.values["examples"]
    assert isinstance(shown, list) and len(shown) == 2 == len(row.parent_ids)
    for example, parent in zip(shown, row.parent_ids, strict=True):
        number = int(parent[1:])
        assert example == {"problem": f"{number}+{number}?", "answer": str(2 * number)}
