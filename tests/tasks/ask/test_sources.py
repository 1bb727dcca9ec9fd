"""Rows to ask about: the same ones after a crash, another question where their texts changed."""

from pathlib import Path
from typing import Any

import pytest

from storage import Warehouse
from tasks.ask import RowSource, Sample, ask_shard
from tasks.ask.sources import AskedRow
from tests.tasks.ask.scripted import KEY, ScriptedEngine, all_rows, sums, write_problems

ANSWER = Sample(role="answer", template="as_is", n=2)
UNANSWERED = """
SELECT id AS prompt_id, messages, reference, [difficulty] AS levels FROM prompts AS p
WHERE NOT EXISTS (FROM samples AS s WHERE s.prompt_id = p.id)
"""


@pytest.fixture
def house(tmp_path: Path) -> Warehouse:
    w = Warehouse.open(tmp_path / "w")
    write_problems(w, sums(6))
    return w


def kept_rows(
    w: Warehouse, keep: Path | None, over: str = UNANSWERED, **more: Any
) -> list[AskedRow]:
    with RowSource(w, over, run="r", round=1, keep=keep, **more) as source:
        assert source.columns == (
            "prompt_id", "messages", "reference", "levels", "parent_ids", "variant"
        )  # fmt: skip
        assert source.num_rows == len(source.rows(0, 99))
        return source.rows(0, 99)


def answer_three(w: Warehouse) -> None:
    engine = ScriptedEngine(lambda question, seed: "x")
    ask_shard(w, engine, ANSWER, all_rows(w)[:3], KEY, seed=3, part="a-0000")
    w.seal("samples", ["a-0000"], run="r", round=1)


def test_rows_that_are_kept_are_those_of_the_beginning(house: Warehouse) -> None:
    keep = house.scratch_dir("r", 1) / "it's kept"
    before = kept_rows(house, keep)
    answer_three(house)
    assert kept_rows(house, keep) == before and len(before) == 6
    assert len(kept_rows(house, None)) == 3
    assert len(list(keep.parent.iterdir())) == 1


def test_another_query_has_rows_of_its_own(house: Warehouse) -> None:
    keep = house.scratch_dir("r", 1) / "asked"
    hidden = kept_rows(house, keep)
    shown = kept_rows(house, keep, allow_references=True)
    assert {row.values["reference"] for row in hidden} == {None}
    assert {row.values["reference"] for row in shown} == {str(2 * i) for i in range(1, 7)}
    assert len(kept_rows(house, keep, UNANSWERED + " AND difficulty = 1")) == 3


def test_a_question_with_other_texts_is_not_answered_by_what_a_crash_left(house: Warehouse) -> None:
    said = Sample.model_validate(
        {
            "role": "plan",
            "n": 2,
            "template": {
                "messages": [
                    {
                        "role": "user",
                        "content": "{{ problem }}{% if hint is defined %} {{ hint }}{% endif %}",
                    }
                ]
            },
        }
    )

    def rows(hint: str) -> list[AskedRow]:
        return all_rows(house, f"SELECT id AS prompt_id, messages[-1].content AS problem{hint} "
                        "FROM prompts")  # fmt: skip

    engine = ScriptedEngine(lambda question, seed: question)
    engine.fail_after = 4
    with pytest.raises(KeyboardInterrupt):
        ask_shard(house, engine, said, rows(""), KEY, seed=3, part="a-0000")
    # A column that no template reads changes nothing; one that is only tested for does.
    for part, hint, expected in (
        ("a-0000", ", 'x' AS unread", 2),
        ("b-0000", ", 'add them' AS hint", 6),
    ):
        fresh = ScriptedEngine(lambda question, seed: question)
        ask_shard(house, fresh, said, rows(hint), KEY, seed=3, part=part)
        assert len(fresh.asked) == expected
    plain, hinted = (
        house.read("samples", run="r", round=1, part=part).to_pylist()
        for part in ("a-0000", "b-0000")
    )
    assert [row["seed"] for row in plain] == [row["seed"] for row in hinted]
    assert not {row["id"] for row in plain} & {row["id"] for row in hinted}
    assert {row["text"].endswith("add them") for row in hinted} == {True}
