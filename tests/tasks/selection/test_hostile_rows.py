"""Rows that nobody hopes for: each has a defined result and costs no other row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from storage import RowError, Warehouse, content_id
from tasks.dedup import DedupSpec, dedup
from tasks.selection import SELECTIONS, Selection, SelectionReport, select
from tests.tasks.selection.rounds import RUN, Drawn, right, tables_of, write_round, wrong

MANY = 10_000


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with pytest.MonkeyPatch.context() as patch:
        # Durability is storage's promise and has its own tests; here it costs most of the time.
        patch.setattr("os.fsync", lambda descriptor: None)
        yield Warehouse.open(tmp_path_factory.mktemp("hostile") / "w")


def run_all(w: Warehouse, *names: str, **parameters: object) -> SelectionReport:
    selections = [Selection(name, parameters) for name in names]
    return select(w, selections, run=RUN, round=1, allow_references=True)


def reasons(w: Warehouse) -> Counter[str]:
    rows = w.read("rejections", run=RUN, round=1).to_pylist()
    return Counter(str(row["reason"]) for row in rows)


def examples(w: Warehouse) -> list[str]:
    rows = w.read("examples", run=RUN, round=1).to_pylist()
    return [str(row["completion"][0]["content"]) for row in rows]


def test_texts_of_five_megabytes(warehouse: Warehouse) -> None:
    big = [letter * 5_000_000 for letter in "abc"]
    write_round(warehouse, [right(*big, big[0]), right("x", "y")])
    report = run_all(warehouse, "confident_majority")
    assert report.num_used == 5 and reasons(warehouse) == {"duplicate_text": 1}
    assert sorted(map(len, examples(warehouse))) == [1, 1, *[5_000_000] * 3]


def test_nul_and_odd_spaces_are_text_like_any_other(warehouse: Warehouse) -> None:
    texts = ["\x00", "\x00\x00", "a\x00", "a", "\u2003a\u00a0", "\U0001f600", "\u202e", "\r\n"]
    write_round(warehouse, [right(*texts)])
    run_all(warehouse, "confident_majority", max_per_prompt=99)
    assert reasons(warehouse) == {"duplicate_text": 1}  # the one between spaces
    kept = examples(warehouse)
    assert set(texts[:3]) <= set(kept) and len(kept) == len(texts) - 1


def test_a_nul_tells_answers_apart(warehouse: Warehouse) -> None:
    samples = [Drawn("7", "a"), Drawn("7", "b"), Drawn("7\x00", "c")]
    write_round(warehouse, [samples])
    votes = warehouse.read("votes", run=RUN, round=1).to_pylist()
    assert [(row["answer"], row["count"]) for row in votes] == [("7", 2), ("7\x00", 1)]
    run_all(warehouse, "confident_majority")
    assert reasons(warehouse) == {"minority_answer": 1}


def test_a_lone_surrogate_is_refused_with_its_row_and_nothing_is_written(
    warehouse: Warehouse,
) -> None:
    rows = tables_of([right("good", "bad \ud800")])["samples"]
    with pytest.raises(RowError, match="row 1, field 'text'"):
        warehouse.write("samples", rows, run="surrogate", round=1, part="all")
    assert not warehouse.has("samples", run="surrogate", round=1, part="all")


def test_an_empty_answer_is_none_and_none_has_no_vote(warehouse: Warehouse) -> None:
    write_round(warehouse, [[*right("a", "b"), *(Drawn(x, "t") for x in ("", "", "", None, None))]])
    votes = warehouse.read("votes", run=RUN, round=1).to_pylist()
    assert [(row["answer"], row["count"], row["num_samples"]) for row in votes] == [("1", 2, 7)]
    report = run_all(warehouse, "confident_majority", min_share=0.2)
    assert report.num_used == 2 and reasons(warehouse) == {"no_answer": 5}


def test_a_prompt_whose_samples_all_have_no_answer(warehouse: Warehouse) -> None:
    write_round(warehouse, [[Drawn(None, "a"), Drawn("", "b")]])
    assert warehouse.read("votes", run=RUN, round=1).num_rows == 0
    for name in ("confident_majority", "vote_pairs", "reference_correct", "difficulty_balance"):
        write_round(warehouse, [[Drawn(None, "a"), Drawn("", "b")]])
        report = run_all(warehouse, name)
        assert (report.num_used, report.num_rejected) == (0, 2)
        assert reasons(warehouse) == {"no_answer": 2}


def test_ten_thousand_samples_of_one_prompt(warehouse: Warehouse) -> None:
    samples = [Drawn(str(n % 3 and 7), f"text {n}", bool(n % 3)) for n in range(MANY)]
    write_round(warehouse, [samples])
    made = select(
        warehouse,
        [Selection("confident_majority", {"max_per_prompt": 100}), Selection("vote_pairs")],
        run=RUN,
        round=1,
    )
    assert [one.num_rows for one in made.selections] == [100, 1]
    assert made.num_used + made.num_rejected == MANY
    (pair,) = warehouse.read("pairs", run=RUN, round=1).to_pylist()
    num_right = sum(bool(n % 3) for n in range(MANY))
    assert pair["margin"] == pytest.approx((2 * num_right - MANY) / MANY)


def test_every_right_sample_against_every_wrong_one(warehouse: Warehouse) -> None:
    samples = [*right(*(f"r{n}" for n in range(100))), *wrong(*(f"w{n}" for n in range(100)))]
    write_round(warehouse, [samples])
    run_all(warehouse, "reference_pairs", max_pairs=1_000_000)
    pairs = warehouse.read("pairs", run=RUN, round=1, columns=["sample_ids"]).to_pylist()
    assert len({tuple(row["sample_ids"]) for row in pairs}) == len(pairs) == 100 * 100


@pytest.mark.parametrize("name", SELECTIONS)
def test_prompts_without_samples(warehouse: Warehouse, name: str) -> None:
    write_round(warehouse, [[], []])
    report = run_all(warehouse, name)
    assert (report.num_candidates, report.num_used, report.num_rejected) == (0, 0, 0)
    table = report.selections[0].table
    assert warehouse.has(table, run=RUN, round=1, part=f"{name}-0000")  # says: it was done


def test_all_samples_equal(warehouse: Warehouse) -> None:
    write_round(warehouse, [right(*["same"] * 9)])
    run_all(warehouse, "confident_majority")
    assert examples(warehouse) == ["same"] and reasons(warehouse) == {"duplicate_text": 8}
    for name in ("vote_pairs", "reference_pairs", "best_worst", "judge_pairs"):
        write_round(warehouse, [[one._replace(scores=(1.0,)) for one in right(*["same"] * 9)]])
        assert run_all(warehouse, name).selections[0].num_rows == 0


def test_ties_give_no_label(warehouse: Warehouse) -> None:
    tied = [*right("a", "b"), *wrong("c", "d")]
    scored = [one._replace(scores=(0.5,)) for one in tied]
    votes = ("confident_majority", "vote_pairs", "difficulty_balance")
    for name in (*votes, "best_worst", "judge_pairs"):
        write_round(warehouse, [scored])
        assert run_all(warehouse, name).num_used == 0
        assert set(reasons(warehouse)) == {"tie"}


def test_what_dedup_dropped_is_rejected_once(warehouse: Warehouse) -> None:
    write_round(warehouse, [right("a", "a")])
    dedup(warehouse, DedupSpec(methods=["exact"]), run=RUN, round=1)
    assert run_all(warehouse, "confident_majority", min_votes=1).num_candidates == 1
    rejected = warehouse.read("rejections", run=RUN, round=1).to_pylist()
    assert [row["row_id"] for row in rejected] == [content_id("sample", 0, 1)]
