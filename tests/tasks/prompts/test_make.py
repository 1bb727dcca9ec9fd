"""Making prompts of what a model said: every text is a prompt or a rejection, and can be traced."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import Warehouse
from tasks.ask import PassageParser, RowSource, Sample, ask_shard, parse_shard
from tasks.ask.parsers import ListParser
from tasks.environments import Environment, Problem, load_environment
from tasks.errors import OptionError
from tasks.prompts import MadeReport, PromptRules, make_prompts
from tests.tasks.ask.scripted import KEY, ScriptedEngine, sums, write_problems

QUESTION = Sample(role="question", template="rephrase", n=1, temperature=1, parser=PassageParser())
LOOSE = PromptRules(max_similarity=1, min_words=1)


class Wrapping:
    """An environment that puts an instruction behind every question."""

    name = "wrapping"
    question_template = "Solve: {question} Think first."


def asked(
    house: Warehouse,
    texts: Sequence[str | None],
    sample: Sample = QUESTION,
    *,
    run: str = "r",
    problems: Sequence[Problem] | None = None,
    **variables: object,
) -> None:
    """One question sample for every text, in the order of the texts."""
    given_problems = sums(len(texts)) if problems is None else problems
    write_problems(house, given_problems, run=run)
    with RowSource(house, sample.over, run=run, round=1, variables=variables) as source:
        rows = source.rows(0, source.num_rows)
    said = dict(zip([row.key for row in rows], texts, strict=True))
    # An engine sees texts only: which row a request is about follows from its order.
    order = iter([said[row.key] for row in reversed(rows)])
    engine = ScriptedEngine(lambda question, seed: next(order))
    key = replace(KEY, role=sample.role, run=run)
    ask_shard(house, engine, sample, rows, key, seed=0, part="q-0000")
    parse_shard(house, sample, run=run, round=1, part="q-0000")
    for table in ("samples", "scores"):
        house.seal(table, ["q-0000"], run=run, round=1)


def made(
    house: Warehouse,
    rules: PromptRules = LOOSE,
    sample: Sample = QUESTION,
    environment: Any = None,
    run: str = "r",
) -> MadeReport:
    own: Environment = environment or load_environment("word_problems")
    return make_prompts(house, sample, rules, environment=own, run=run, round=1, part="question")


def prompts(house: Warehouse, run: str = "r") -> list[dict[str, Any]]:
    rows = house.read("prompts", run=run, round=1).to_pylist()
    return [row for row in rows if row["source"] != "seed"]


def dropped(house: Warehouse) -> dict[str, dict[str, Any]]:
    rows = house.read("rejections", run="r", round=1).to_pylist()
    return {row["reason"]: json.loads(row["detail"]) for row in rows}


TEXTS = st.one_of(
    st.none(),
    st.sampled_from(["", "  ", "1+1?", "Draw a plot of five bricks.", "word " * 200]),
    st.lists(st.sampled_from(["Ann", "has", "two", "red", "pens", "?"]), max_size=8).map(" ".join),
)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXTS, min_size=1, max_size=12))
def test_every_sample_is_a_prompt_or_a_rejection(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str | None]
) -> None:
    house = Warehouse.open(tmp_path_factory.mktemp("w"))
    asked(house, texts)
    report = made(house, PromptRules(min_words=2))
    samples = [row["id"] for row in house.read("samples", run="r", round=1).to_pylist()]
    kept = [row["parent_ids"][0] for row in prompts(house)]
    lost = [row["row_id"] for row in house.read("rejections", run="r", round=1).to_pylist()]
    assert sorted(kept + lost) == sorted(samples)
    assert report.num_samples == len(texts) == report.num_made + sum(report.dropped.values())
    assert len({row["messages"][-1]["content"] for row in prompts(house)}) == len(kept)
    for row in prompts(house):
        assert row["reference"] is None and row["split"] == "train"


def test_each_rule_drops_with_its_reason(tmp_path: Path) -> None:
    house = Warehouse.open(tmp_path)
    heldout = "seventeen green parrots fly over nine old houses and come back at noon each day"
    write_heldout(house, [heldout, "A short held-out problem?"])
    texts = [
        "Ann has two red pens and buys three more. How many?",
        "Ann has two red pens and buys four more. How many?",
        "ann has two red pens  and buys three more. How many?",
        "a SHORT held-out problem?",
        f"Today {heldout}. How many are there?",
        "Look at the image and count the boats.",
        "Why?",
        "many " * 151,
        "",
        None,
    ]
    asked(house, texts)
    report = made(house, PromptRules(min_words=2))
    assert report.dropped == {
        "similar_to_earlier": 1,
        "same_as_earlier": 1,
        "same_as_heldout": 1,
        "shares_words_with_heldout": 1,
        "banned_word": 1,
        "too_short": 1,
        "too_long": 1,
        "empty": 1,
        "sample_error": 1,
    }
    assert report.num_made == 1
    found = dropped(house)
    assert found["similar_to_earlier"]["similarity"] > 0.7
    assert found["banned_word"]["word"] == "image" and found["too_short"]["words"] == 1
    assert found["same_as_heldout"]["of"] == "h1" and "scripted" in found["sample_error"]["error"]


def write_heldout(house: Warehouse, texts: Sequence[str]) -> None:
    rows: list[dict[str, object]] = [
        {
            "id": f"h{i}",
            "environment": "test",
            "messages": [{"role": "user", "content": text}],
            "reference": "1",
            "source": "seed",
            "parent_ids": [],
            "split": "heldout",
            "difficulty": None,
            "metadata": {},
        }
        for i, text in enumerate(texts)
    ]
    house.write("prompts", rows, run="another", round=0, part="heldout")


def test_doing_it_again_changes_nothing_and_says_the_same(tmp_path: Path) -> None:
    house = Warehouse.open(tmp_path)
    asked(house, ["How many bricks has Ben?", "", "How many bricks has Ben?"])
    first, before = made(house), house.read("prompts", run="r", round=1).to_pylist()
    assert made(house) == first
    assert house.read("prompts", run="r", round=1).to_pylist() == before
    assert first.to_dict() == {
        "samples": 3,
        "made": 1,
        "dropped_empty": 1,
        "dropped_same_as_earlier": 1,
    }


def test_after_a_crash_between_the_tables_the_rows_are_the_same(tmp_path: Path) -> None:
    texts = ["How many bricks has Ben?", "", "Who?"]
    whole, broken = Warehouse.open(tmp_path / "a"), Warehouse.open(tmp_path / "b")
    asked(whole, texts)
    made(whole)
    asked(broken, texts)
    made(broken)
    Path(str(broken.part_path("prompts", run="r", round=1, part="question-0000"))).unlink()
    made(broken)
    for table in ("prompts", "rejections"):
        one, two = (house.read(table, run="r", round=1).to_pylist() for house in (whole, broken))
        assert sorted(one, key=str) == sorted(two, key=str)


def test_the_same_problem_has_the_same_id_in_another_run_and_its_own_lineage(
    tmp_path: Path,
) -> None:
    house = Warehouse.open(tmp_path)
    for run in ("r", "s"):
        asked(house, ["How many bricks has Ben?"], run=run)
        made(house, run=run)
    (one,), (two,) = prompts(house, "r"), prompts(house, "s")
    assert one["id"] == two["id"] and one["parent_ids"] != two["parent_ids"]
    answer = {
        "id": "answer-s",
        "prompt_id": two["id"],
        "parent_ids": [],
        "role": "answer",
        "purpose": "train",
        "turn": 0,
        "index": 0,
        "policy_id": "m",
        "weight_hash": "w",
        "engine": "e",
        "sampling": {},
        "seed": 1,
        "text": "4",
        "num_tokens": 1,
        "finish_reason": "stop",
        "status": "ok",
    }
    house.write("samples", [answer], run="s", round=1, part="answers")
    with house.connect() as connection:
        steps = connection.execute(
            "SELECT relation, id, run FROM lineage('answer-s') WHERE table_name <> 'models'"
        ).fetchall()
    assert {run for _, _, run in steps} == {"s"}
    assert ("parent sample", two["parent_ids"][0], "s") in steps
    assert ("parent prompt", "p1", "s") in steps


def test_a_list_gives_several_prompts_each_accounted_for(tmp_path: Path) -> None:
    house = Warehouse.open(tmp_path)
    sample = QUESTION.model_copy(update={"parser": ListParser()})
    asked(house, ["1. How many pens?\n2. How many pens?\n3. How many bricks?", "none"], sample)
    report = made(house, sample=sample)
    assert (report.num_samples, report.num_made) == (2, 2)
    assert report.dropped == {"same_as_earlier": 1, "not_found": 1}
    assert sorted(json.loads(row["metadata"])["item"] for row in prompts(house)) == [1, 3]


def test_what_an_environment_puts_around_a_question_is_kept_out_and_put_back(
    tmp_path: Path,
) -> None:
    house = Warehouse.open(tmp_path)
    problem = Problem(
        "p1",
        [
            {"role": "system", "content": "Be right."},
            {"role": "user", "content": "Solve: 1+1? Think first."},
        ],
        "2",
        1,
        "train",
    )
    others = [replace(problem, id=f"p{i}") for i in (2, 3)]
    texts = ["2+2?", "Solve: 3+3? Think first.", "Solve: 1+1? Think first."]
    asked(house, texts, problems=[problem, *others])
    report = made(house, environment=Wrapping())
    assert report.dropped == {"same_as_earlier": 1}
    found = sorted((row["messages"] for row in prompts(house)), key=str)
    assert [messages[-1]["content"] for messages in found] == [
        "Solve: 2+2? Think first.",
        "Solve: 3+3? Think first.",
    ]
    assert all(messages[0] == {"role": "system", "content": "Be right."} for messages in found)


def test_depth_difficulty_and_constants_are_kept(tmp_path: Path) -> None:
    house = Warehouse.open(tmp_path)
    sample = QUESTION.model_copy(update={"constants": {"kind": "ambiguous"}})
    asked(house, ["How many bricks?"], sample)
    made(house, PromptRules(source="rephrase", min_words=1), sample)
    (first,) = prompts(house)
    assert json.loads(first["metadata"])["constants"] == {"kind": "ambiguous"}
    assert (first["source"], first["difficulty"]) == ("rephrase", 2)
    again = QUESTION.model_copy(update={"turn": 1, "over": "made_prompts"})
    with RowSource(house, "made_prompts", run="r", round=1, variables={"depth": 1}) as source:
        rows = source.rows(0, source.num_rows)
    assert [(row.prompt_id, row.values["kind"]) for row in rows] == [(first["id"], "ambiguous")]
    engine = ScriptedEngine(lambda question, seed: "How many tiles are there?")
    ask_shard(house, engine, again, rows, replace(KEY, role="question"), seed=0, part="q-0001")
    parse_shard(house, again, run="r", round=1, part="q-0001")
    for table in ("samples", "scores"):
        house.seal(table, ["q-0001"], run="r", round=1)
    make_prompts(
        house,
        again,
        LOOSE,
        environment=load_environment("word_problems"),
        run="r",
        round=1,
        part="deeper",
    )
    depths = Counter(json.loads(row["metadata"])["depth"] for row in prompts(house))
    assert depths == {1: 1, 2: 1}


def test_samples_without_a_parser_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"question: .* set a parser"):
        made(Warehouse.open(tmp_path), sample=QUESTION.model_copy(update={"parser": None}))


def test_limits_that_no_text_meets_are_refused() -> None:
    with pytest.raises(ValueError, match="min_words=9 is above max_words=3"):
        PromptRules(min_words=9, max_words=3)
