"""Selections: the published rule, and every sample used or rejected for one reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import Warehouse, content_id
from tasks.errors import (
    DataFormatError,
    OptionError,
    ReferencesNotAllowedError,
    SourceError,
    UnknownNameError,
)
from tasks.selection import SELECTIONS, Selection, SelectionReport, check_selections, select
from tasks.selection.plans import FOLDER, plan_selections
from tests.tasks.selection.rounds import RUN, Drawn, Row, right, write_round, wrong


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with pytest.MonkeyPatch.context() as patch:
        # Durability is storage's promise and has its own tests; here it costs most of the time.
        patch.setattr("os.fsync", lambda descriptor: None)
        yield Warehouse.open(tmp_path_factory.mktemp("selection") / "w")


def chosen(w: Warehouse, name: str, **parameters: object) -> SelectionReport:
    return select(w, [Selection(name, parameters)], run=RUN, round=1, allow_references=True)


def read(w: Warehouse, table: str) -> list[Row]:
    return list(w.read(table, run=RUN, round=1).to_pylist())


def reasons(w: Warehouse) -> Counter[str]:
    return Counter(str(row["reason"]) for row in read(w, "rejections"))


def test_confident_majority(warehouse: Warehouse) -> None:
    prompts = [
        [
            *right("a", "b", "a", "c"),
            *wrong("x"),
            Drawn(None, "y"),
            Drawn(None, "z", verdict="signal"),
        ],
        [*right("a"), *wrong("b")],
        [*right("a"), Drawn(None, "b")],
        [*right("a", "b"), *(Drawn(None, str(i)) for i in range(3))],
        [
            *right("e"),
            Drawn("1", "f", verdict="sandbox_fault"),
            Drawn("1", "g", purpose="evaluate"),
        ],
    ]
    write_round(warehouse, prompts)
    report = chosen(warehouse, "confident_majority", max_per_prompt=2)
    rows = read(warehouse, "examples")
    texts = [row["completion"][0]["content"] for row in rows]
    assert len(rows) == report.num_used == 2
    assert set(texts) < {"a", "b", "c"}
    assert {row["prompt"][0]["content"] for row in rows} == {"0?"}
    assert reasons(warehouse) == {
        "duplicate_text": 1, "over_prompt_cap": 1, "minority_answer": 1, "tie": 2, "no_answer": 5,
        "execution_signal": 1, "few_votes": 2, "low_vote_share": 2, "check_error": 1,
    }  # fmt: skip
    votes = {row["id"]: row for row in read(warehouse, "votes")}
    for row in rows:
        (vote_id,) = row["vote_ids"]
        assert votes[vote_id]["answer"] == "1"
        assert content_id("score", row["sample_ids"][0], "answer") in row["score_ids"]


def test_a_share_on_the_threshold_is_enough(warehouse: Warehouse) -> None:
    write_round(warehouse, [[*right(*"abcdefg"), *wrong("x"), *wrong("y", "z", answer="3")]])
    report = chosen(warehouse, "confident_majority", min_share=0.7, max_per_prompt=9)
    assert report.num_used == 7


def test_reference_correct_ignores_votes(warehouse: Warehouse) -> None:
    prompts = [[*right("a"), *wrong("x", "y", "z")], right(*"abcdefghijkl"), [Drawn(None, "n")]]
    write_round(warehouse, prompts)
    report = chosen(warehouse, "reference_correct")
    assert report.num_used == 1 + 10
    assert reasons(warehouse) == {"wrong_answer": 3, "over_prompt_cap": 2, "no_answer": 1}


def test_vote_pairs_follow_scpo(warehouse: Warehouse) -> None:
    middle = wrong("m", "n", answer="3")
    prompts = [
        [*right(*"abcde"), *middle, *wrong("x")],
        [*right("a", "b"), *wrong("x", "y")],
        right("a", "b"),
        [*right("a", "b", "c"), *wrong("x", "y", answer="4"), *wrong("u", "v", answer="5")],
    ]
    write_round(warehouse, prompts)
    chosen(warehouse, "vote_pairs")
    (pair,) = read(warehouse, "pairs")
    assert pair["rejected"] == [{"role": "assistant", "content": "x"}]
    assert pair["chosen"][0]["content"] in "abcde"
    assert pair["weight"] == pair["margin"] == (5 - 1) / 8
    assert reasons(warehouse) == {
        "over_prompt_cap": 4, "middle_answer": 2, "tie": 4, "no_counterpart": 2,
        "low_vote_share": 7,
    }  # fmt: skip


def test_reference_pairs_cycle_both_lists(warehouse: Warehouse) -> None:
    prompts = [
        [*right("a", "b"), *wrong("x", "y", "z", "w")],
        right("a", "b"),
        [*right("same", "a"), *wrong("same", "x", "x")],
        [*right("a"), Drawn(None, "crash", verdict="runtime_error")],
    ]
    write_round(warehouse, prompts)
    chosen(warehouse, "reference_pairs", max_pairs=6)
    pairs = read(warehouse, "pairs")
    first = [p for p in pairs if p["prompt_id"] == content_id("prompt", 0)]
    assert len(first) == 6
    assert set(Counter(str(p["chosen_sample_id"]) for p in first).values()) == {3}
    assert set(Counter(str(p["rejected_sample_id"]) for p in first).values()) <= {1, 2}
    assert reasons(warehouse) == {
        "no_counterpart": 3, "contradictory_text": 2, "duplicate_text": 1,
        "execution_runtime_error": 1,
    }  # fmt: skip
    chosen(warehouse, "reference_pairs", unparsed_is_wrong=True)
    crashes = [p for p in read(warehouse, "pairs") if p["rejected"][0]["content"] == "crash"]
    assert len(crashes) == 1


@pytest.mark.parametrize("cap", [1, 5, 100])
def test_no_pair_comes_twice(warehouse: Warehouse, cap: int) -> None:
    sizes = [(num_right, num_wrong) for num_right in range(1, 7) for num_wrong in range(1, 7)]
    write_round(
        warehouse,
        [
            right(*(f"r{i}" for i in range(num_right)))
            + wrong(*(f"w{i}" for i in range(num_wrong)))
            for num_right, num_wrong in sizes
        ],
    )
    chosen(warehouse, "reference_pairs", max_pairs=cap)
    pairs = read(warehouse, "pairs")
    assert len({(p["chosen_sample_id"], p["rejected_sample_id"]) for p in pairs}) == len(pairs)
    per_prompt = Counter(p["prompt_id"] for p in pairs)
    for place, (num_right, num_wrong) in enumerate(sizes):
        assert per_prompt[content_id("prompt", place)] == min(cap, num_right * num_wrong)


DRAWN = st.builds(
    Drawn,
    answer=st.sampled_from(["1", "2", "3", None]),
    text=st.sampled_from(["a", "b", "c", " a", "d"]),
    is_right=st.booleans(),
    verdict=st.sampled_from(["accepted", "accepted", "signal", "sandbox_fault"]),
    purpose=st.sampled_from(["train", "train", "imported", "evaluate"]),
    scores=st.lists(st.sampled_from([0.0, 1.0, 2.5]), max_size=2).map(tuple),
    num_tokens=st.integers(1, 50),
    policy=st.sampled_from(["m", "labelled", "other"]),
)


@settings(max_examples=6, deadline=None)
@given(
    prompts=st.lists(st.lists(DRAWN, max_size=7), min_size=1, max_size=4),
    names=st.lists(st.sampled_from(SELECTIONS), min_size=1, max_size=3, unique=True),
    seed=st.integers(0, 3),
)
def test_every_sample_is_used_or_rejected_once(
    warehouse: Warehouse,
    prompts: list[list[Drawn]],
    names: list[str],
    seed: int,
) -> None:
    write_round(warehouse, prompts)
    selections = [Selection(name) for name in names]
    report = select(warehouse, selections, run=RUN, round=1, seed=seed, allow_references=True)
    examples, pairs = read(warehouse, "examples"), read(warehouse, "pairs")
    rows = [*examples, *pairs, *read(warehouse, "labels")]
    rejected = [row["row_id"] for row in read(warehouse, "rejections")]
    used = {s for row in rows for s in row["sample_ids"]}
    trainable = {
        content_id("sample", p, i)
        for p, drawn in enumerate(prompts)
        for i, one in enumerate(drawn)
        if one.purpose != "evaluate"
    }
    assert len(rejected) == len(set(rejected))
    assert used.isdisjoint(rejected)
    assert used | set(rejected) == trainable
    assert report.num_candidates == len(trainable)
    assert (report.num_used, report.num_rejected) == (len(used), len(rejected))
    for pair in pairs:
        assert pair["chosen_sample_id"] != pair["rejected_sample_id"]
        assert (
            str(pair["chosen"][0]["content"]).strip() != str(pair["rejected"][0]["content"]).strip()
        )
    assert len({row["id"] for row in rows}) == len(rows)
    for row in read(warehouse, "rejections"):
        detail = json.loads(str(row["detail"]))
        assert list(detail) == names
        assert detail[row["filter"]] == row["reason"]


@settings(max_examples=5, deadline=None)
@given(drawn=st.lists(DRAWN, min_size=2, max_size=8), name=st.sampled_from(SELECTIONS))
def test_the_same_work_twice_gives_the_same_rows(
    warehouse: Warehouse, drawn: list[Drawn], name: str
) -> None:
    write_round(warehouse, [drawn])
    first: list[list[Row]] = []
    second: list[list[Row]] = []
    for found in (first, second):
        chosen(warehouse, name)
        for table in ("examples", "pairs", "rejections"):
            found.append(read(warehouse, table))
    assert first == second


def test_the_seed_decides_who_is_picked(warehouse: Warehouse) -> None:
    write_round(warehouse, [right(*(f"t{i}" for i in range(12)))])
    picks = set()
    for seed in range(6):
        select(
            warehouse, [Selection("confident_majority", {"max_per_prompt": 3})],
            run=RUN, round=1, seed=seed,
        )  # fmt: skip
        picks.add(frozenset(str(row["sample_ids"]) for row in read(warehouse, "examples")))
    assert len(picks) > 1


def test_references_are_invisible_without_labels(warehouse: Warehouse, tmp_path: Path) -> None:
    write_round(warehouse, [[*right("a", "b"), *wrong("x")]])
    for name in ("reference_correct", "reference_pairs"):
        with pytest.raises(ReferencesNotAllowedError, match="does not declare labels"):
            select(warehouse, [Selection(name)], run=RUN, round=1)
    sneaky = tmp_path / "sneaky.sql"
    text = (
        (FOLDER / "reference_correct.sql").read_text().replace("References: yes", "References: no")
    )
    reads = (
        "(SELECT c.* REPLACE (s.value AS reference) FROM candidates c JOIN scores s USING "
        "(sample_id) WHERE s.run = getvariable('run') AND s.\"check\" = 'reference')"
    )
    sneaky.write_text(text.replace("FROM candidates;", f"FROM {reads};"))
    report = select(warehouse, [Selection(str(sneaky))], run=RUN, round=1, allow_references=True)
    assert report.num_used == 2
    with pytest.raises(DataFormatError, match="decided 0 times about 0 of 3"):
        select(warehouse, [Selection(str(sneaky))], run=RUN, round=1)


BAD = [
    ("no_such", {}, UnknownNameError, "there are confident_majority"),
    (
        "vote_pairs",
        {"tau": 0.5},
        UnknownNameError,
        "the parameters are min_share, max_pairs, weighted",
    ),
    ("vote_pairs", {"min_share": 1.5}, OptionError, r"expected DOUBLE in \[0, 1\]"),
    ("vote_pairs", {"max_pairs": 0}, OptionError, r"expected INTEGER in \[1, inf\]"),
    ("vote_pairs", {"max_pairs": "2"}, OptionError, "expected INTEGER"),
    ("reference_pairs", {"unparsed_is_wrong": 1}, OptionError, "expected BOOLEAN"),
    ("vote_pairs", {"run": "x"}, OptionError, "can't be parameters"),
    ("missing.sql", {}, SourceError, "can't be read"),
]


@pytest.mark.parametrize(("name", "parameters", "error", "message"), BAD)
def test_bad_selections_stop_before_work_begins(
    name: str, parameters: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        check_selections([Selection(name, parameters)], allow_references=True)


def test_a_second_selection_needs_a_round_of_its_own(warehouse: Warehouse) -> None:
    write_round(warehouse, [[*right("a", "b"), *wrong("x")]])
    chosen(warehouse, "confident_majority")
    with pytest.raises(OptionError, match="already has the selection confident_majority"):
        chosen(warehouse, "reference_pairs")


def test_a_sample_without_its_prompt_is_an_error(warehouse: Warehouse) -> None:
    write_round(warehouse, [right("a", "b")])
    warehouse.write("prompts", [], run=RUN, round=1, part="all")
    with pytest.raises(DataFormatError, match="2 samples have a prompt that is not"):
        chosen(warehouse, "confident_majority")


def test_two_scores_of_one_check_are_an_error(warehouse: Warehouse) -> None:
    write_round(warehouse, [right("a", "b")])
    again = [row | {"id": f"{row['id']}-2"} for row in read(warehouse, "scores")]
    warehouse.write("scores", again, run=RUN, round=1, part="again")
    with pytest.raises(DataFormatError, match="more than one score"):
        chosen(warehouse, "confident_majority")


# Their own tests have what these read: a judge's words, longer versions, rollouts, times; the last
# one selects nothing.
OTHER_ROUNDS = ("soft_pairs", "lengthened", "step_pairs", "efficiency_pairs", "only_judged")


@pytest.mark.parametrize("name", [name for name in SELECTIONS if name not in OTHER_ROUNDS])
def test_the_files_run_by_hand(warehouse: Warehouse, name: str) -> None:
    samples = [*right("a", "b"), *wrong("x")]
    scored = [
        one._replace(scores=(1.0 - n / 2,), policy="m" if n else "labelled")
        for n, one in enumerate(samples)
    ]
    write_round(warehouse, [scored])
    report = chosen(warehouse, name)
    (plan,) = plan_selections([Selection(name)], allow_references=True)
    with warehouse.connect() as connection:
        for file in ("candidates", name, *(step.name for step in plan.steps)):
            text = (FOLDER / f"{file}.sql").read_text().replace("run = 'demo'", f"run = '{RUN}'")
            connection.execute(text.replace("use_references = FALSE", "use_references = TRUE"))
        found = connection.execute("SELECT count(*) FROM selected").fetchall()[0][0]
    assert found == report.selections[0].num_rows > 0
