"""What a sample was asked with is found again, and becomes the prompt of its training rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from storage import Warehouse
from tasks.ask import (
    Chain,
    RowSource,
    Sample,
    ask_shard,
    asked_messages,
    find_link,
    parse_shard,
    sampling_text,
)
from tasks.ask.parsers import ScoreParser, VerdictParser
from tasks.engines import Messages
from tasks.errors import DataFormatError
from tasks.selection import AskedFor, Selection, select
from tests.tasks.ask.scripted import KEY, ScriptedEngine, all_rows, sums, write_problems

CRITIQUE = Sample(role="critique", template="critique", over="answers", n=2, parser=VerdictParser())
REFINE = Sample(role="refinement", template="refine", n=3, parser=ScoreParser(marker=""))
CHAIN = Chain(links=(CRITIQUE, REFINE))


@pytest.fixture
def asked(tmp_path: Path) -> tuple[Warehouse, ScriptedEngine]:
    """Three problems with two answers each, two critiques of each and three refinements."""
    w = Warehouse.open(tmp_path / "w")
    write_problems(w, sums(3))
    engine = ScriptedEngine(lambda question, seed: f"Verdict: incorrect {seed % 5}")
    answer = Sample(role="answer", template="as_is", n=2, temperature=1.0)
    ask_shard(w, engine, answer, all_rows(w), KEY, seed=3, part="answers-0000")
    w.seal("samples", ["answers-0000"], run="r", round=1)
    engine.asked.clear()
    with RowSource(w, "answers", run="r", round=1) as rows:
        found = rows.rows(0, rows.num_rows)
    ask_shard(w, engine, CHAIN, found, KEY, seed=3, part="correct-0000")
    parse_shard(w, CHAIN, run="r", round=1, part="correct-0000")
    for table in ("samples", "scores"):
        w.seal(table, ["correct-0000"], run="r", round=1)
    return w, engine


def drawn(w: Warehouse, role: str) -> list[str]:
    rows = w.read("samples", run="r", round=1).to_pylist()
    return [row["id"] for row in rows if row["role"] == role]


@pytest.mark.parametrize(("role", "num"), [("critique", 12), ("refinement", 36)])
def test_they_are_what_the_engine_was_asked(
    asked: tuple[Warehouse, ScriptedEngine], role: str, num: int
) -> None:
    w, engine = asked
    ids, link = drawn(w, role), find_link(CHAIN, role)
    with RowSource(w, "answers", run="r", round=1) as source:
        found = asked_messages(w, CHAIN, link, source, ids, run="r", round=1)
    assert len(found) == len(ids) == num
    heard = [request.messages for request in engine.asked if request.n == CHAIN.links[link].n]
    assert len(heard) == num // CHAIN.links[link].n
    assert all(messages in heard for messages in found.values())
    assert all(messages in found.values() for messages in heard)


def test_a_sample_of_another_stage_is_refused(asked: tuple[Warehouse, ScriptedEngine]) -> None:
    w, _ = asked
    with (
        RowSource(w, "prompts", run="r", round=1) as source,
        pytest.raises(DataFormatError, match=r"12 samples, e.g. .* answer no row that role 'crit"),
    ):
        asked_messages(w, CHAIN, 0, source, drawn(w, "critique"), run="r", round=1)
    assert find_link(CHAIN, "") == 1
    with pytest.raises(DataFormatError, match="asks for critique, refinement"):
        find_link(CHAIN, "judgement")


def test_refinements_become_pairs_whose_prompt_is_what_was_asked(
    asked: tuple[Warehouse, ScriptedEngine],
) -> None:
    w, engine = asked

    def messages(ids: Sequence[str]) -> dict[str, Messages]:
        with RowSource(w, "answers", run="r", round=1) as source:
            return asked_messages(w, CHAIN, 1, source, ids, run="r", round=1)

    refined = AskedFor("correct", "refinement", sampling_text(REFINE), messages)
    rule = Selection("best_worst", {"check_name": "refinement"})
    for _ in range(2):
        report = select(w, [rule], run="r", round=1, asked=refined)
    # Three texts in a row of one group are all different; every group gives one pair.
    assert report.num_candidates == 36 and report.selections[0].num_rows == 12
    rows = w.read("pairs", run="r", round=1).to_pylist()
    heard = [request.messages for request in engine.asked if request.n == 3]
    parents = {r["id"]: r["parent_ids"] for r in w.read("samples", run="r", round=1).to_pylist()}
    for row in rows:
        assert row["prompt"] in heard
        assert parents[row["chosen_sample_id"]] == parents[row["rejected_sample_id"]]
        assert row["chosen"][0]["content"] > row["rejected"][0]["content"]
    rejected = w.read("rejections", run="r", round=1).to_pylist()
    assert {row["reason"] for row in rejected} == {"middle_score"} and len(rejected) == 12


def test_answers_can_be_selected_from_beside_them(asked: tuple[Warehouse, ScriptedEngine]) -> None:
    w, _ = asked

    def messages(ids: Sequence[str]) -> dict[str, Messages]:
        return {key: [{"role": "user", "content": "?"}] for key in ids}

    critiques = AskedFor("correct", "critique", sampling_text(CRITIQUE), messages)
    select(w, [Selection("best_by_score", {"check_name": "critique"})], run="r", round=1)
    select(w, [Selection("best_worst")], run="r", round=1, asked=critiques)
    with w.connect() as connection:
        ((balanced,),) = connection.execute("SELECT balanced FROM row_counts").fetchall()
    assert balanced
    assert w.read("rejections", run="r", round=1).num_rows == 6 + 12
    other = AskedFor("correct", "critique", "{}", messages)
    assert select(w, [Selection("best_worst")], run="r", round=2, asked=other).num_candidates == 0
