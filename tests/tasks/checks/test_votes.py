"""Votes: the whole distribution, whatever the order of the samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import Warehouse, content_id
from tasks.checks.votes import VOTES, vote

Row = dict[str, Any]
# (prompt, answer, status of the sample, status of the check, purpose)
Ballot = tuple[str, str | None, str, str, str]


def count(ballots: Sequence[Ballot]) -> list[Row]:
    """Run votes.sql as a user would by hand, over plain tables."""
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE samples (id VARCHAR, run VARCHAR, round INTEGER, prompt_id VARCHAR, "
            "status VARCHAR, purpose VARCHAR, role VARCHAR)"
        )
        connection.execute(
            'CREATE TABLE scores (run VARCHAR, round INTEGER, sample_id VARCHAR, "check" VARCHAR, '
            "label VARCHAR, status VARCHAR)"
        )
        for i, (prompt, answer, status, check_status, purpose) in enumerate(ballots):
            connection.execute(
                "INSERT INTO samples VALUES (?, 'demo', 1, ?, ?, ?, 'answer')",
                [f"s{i}", prompt, status, purpose],
            )
            connection.execute(
                "INSERT INTO scores VALUES ('demo', 1, ?, 'answer', ?, ?)",
                [f"s{i}", answer, check_status],
            )
        cursor = connection.execute(VOTES.bind(connection, {}))
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def ok(prompt: str, *answers: str | None) -> list[Ballot]:
    return [(prompt, answer, "ok", "ok", "train") for answer in answers]


BALLOTS = st.lists(
    st.tuples(
        st.sampled_from(["p", "q"]),
        st.sampled_from(["1", "2", "10", "é", None]),
        st.sampled_from(["ok", "ok", "ok", "error"]),
        st.sampled_from(["ok", "ok", "ok", "error"]),
        st.sampled_from(["train", "train", "imported", "evaluate"]),
    ),
    max_size=12,
)


@settings(max_examples=12, deadline=None)
@given(BALLOTS.flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))))
def test_the_order_of_samples_does_not_matter(orders: tuple[list[Ballot], list[Ballot]]) -> None:
    assert count(orders[0]) == count(orders[1])


@settings(max_examples=12, deadline=None)
@given(BALLOTS)
def test_votes_equal_a_count_by_hand(ballots: list[Ballot]) -> None:
    rows = count(ballots)
    valid = [b for b in ballots if b[2:4] == ("ok", "ok") and b[4] != "evaluate"]
    expected = Counter((prompt, answer) for prompt, answer, *_ in valid if answer is not None)
    assert {(r["prompt_id"], r["answer"]): r["count"] for r in rows} == expected
    for row in rows:
        num_samples = sum(prompt == row["prompt_id"] for prompt, *_ in valid)
        assert row["num_samples"] == num_samples
        assert row["share"] == expected[row["prompt_id"], row["answer"]] / num_samples
        assert row["weight"] == row["count"]
    for prompt in ("p", "q"):
        own = sorted(
            (r for r in rows if r["prompt_id"] == prompt), key=lambda r: int(str(r["rank"]))
        )
        assert [r["rank"] for r in own] == list(range(1, len(own) + 1))
        assert own == sorted(own, key=lambda r: (-int(str(r["count"])), str(r["answer"])))


def test_ties_follow_the_answers_text() -> None:
    rows = count(ok("p", "9", "10", "9", "10", "b"))
    assert [(r["answer"], r["rank"]) for r in rows] == [("10", 1), ("9", 2), ("b", 3)]


def test_a_missing_answer_lowers_the_share_and_an_outage_does_not() -> None:
    outages: list[Ballot] = [
        ("p", "1", "error", "ok", "train"),
        ("p", None, "ok", "error", "train"),
    ]
    (row,) = count([*ok("p", "1", "1", "1", None), *outages])
    assert (row["count"], row["num_samples"], row["share"]) == (3, 4, 0.75)


def test_a_prompt_without_any_answer_has_no_vote() -> None:
    assert count(ok("p", None, None)) == []


def test_vote_writes_the_table(tmp_path: Path) -> None:
    warehouse = Warehouse.open(tmp_path / "w")
    assert vote(warehouse, run="r", round=1) == 0
    assert warehouse.has("votes", run="r", round=1, part="votes-0000")
    samples, scores = [], []
    for index, answer in enumerate(["4", "4", "5", None]):
        sample = content_id("sample", index)
        samples.append(
            {"id": sample, "prompt_id": "p", "parent_ids": [], "role": "program",
             "purpose": "train", "turn": 0, "index": index, "policy_id": "m", "weight_hash": "h",
             "engine": "e", "sampling": "{}", "seed": 0, "text": "t", "num_tokens": 1,
             "finish_reason": "stop", "status": "ok"}
        )  # fmt: skip
        scores.append(
            {"id": content_id("score", sample), "sample_id": sample, "check": "answer",
             "version": "1", "label": answer, "detail": "{}", "status": "ok"}
        )  # fmt: skip
    warehouse.write("samples", samples, run="r", round=1, part="all")
    warehouse.write("scores", scores, run="r", round=1, part="all")
    assert vote(warehouse, run="r", round=1) == 2
    rows = warehouse.read("votes", run="r", round=1).to_pylist()
    assert [(r["answer"], r["count"], r["share"]) for r in rows] == [("4", 2, 0.5), ("5", 1, 0.25)]
    assert rows[0]["id"] == content_id("vote", "r", 1, "p", "4")
    assert vote(warehouse, run="other", round=1) == 0
    assert vote(warehouse, run="r", round=1) == 2
    assert warehouse.read("votes", run="r", round=1).to_pylist() == rows


@pytest.mark.parametrize("check", ["reference", "judge"])
def test_only_the_answer_check_votes(tmp_path: Path, check: str) -> None:
    warehouse = Warehouse.open(tmp_path / "w")
    score: Row = {"id": "score-1", "sample_id": "s", "check": check, "version": "1", "value": 1.0,
                  "label": "1", "detail": "{}", "status": "ok"}  # fmt: skip
    warehouse.write("scores", [score], run="r", round=1, part="all")
    assert vote(warehouse, run="r", round=1) == 0
