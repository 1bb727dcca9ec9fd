"""The story of a small run, told from the pair back and from the sample forward."""

from typing import Any

import duckdb
import pytest

from storage import Warehouse


def ask(warehouse: Warehouse, query: str) -> list[dict[str, Any]]:
    with warehouse.connect() as connection:
        return list(connection.sql(query).to_arrow_table().to_pylist())


def relations(rows: list[dict[str, Any]]) -> set[tuple[int, str, str]]:
    return {(row["step"], row["relation"], row["id"]) for row in rows}


def test_a_pair(story: Warehouse) -> None:
    rows = ask(story, "FROM lineage('p1')")
    assert len(rows) == len(relations(rows)), "each ancestor once"
    assert relations(rows) == {
        (0, "self", "p1"),
        (1, "chosen sample", "s1"),
        (1, "rejected sample", "s2"),
        (2, "parent sample", "s0"),
        (2, "execution", "exec-s1"),
        (2, "execution", "exec-s2"),
        (2, "score", "score-s1"),
        (2, "score", "score-s2"),
        (1, "vote", "vote-3"),
        (1, "other vote", "vote-5"),
        (1, "prompt", "q"),
        (2, "parent prompt", "q0"),
        (2, "policy", "m0"),
        (3, "filter decision", "rejection-s0"),
        (1, "sibling rejected", "rejection-s3"),
        (1, "sibling rejected", "rejection-s4"),
        (1, "round", "round-1"),
    }


def test_what_the_rows_of_a_pair_say(story: Warehouse) -> None:
    rows = {row["id"]: row for row in ask(story, "FROM lineage('p1')")}

    def has(id: str, **expected: object) -> None:
        assert {name: rows[id][name] for name in expected} == expected

    has("p1", table_name="pairs", run="r", round=1, text="text of s1", reason="kept")
    assert rows["p1"]["value"] == pytest.approx(1 / 3)
    has("s1", text="text of s1", label="3", policy_id="m0", weight_hash="hash-m0", seed=7)
    has("s1", sampling='{"temperature": 0.7}', name="program")
    has("exec-s2", verdict="wrong_answer", table_name="executions")
    has("score-s2", label="5", name="answer 1")
    has("vote-5", label="5", value=1 / 3)
    has("q", label="3", text="user: 1 + 1?", name="word_problems", round=1)
    has("m0", weight_hash="hash-m0", label="base", table_name="models")
    has("rejection-s3", filter="duplicate", reason="same program as s1", text="text of s3")
    has("rejection-s3", label="3", policy_id="m0", seed=7)
    assert "min_share" in rows["round-1"]["detail"]


def test_an_example_of_a_later_round(story: Warehouse) -> None:
    assert relations(ask(story, "FROM lineage('e2')")) == {
        (0, "self", "e2"),
        (1, "sample", "t1"),
        (2, "execution", "exec-t1"),
        (2, "score", "score-t1"),
        (1, "vote", "vote-later"),
        (1, "prompt", "q"),
        (2, "parent prompt", "q0"),
        (2, "policy", "m1"),
        (3, "parent policy", "m0"),
        (1, "sibling rejected", "rejection-t2"),
        (1, "round", "round-2"),
    }
    rows = {row["id"]: row for row in ask(story, "FROM lineage('e2')")}
    assert rows["m1"]["label"] == "promoted", "the last known status"
    assert rows["q"]["round"] == 2


def test_a_sample(story: Warehouse) -> None:
    assert relations(ask(story, "FROM lineage('s3')")) == {
        (0, "self", "s3"),
        (1, "execution", "exec-s3"),
        (1, "score", "score-s3"),
        (1, "vote", "vote-3"),
        (1, "vote", "vote-5"),
        (1, "prompt", "q"),
        (2, "parent prompt", "q0"),
        (1, "policy", "m0"),
        (1, "filter decision", "rejection-s3"),
        (1, "round", "round-1"),
    }


def test_a_vote_and_its_voters(story: Warehouse) -> None:
    rows = ask(story, "FROM lineage('vote-3')")
    found = {(row["relation"], row["id"]) for row in rows}
    assert ("self", "vote-3") in found
    assert {id for relation, id in found if relation == "voter"} == {"s1", "s3"}
    assert {id for relation, id in found if relation == "other vote"} == {"vote-5"}
    assert ("execution", "exec-s3") in found


def test_imported_samples_need_no_model_row(story: Warehouse) -> None:
    table = story.read("samples", round=2).to_pylist()
    rows = [row | {"policy_id": "gpt", "purpose": "imported"} for row in table]
    story.write("samples", rows, run="r", round=2, part="p")
    policy = [r for r in ask(story, "FROM lineage('e2')") if r["relation"] == "policy"]
    assert [(row["id"], row["weight_hash"], row["label"]) for row in policy] == [
        ("gpt", "hash-m1", None)
    ]


def test_parents_in_a_circle_end(story: Warehouse) -> None:
    rows = [
        row | {"parent_ids": ["t1"]} if row["id"] == "t1" else row
        for row in story.read("samples", round=2).to_pylist()
    ]
    story.write("samples", rows, run="r", round=2, part="p")
    assert len(ask(story, "FROM lineage('t1') WHERE table_name = 'samples'")) == 1
    assert len(ask(story, "FROM learned_from('t1') WHERE table_name = 'samples'")) == 1


def test_unknown_ids_have_no_lineage(story: Warehouse) -> None:
    assert ask(story, "FROM lineage('nope')") == []
    assert ask(story, "FROM learned_from('nope')") == []


def test_what_was_learned_from_a_sample(story: Warehouse) -> None:
    rows = ask(story, "FROM learned_from('s1')")
    assert relations(rows) == {
        (0, "self", "s1"),
        (1, "pair", "p1"),
        (1, "example", "e1"),
        (2, "trained", "m1"),
        (3, "descendant", "m2"),
    }
    by_id = {row["id"]: row for row in rows}
    assert (by_id["p1"]["name"], by_id["e1"]["name"]) == ("chosen", "source")
    assert by_id["e1"]["weight"] == 0.25
    assert (by_id["m1"]["status"], by_id["m1"]["weight_hash"]) == ("promoted", "hash-m1")


def test_what_was_learned_through_a_refinement(story: Warehouse) -> None:
    rows = relations(ask(story, "FROM learned_from('s0')"))
    assert (1, "child sample", "s1") in rows
    assert (2, "pair", "p1") in rows
    assert (3, "trained", "m1") in rows
    assert (1, "rejection", "rejection-s0") in rows


@pytest.mark.parametrize(
    ("metrics", "learned"),
    [
        ({"rows_by_round": {"1": 40, "2": 40}}, True),
        ({"rows_by_round": {"1": 40}, "training_table": "pairs"}, True),
        ({"rows_by_round": {"1": 0, "2": 40}}, False),
        ({"rows_by_round": {"1": 40}, "training_table": "labels"}, False),
        ({}, False),
    ],
)
def test_models_trained_on_mixed_rounds(
    metrics: dict[str, Any], learned: bool, story: Warehouse
) -> None:
    rows = [
        row | {"id": "m9", "parent_id": "m0", "metrics": metrics}
        for row in story.read("models", round=2, part="verdict").to_pylist()
    ]
    story.write("models", rows, run="r", round=2, part="mixed")
    found = relations(ask(story, "FROM learned_from('s1')"))
    assert ((2, "trained", "m9") in found) is learned


def test_nothing_was_learned_from_a_dropped_sample(story: Warehouse) -> None:
    assert relations(ask(story, "FROM learned_from('s3')")) == {
        (0, "self", "s3"),
        (1, "rejection", "rejection-s3"),
    }


def test_what_was_learned_from_a_prompt(story: Warehouse) -> None:
    rows = relations(ask(story, "FROM learned_from('q')"))
    assert {id for _, relation, id in rows if relation == "self"} == {"q"}
    assert {id for _, relation, id in rows if relation == "sample"} == {
        "s0", "s1", "s2", "s3", "s4", "t1", "t2", "v1",
    }  # fmt: skip
    assert {(1, "pair", "p1"), (1, "example", "e1"), (1, "example", "e2")} <= rows
    assert {(2, "trained", "m1"), (2, "trained", "m2"), (2, "rejection", "rejection-t2")} <= rows
    assert (1, "child prompt", "q") in relations(ask(story, "FROM learned_from('q0')"))


@pytest.mark.parametrize(
    ("id", "expected"),
    [
        ("p1", {(0, "self", "p1"), (1, "trained", "m1"), (2, "descendant", "m2")}),
        ("vote-3", {(0, "self", "vote-3"), (1, "pair", "p1"), (2, "trained", "m1")}),
        ("score-s1", {(0, "self", "score-s1")}),
        ("exec-s1", {(0, "self", "exec-s1"), (1, "sample", "s1"), (2, "pair", "p1")}),
        ("m2", {(0, "self", "m2")}),
        ("m1", {(0, "self", "m1"), (1, "trained", "m2")}),
        ("m0", {(0, "self", "m0"), (1, "trained", "m1"), (2, "descendant", "m2")}),
    ],
)
def test_what_was_learned_from_any_other_id(
    id: str, expected: set[tuple[int, str, str]], story: Warehouse
) -> None:
    found = relations(ask(story, f"FROM learned_from('{id}')"))
    assert expected <= found
    assert len([one for one in found if one[1] == "self"]) == 1


def test_a_score_that_decided_about_a_row_leads_to_it(story: Warehouse) -> None:
    (row,) = story.read("examples", round=2).to_pylist()
    story.write("examples", [row | {"score_ids": ["score-t1"]}], run="r", round=2, part="p")
    assert relations(ask(story, "FROM learned_from('score-t1')")) == {
        (0, "self", "score-t1"),
        (1, "example", "e2"),
        (2, "trained", "m2"),
    }


def test_what_learned_from_a_policy_from_outside(story: Warehouse) -> None:
    rows = [row | {"policy_id": "gpt"} for row in story.read("samples", round=2).to_pylist()]
    story.write("samples", rows, run="r", round=2, part="p")
    found = ask(story, "FROM learned_from('gpt')")
    assert {(row["relation"], row["id"]) for row in found} == {("trained", "m2")}


@pytest.mark.parametrize(
    ("id", "expected"),
    [
        ("q", {(0, "self", "q"), (1, "parent prompt", "q0")}),
        ("exec-s3", {(0, "self", "exec-s3"), (1, "sample", "s3"), (2, "score", "score-s3")}),
        ("score-s3", {(0, "self", "score-s3"), (1, "sample", "s3"), (2, "prompt", "q")}),
        ("m1", {(0, "self", "m1"), (1, "parent policy", "m0"), (1, "round", "round-1")}),
    ],
)
def test_lineage_of_any_other_id(
    id: str, expected: set[tuple[int, str, str]], story: Warehouse
) -> None:
    found = relations(ask(story, f"FROM lineage('{id}')"))
    assert expected <= found
    assert len([one for one in found if one[1] == "self"]) == 1


def test_the_catalog_file_tells_the_same_story(story: Warehouse) -> None:
    with duckdb.connect(str(story.root / "selfloom.duckdb"), read_only=True) as connection:
        rows = connection.sql("FROM lineage('p1')").to_arrow_table().to_pylist()
    assert rows == ask(story, "FROM lineage('p1')")
