"""Judges end to end on scripted judgements: every state is kept, and no order decides."""

import json
import math
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from storage import Warehouse, content_id
from tasks.ask import RowSource, Sample, as_chain, ask_shard, parse_shard
from tasks.errors import TemplateError
from tasks.judging import (
    MetaJudge,
    PairJudge,
    RubricJudge,
    Target,
    aggregate,
    judge_statistics,
    judgement_agreement,
    nested,
)
from tests.tasks.ask.scripted import KEY, Script, ScriptedEngine, all_rows, sums, write_problems

PROBLEMS = sums(4)
ANSWER = Sample(role="answer", template="as_is", n=4, temperature=1.0)


def quality(text: str) -> int:
    """The number in an answer `quality 3`."""
    return int(text.split("quality ")[1].split()[0])


@pytest.fixture
def house(tmp_path: Path) -> Warehouse:
    """Four problems with answers of quality 0 to 3; the better two are right."""
    w = Warehouse.open(tmp_path / "w")
    write_problems(w, PROBLEMS)
    engine = ScriptedEngine(lambda question, seed: f"quality {seed % 4}")
    ask_shard(w, engine, ANSWER, all_rows(w), KEY, seed=3, part="answers-0000")
    rows = w.read("samples", run="r", round=1, part="answers-0000").to_pylist()
    assert {quality(row["text"]) for row in rows} == {0, 1, 2, 3}
    marks = [
        {
            "id": content_id("score", row["id"], "reference"),
            "sample_id": row["id"],
            "check": "reference",
            "version": "1",
            "value": float(quality(row["text"]) >= 2),
            "detail": {},
            "status": "ok",
        }
        for row in rows
    ]
    w.write_shard("scores", marks, run="r", round=1, part="answers-0000")
    for table in ("samples", "scores"):
        w.seal(table, ["answers-0000"], run="r", round=1)
    return w


def run_judge(
    w: Warehouse, judge: RubricJudge | PairJudge | MetaJudge, script: Script, **source: Any
) -> ScriptedEngine:
    engine = ScriptedEngine(script)
    for number, ask in enumerate(judge.asks()):
        part = f"{judge.name}-{number}-0000"
        variables = judge.variables()
        with RowSource(w, ask.over, run="r", round=1, variables=variables, **source) as rows:
            found = rows.rows(0, rows.num_rows)
        as_chain(ask).check_rows(row.values for row in found)
        ask_shard(w, engine, ask, found, KEY, seed=3, part=part)
        parse_shard(w, ask, run="r", round=1, part=part)
        for table in ("samples", "scores"):
            w.seal(table, [part], run="r", round=1)
    written = aggregate(w, judge, run="r", round=1)
    assert written == aggregate(w, judge, run="r", round=1)
    return engine


def scores(w: Warehouse, check: str) -> list[dict[str, Any]]:
    """The scores of a check, each with the text that it is about."""
    texts = {row["id"]: row["text"] for row in w.read("samples", run="r", round=1).to_pylist()}
    return [
        {**row, "detail": json.loads(row["detail"]), "text": texts[row["sample_id"]]}
        for row in w.read("scores", run="r", round=1).to_pylist()
        if row["check"] == check
    ]


def test_a_rubric_judge_averages_what_it_can_read(house: Warehouse) -> None:
    def script(question: str, seed: int) -> str | None:
        text = question.split("Response:")[1]
        if quality(text) == 0:
            return None if "1+1" in question else "I cannot say."
        return "Score: none" if seed % 3 == 2 else f"Score: {quality(text) + seed % 3}"

    judge = RubricJudge(num_judgements=3)
    run_judge(house, judge, script)
    single, means = scores(house, "judge"), scores(house, "judge_mean")
    assert (len(single), len(means)) == (48, 16)
    assert len({row["detail"]["judgement"] for row in single}) == 48
    states = Counter((row["status"], row["value"] is None) for row in single)
    # 3 of the engine, 9 that say nothing, and of 36 others one in three.
    assert states == {("error", True): 3, ("ok", True): 9 + 12, ("ok", False): 24}
    for row in single:
        failure = "not_found" if row["status"] == "ok" and row["value"] is None else None
        assert row["detail"].get("failure") == failure
    for row in means:
        expected = quality(row["text"]) or None
        assert row["value"] == (expected and expected + 0.5)
        assert (row["status"] == "error") == (not expected and row["error"] is not None)
    found = nested(judge_statistics(house, judge, run="r", round=1))
    assert set(found) == {"all", "1", "2"}
    assert found["all"]["num_judgements"] == 48 and "num_pairs" not in found["all"]
    assert found["all"]["error_share"] == 3 / 48
    assert found["all"]["unparseable_share"] == 21 / 45
    assert found["all"]["reference_agreement"] == 1.0
    # Of 24 scores, 4 each of 1 and 4, 8 each of 2 and 3.
    expected_entropy = -(2 * math.log(1 / 6) / 6 + 2 * math.log(1 / 3) / 3)
    assert found["all"]["score_entropy"] == pytest.approx(expected_entropy)
    assert found["all"]["top_score_share"] == pytest.approx(1 / 3)
    assert found["all"]["score_spread"] == 0.5


def test_principles_and_the_own_reference_are_in_the_question(house: Warehouse) -> None:
    asked: list[str] = []

    def script(question: str, seed: int) -> str:
        asked.append(question)
        return "own answer" if question.endswith("?") else "Score: 1"

    judge = RubricJudge(num_judgements=1, reference="own", principles=("Be kind.", "Be brief."))
    engine = run_judge(house, judge, script)
    assert [request.temperature for request in engine.asked[:4]] == [0.0] * 4
    assert len(asked) == 4 + 16
    for question in asked[4:]:
        assert "- Be kind.\n- Be brief.\n" in question and "own answer" in question
    rows = house.read("samples", run="r", round=1).to_pylist()
    roles = {row["id"]: row["role"] for row in rows}
    judgements = [row for row in rows if row["role"] == "judgement"]
    parents = {tuple(roles[parent] for parent in row["parent_ids"]) for row in judgements}
    assert parents == {("answer", "reference")}
    assert {quality(row["text"]) for row in scores(house, "judge_mean")} == {0, 1, 2, 3}


def test_a_gold_reference_is_shown_only_where_it_is_allowed(house: Warehouse) -> None:
    judge = RubricJudge(num_judgements=1, reference="gold")
    with pytest.raises(TemplateError, match="a null would be printed"):
        run_judge(house, judge, lambda question, seed: "Score: 1")
    engine = run_judge(house, judge, lambda q, seed: "Score: 1", allow_references=True)
    assert all("of its own:\n" in request.messages[0]["content"] for request in engine.asked)


def compare(question: str) -> tuple[int, int]:
    first, second = question.split("Response A:")[1].split("Response B:")
    return quality(first), quality(second)


def test_a_fair_pair_judge_is_consistent_and_ranks(house: Warehouse) -> None:
    def script(question: str, seed: int) -> str:
        a, b = compare(question)
        if {a, b} == {0, 1}:
            return "[[tie]]"
        return "[[A]]" if a > b else "[[B]]"

    judge = PairJudge(name="fair")
    run_judge(house, judge, script)
    pairs, rates = scores(house, "fair"), scores(house, "fair_win_rate")
    assert len(pairs) == 4 * 12 and {row["label"] for row in pairs} == {"win", "loss", "tie"}
    by_pair = {(row["sample_id"], row["detail"]["other"]): row["value"] for row in pairs}
    assert all(by_pair[b, a] == 1 - value for (a, b), value in by_pair.items())
    wins = {quality(row["text"]): row["value"] for row in rates}
    assert wins == {0: 0.5 / 3, 1: 0.5 / 3, 2: 2 / 3, 3: 1.0}
    found = nested(judge_statistics(house, judge, run="r", round=1))["all"]
    assert found["swap_consistency"] == 1.0 and found["first_share"] == 0.5
    assert found["tie_share"] == pytest.approx(1 / 6)
    assert found["reference_agreement"] == 1.0


@pytest.mark.parametrize(
    ("inconsistent", "value"), [("tie", 0.5), ("abstain", None), ("mean", 0.5)]
)
def test_a_judge_that_likes_the_first_place_decides_nothing(
    house: Warehouse, inconsistent: str, value: float | None
) -> None:
    judge = PairJudge.model_validate({"name": "biased", "inconsistent": inconsistent})
    run_judge(house, judge, lambda question, seed: "[[A]]")
    pairs = scores(house, "biased")
    assert {(row["label"], row["value"], row["status"]) for row in pairs} == {
        ("inconsistent", value, "ok")
    }
    rates = scores(house, "biased_win_rate")
    assert len(rates) == 16 and {row["value"] for row in rates} == {value}
    found = nested(judge_statistics(house, judge, run="r", round=1))["all"]
    assert (found["swap_consistency"], found["first_share"]) == (0.0, 1.0)
    assert (found["num_judgements"], found["num_pairs"]) == (48, 24)
    assert found["score_entropy"] == 0.0 and found["top_score_share"] == 1.0


def test_contradicting_orders_count_by_their_shares(house: Warehouse) -> None:
    """Two in three judgements like the first place: the mean of both orders is what is left."""
    judge = PairJudge(name="soft", num_judgements=3, inconsistent="mean")

    def script(question: str, seed: int) -> str:
        a, b = compare(question)
        likes = 3 if a > b else 2
        return "[[A]]" if seed % 3 < likes else "[[B]]"

    run_judge(house, judge, script)
    for row in scores(house, "soft"):
        first, second = row["detail"]["first"], row["detail"]["second"]
        assert row["label"] == "inconsistent"
        assert sorted([first, 1 - second]) == pytest.approx([2 / 3, 1.0])
        assert row["value"] == pytest.approx((first + second) / 2)


def test_a_pair_judge_sees_the_models_own_answer(house: Warehouse) -> None:
    def script(question: str, seed: int) -> str:
        if question.endswith("?"):
            return "own answer"
        assert "of its own:\nown answer\n" in question
        a, b = compare(question)
        return "[[A]]" if a > b else "[[B]]"

    plain, seeing = PairJudge(name="plain"), PairJudge(name="seeing", reference="own")
    run_judge(house, plain, lambda q, seed: "[[A]]" if compare(q)[0] > compare(q)[1] else "[[B]]")
    engine = run_judge(house, seeing, script)
    assert [request.temperature for request in engine.asked[:4]] == [0.0] * 4
    rows = house.read("samples", run="r", round=1).to_pylist()
    roles = {row["id"]: row["role"] for row in rows}
    seen = [row["parent_ids"] for row in rows if len(row["parent_ids"]) == 3]
    assert len(seen) == 4 * 12 and {roles[parents[2]] for parents in seen} == {"reference"}
    values = [
        {(row["sample_id"], row["detail"]["other"]): row["value"] for row in scores(house, name)}
        for name in ("plain", "seeing")
    ]
    assert values[0] == values[1] and len(values[0]) == 4 * 12


@pytest.mark.parametrize("target", ["majority", "mean", "reference"])
def test_judgements_are_as_good_as_they_are_near_the_target(
    house: Warehouse, target: Target
) -> None:
    def script(question: str, seed: int) -> str:
        return f"Score: {(seed * 7 + quality(question.split('Response:')[1])) % 4}"

    judge = RubricJudge(num_judgements=5, high=4.0)
    run_judge(house, judge, script)
    for _ in range(2):
        written = judgement_agreement(
            house, judge, target, run="r", round=1, allow_references=target == "reference"
        )
    said = scores(house, "judge")
    marks = {row["sample_id"]: row["value"] for row in scores(house, "reference")}
    found = {row["sample_id"]: row["value"] for row in scores(house, "judge_agreement")}
    assert written == len(said) == len(found) == 16 * 5
    for row in said:
        own = [other["value"] for other in said if other["sample_id"] == row["sample_id"]]
        top = Counter(own).most_common(2)
        wanted = {
            "majority": None if len(top) > 1 and top[0][1] == top[1][1] else top[0][0],
            "mean": sum(own) / 5,
            "reference": 4.0 * marks[row["sample_id"]],
        }[target]
        expected = None if wanted is None else pytest.approx(-abs(row["value"] - wanted))
        assert found[row["detail"]["judgement"]] == expected


def test_references_are_hidden_where_they_are_not_allowed(house: Warehouse) -> None:
    judge = RubricJudge(num_judgements=2)
    run_judge(house, judge, lambda question, seed: "Score: 2")
    judgement_agreement(house, judge, "reference", run="r", round=1)
    assert {row["detail"]["failure"] for row in scores(house, "judge_agreement")} == {
        "no_reference"
    }


def test_a_pair_without_one_order_has_no_opinion(house: Warehouse) -> None:
    def script(question: str, seed: int) -> str | None:
        a, b = compare(question)
        if (a, b) == (0, 1):
            return None
        return "no idea" if (a, b) == (2, 3) else ("[[A]]" if a > b else "[[B]]")

    run_judge(house, PairJudge(), script)
    texts = {row["sample_id"]: row["text"] for row in scores(house, "reference")}
    for row in scores(house, "judge"):
        other = row["detail"]["other"]
        met = {quality(row["text"]), quality(texts[other])}
        states = (row["status"], row["value"] is None, row["detail"].get("failure"))
        if met == {0, 1}:
            assert states == ("error", True, "order_missing")
        elif met == {2, 3}:
            assert states == ("ok", True, "order_missing")
        else:
            assert states == ("ok", False, None)


def test_a_meta_judge_rates_the_judgements_of_the_most_disputed_answer(house: Warehouse) -> None:
    def score(question: str, seed: int) -> str:
        # Only of answers of quality 2 do the judgements differ.
        spread = seed % 4 if quality(question.split("Response:")[1]) == 2 else 0
        return f"Score: {spread}"

    def better(question: str, seed: int) -> str:
        first, second = question.split("Judgement A:")[1].split("Judgement B:")
        a, b = (int(text.split("Score: ")[1].split()[0]) for text in (first, second))
        return "[[A]]" if a >= b - 1 else "[[B]]"  # likes the first place a little

    run_judge(house, RubricJudge(num_judgements=4), score)
    judge = MetaJudge(max_judgements=4)
    engine = run_judge(house, judge, better)
    assert len(engine.asked) == 4 * 12
    ratings = scores(house, "meta_judge_elo")
    assert len(ratings) == 16
    by_score: dict[str, set[float]] = {}
    for row in ratings:
        by_score.setdefault(row["text"], set()).add(round(row["value"], 6))
    order = [by_score[f"Score: {number}"].pop() for number in range(4)]
    assert not any(by_score.values()) and order == sorted(order) and len(set(order)) == 4
    found = nested(judge_statistics(house, judge, run="r", round=1))["all"]
    # Of six pairs the three of neighbors are decided by their order.
    assert found["swap_consistency"] == 0.5
    assert found["first_share"] == pytest.approx(9 / 12)


def test_a_result_names_every_judgement_it_rests_on(house: Warehouse) -> None:
    run_judge(house, RubricJudge(num_judgements=2), lambda question, seed: "Score: 2")
    ids = {row["id"] for row in scores(house, "judge")}
    used = [set(row["detail"]["score_ids"]) for row in scores(house, "judge_mean")]
    assert set().union(*used) == ids and all(not a & b for a, b in combinations(used, 2))
