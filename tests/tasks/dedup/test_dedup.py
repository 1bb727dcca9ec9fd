"""Dedup of a round: who stays, why the others went, and that selections never see them again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import Warehouse, content_id
from tasks.dedup import METHODS, DedupSpec, dedup
from tasks.selection import Selection, select
from tests.tasks.selection.rounds import RUN, Drawn, right, write_round

WORDS = "the quick brown fox jumps over a lazy dog and then it runs far away from here today"
Row = dict[str, Any]


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    # Durability is storage's promise and has its own tests; here it costs most of the time.
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    return Warehouse.open(tmp_path / "w")


def run_dedup(w: Warehouse, *methods: str, **spec: object) -> dict[str, int]:
    chosen = DedupSpec.model_validate({"methods": list(methods), **spec})
    return {str(m): n for m, n in dedup(w, chosen, run=RUN, round=1).dropped.items()}


def rejections(w: Warehouse) -> list[Row]:
    return list(w.read("rejections", run=RUN, round=1).to_pylist())


def sample(prompt: int, index: int) -> str:
    return content_id("sample", prompt, index)


def test_each_method_drops_what_those_before_it_left(warehouse: Warehouse) -> None:
    texts = [
        "So 3 + 4 = 7.\nA: 7",
        " So 3 + 4 = 7.\nA: 7\n",  # exact, but for the white space around it
        "so 3 + 4 = 7  A: 7!",  # normalised
        "Thus 3+4=7, the answer is seven",  # the same equations
        f"{WORDS}. 1 + 1 = 2",
        f"{WORDS}, 1 + 2 = 3",  # near
        "entirely different 9 - 1 = 8",
    ]
    write_round(
        warehouse, [[one._replace(text=t) for one, t in zip(right(*texts), texts, strict=True)]]
    )
    _as_answers(warehouse)
    dropped = run_dedup(warehouse, "exact", "normalised", "skeleton", "near", near_similarity=0.7)
    assert dropped == {"exact": 1, "normalised": 1, "skeleton": 1, "near": 1}
    rows = {row["row_id"]: row for row in rejections(warehouse)}
    assert {row_id: row["filter"] for row_id, row in rows.items()} == {
        sample(0, 1): "dedup_exact",
        sample(0, 2): "dedup_normalised",
        sample(0, 3): "dedup_skeleton",
        sample(0, 5): "dedup_near",
    }
    assert rows[sample(0, 1)]["reason"] == "exact_duplicate"
    assert json.loads(rows[sample(0, 3)]["detail"]) == {"of": sample(0, 0)}
    near = json.loads(rows[sample(0, 5)]["detail"])
    assert near["of"] == sample(0, 4) and 0.7 <= near["similarity"] < 1


def _as_answers(w: Warehouse) -> None:
    rows = [row | {"role": "answer"} for row in w.read("samples", run=RUN, round=1).to_pylist()]
    w.write("samples", rows, run=RUN, round=1, part="all")


def test_programs_are_compared_by_their_syntax(warehouse: Warehouse) -> None:
    write_round(warehouse, [right("x = 1\nprint(x)", "y = 1  # one\nprint(y)", "print(2)", "no (")])
    assert run_dedup(warehouse, "skeleton") == {"skeleton": 1}
    assert [row["row_id"] for row in rejections(warehouse)] == [sample(0, 1)]


def test_the_scope_decides_whether_prompts_are_compared(warehouse: Warehouse) -> None:
    write_round(warehouse, [right("a", "b"), right("a")])
    assert run_dedup(warehouse, "exact") == {"exact": 0}
    assert run_dedup(warehouse, "exact", scope="round") == {"exact": 1}


def test_selections_do_not_see_what_was_dropped(warehouse: Warehouse) -> None:
    write_round(warehouse, [right("a", "A", "a.", "b")])
    run_dedup(warehouse, "normalised")
    report = select(warehouse, [Selection("confident_majority")], run=RUN, round=1)
    assert (report.num_candidates, report.num_used, report.num_rejected) == (2, 2, 0)
    rejected = {row["row_id"] for row in rejections(warehouse)}
    used = {s for row in warehouse.read("examples", run=RUN).to_pylist() for s in row["sample_ids"]}
    assert used.isdisjoint(rejected) and len(used | rejected) == 4


def test_again_is_the_same_and_a_method_can_be_taken_back(warehouse: Warehouse) -> None:
    write_round(warehouse, [right("a", "A", "a", "b")])
    run_dedup(warehouse, "exact", "normalised")
    first = rejections(warehouse)
    select(warehouse, [Selection("confident_majority")], run=RUN, round=1)
    run_dedup(warehouse, "exact", "normalised")
    assert [r for r in rejections(warehouse) if r["filter"].startswith("dedup")] == first
    run_dedup(warehouse, "exact")
    assert [r["row_id"] for r in rejections(warehouse) if r["filter"] != "confident_majority"] == [
        sample(0, 2)
    ]
    run_dedup(warehouse)
    assert (
        select(warehouse, [Selection("confident_majority")], run=RUN, round=1).num_candidates == 4
    )


def test_a_prompt_that_shares_words_with_a_held_out_one_is_dropped(warehouse: Warehouse) -> None:
    write_round(warehouse, [right("a"), right("b"), right("c")])
    template = "Think step by step and write the final answer on the very last line please"
    held = "How many eggs does Janet sell at the market each day if her ducks lay sixteen"
    texts = [f"{held.upper()}, and why? {template}", f"Something else. {template}", "Two plus two?"]
    _ask(warehouse, 1, "train", texts)
    _ask(
        warehouse,
        0,
        "heldout",
        [f"{t} {template}" for t in (held, "Who?", "What is it?", "two plus two is what")],
    )
    assert run_dedup(warehouse, "heldout") == {"heldout": 1}
    (row,) = rejections(warehouse)
    assert row["row_id"] == sample(0, 0) and row["reason"] == "shares_words_with_heldout"
    assert json.loads(row["detail"])["shared_runs"] >= 1


def _ask(w: Warehouse, round: int, split: str, texts: Sequence[str]) -> None:
    old = w.read("prompts", run=RUN, round=1).to_pylist()
    rows = [
        old[0]
        | {"round": round, "split": split, "messages": [{"role": "user", "content": text}]}
        | {"id": content_id("prompt", n) if split == "train" else f"heldout-{n}"}
        for n, text in enumerate(texts)
    ]
    w.write("prompts", rows, run=RUN, round=round, part="all" if round else "heldout")


HOSTILE = ["", " ", "\x00", "a\x00b", "é", "e\u0301", "x" * 5_000_000, "(" * 50_000, "\u2028"]


def test_hostile_texts_cost_no_other_sample(warehouse: Warehouse) -> None:
    write_round(warehouse, [right(*HOSTILE, "a\x00b", "good"), [Drawn(None, "")], []])
    dropped = run_dedup(warehouse, *METHODS)
    # "a\0b" came twice; é is one character or two; "\0" and the empty texts have no words.
    assert dropped["exact"] == 1 and dropped["normalised"] == 1
    gone = {row["row_id"] for row in rejections(warehouse)}
    assert sample(0, len(HOSTILE) + 1) not in gone and sample(0, 0) not in gone


def test_ten_thousand_samples_of_one_prompt(warehouse: Warehouse) -> None:
    write_round(warehouse, [right(*(f"text {n % 100}" for n in range(10_000)))])
    assert run_dedup(warehouse, "exact", "normalised") == {"exact": 9_900, "normalised": 0}


@settings(max_examples=8, deadline=None)
@given(texts=st.lists(st.lists(st.sampled_from(["a", " a", "b", "A", ""]), max_size=5), max_size=3))
def test_exact_leaves_the_first_of_equal_texts(
    tmp_path_factory: pytest.TempPathFactory, texts: list[list[str]]
) -> None:
    w = Warehouse.open(tmp_path_factory.mktemp("exact") / "w")
    write_round(w, [right(*own) for own in texts])
    run_dedup(w, "exact")
    expected = {
        sample(p, i)
        for p, own in enumerate(texts)
        for i, text in enumerate(own)
        if text.strip() and text.strip() in [other.strip() for other in own[:i]]
    }
    assert {row["row_id"] for row in rejections(w)} == expected
