"""Views and macros for people: what they count is counted here by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from storage import Warehouse

MakeRow = Callable[..., dict[str, Any]]
Write = Callable[..., None]


def ask(warehouse: Warehouse, query: str) -> list[dict[str, Any]]:
    with warehouse.connect() as connection:
        return list(connection.sql(query).to_arrow_table().to_pylist())


@pytest.fixture
def write(warehouse: Warehouse, make_row: MakeRow) -> Write:
    """Writes rows of a round, each call as a part of its own."""

    def rows(table: str, round: int, *given: dict[str, Any], run: str = "r") -> None:
        made = [make_row(table, **row) for row in given]
        part = f"p{len(warehouse.parts(table))}"
        warehouse.write(table, made, run=run, round=round, part=part)

    return rows


@pytest.fixture
def answered(write: Write) -> Write:
    """Writes samples of one prompt with their answer and whether it is right."""

    def rows(
        prompt: str, round: int, *given: tuple[str | None, float | None], purpose: str = "train"
    ) -> None:
        samples: list[dict[str, Any]] = []
        scores: list[dict[str, Any]] = []
        for index, (answer, value) in enumerate(given):
            sample = f"{prompt}-{round}-{purpose}-{index}"
            samples.append({"id": sample, "prompt_id": prompt, "purpose": purpose})
            score: dict[str, Any] = {"sample_id": sample, "version": "1"}
            scores.append(score | {"id": f"a-{sample}", "check": "answer", "label": answer})
            if value is not None:
                reference = {"id": f"r-{sample}", "check": "reference", "value": value}
                scores.append(score | reference)
        write("samples", round, *samples)
        write("scores", round, *scores)

    return rows


def test_answers_are_those_of_the_newest_version_and_outages_are_none(
    warehouse: Warehouse, write: Write, answered: Write
) -> None:
    answered("q", 1, ("3", 1.0), (None, 0.0))
    newer = {"sample_id": "q-1-train-0", "version": "2"}
    write("scores", 1, newer | {"id": "newer", "check": "answer", "label": None})
    write("samples", 1, {"id": "broken", "prompt_id": "q", "purpose": "train"})
    outage = {"sample_id": "broken", "version": "1", "status": "error", "error": "no sandbox"}
    write("scores", 1, outage | {"id": "o", "check": "reference", "value": 0.0})
    found = ask(warehouse, "SELECT sample_id, answer, is_right FROM answers ORDER BY 1")
    assert [tuple(row.values()) for row in found] == [
        ("broken", None, None),
        ("q-1-train-0", None, True),
        ("q-1-train-1", None, False),
    ]


def test_votes_that_contradict_the_reference(
    warehouse: Warehouse, write: Write, answered: Write
) -> None:
    write("prompts", 0, {"id": "wrong", "reference": "4"}, {"id": "tied", "reference": "2"})
    answered("wrong", 1, ("5", 0.0), ("5", 0.0), ("4", 1.0), (None, 0.0))
    answered("right", 1, ("half", 1.0), ("half", 1.0), ("0", 0.0))
    answered("unknown", 1, ("7", None), ("8", None))
    answered("tied", 1, ("1", 0.0), ("2", 1.0))
    answered("evaluated", 1, ("9", 0.0), purpose="evaluate")

    def vote(prompt: str, answer: str, count: int, rank: int, of: int) -> dict[str, Any]:
        return {
            "id": f"v-{prompt}-{answer}", "prompt_id": prompt, "answer": answer, "count": count,
            "weight": float(count), "share": count / of, "rank": rank, "num_samples": of,
        }  # fmt: skip

    write(
        "votes", 1, vote("wrong", "5", 2, 1, 4), vote("wrong", "4", 1, 2, 4),
        vote("right", "half", 2, 1, 3), vote("right", "0", 1, 2, 3),
        vote("unknown", "7", 1, 1, 2), vote("unknown", "8", 1, 2, 2),
        vote("tied", "1", 1, 1, 2), vote("tied", "2", 1, 2, 2),
        vote("evaluated", "9", 1, 1, 1),
    )  # fmt: skip
    found = {row["prompt_id"]: row for row in ask(warehouse, "FROM disagreements")}
    assert set(found) == {"wrong", "tied"}
    assert found["wrong"] == {
        "run": "r", "round": 1, "prompt_id": "wrong", "problem": "1 + 1?", "reference": "4",
        "voted": "5", "voted_count": 2, "voted_share": 0.5, "is_tied": False, "right_count": 1,
        "right_rank": 2, "num_samples": 4,
    }  # fmt: skip
    assert found["tied"]["is_tied"]


def test_the_worst_prompts_come_first(warehouse: Warehouse, write: Write, answered: Write) -> None:
    for id in ("half", "bad", "free", "never"):
        write("prompts", 1, {"id": id, "split": "train"})
    write("prompts", 1, {"id": "held", "split": "heldout"})
    answered("half", 1, ("1", 1.0), ("2", 0.0))
    answered("bad", 1, ("3", 0.0), (None, 0.0))
    answered("bad", 2, ("4", 0.0), ("3", 1.0))
    answered("free", 1, ("5", None))
    answered("held", 1, ("6", 0.0), purpose="evaluate")
    found = ask(warehouse, "FROM worst_prompts")
    names = ("prompt_id", "rounds", "last_round", "samples", "answered", "answers", "pass_rate")
    assert [tuple(row[name] for name in names) for row in found] == [
        ("bad", 2, 2, 4, 3, 2, 0.25),
        ("half", 1, 1, 2, 2, 2, 0.5),
        ("free", 1, 1, 1, 1, 1, None),
        ("never", 0, None, 0, 0, 0, None),
    ]


def test_flaky_programs_are_flagged_or_differ(warehouse: Warehouse, write: Write) -> None:
    def program(id: str, text: str, prompt: str = "q", **execution: Any) -> None:
        write("samples", 1, {"id": id, "prompt_id": prompt, "text": text})
        write(
            "executions", 1, {"id": f"x-{id}", "sample_id": id, "verdict": "accepted"} | execution
        )

    program("a", "steady", stdout="1")
    program("b", "steady", stdout="1")
    program("c", "random", stdout="1")
    program("d", "random", stdout="2")
    program("e", "slow", verdict="wall_timeout", stdout="")
    program("f", "slow", verdict="accepted", stdout="")
    program("g", "seen", flags=["near_limit", "nondeterministic"])
    program("h", "ours", verdict="sandbox_fault")
    program("i", "ours", verdict="accepted")
    program("j", "elsewhere", stdout="1")
    program("k", "elsewhere", "another", stdout="2")
    found = {row["text"]: row for row in ask(warehouse, "FROM flaky")}
    assert set(found) == {"random", "slow", "seen"}
    assert found["random"]["sample_ids"] == ["c", "d"]
    assert (found["random"]["outputs"], found["random"]["verdicts"]) == (2, ["accepted"])
    assert found["slow"]["verdicts"] == ["accepted", "wall_timeout"]
    assert (found["seen"]["flagged"], found["seen"]["rounds"]) == (1, ["r/1"])


def test_prompts_migrate_between_bands_of_pass_rates(warehouse: Warehouse, answered: Write) -> None:
    answered("up", 1, ("1", 0.0), ("1", 0.0), purpose="evaluate")
    answered("up", 2, ("1", 1.0), ("1", 1.0), purpose="evaluate")
    answered("flat", 1, ("1", 1.0), ("2", 0.0), purpose="evaluate")
    answered("flat", 2, ("1", 1.0), ("2", 0.0), purpose="evaluate")
    for prompt in ("old-1", "old-2"):
        answered(prompt, 1, ("1", 1.0), ("1", 1.0), ("1", 1.0), (None, 0.0))
    answered("new", 2, *[("1", 1.0)] * 4, ("2", 0.0))
    answered("free", 2, ("1", None))
    answered("other", 3, ("1", 1.0))
    found = ask(warehouse, "FROM pass_rate_migration('r', 1, 2)")
    assert [tuple(row.values()) for row in found] == [
        ("evaluate", "0", "1", 1, 1.0),
        ("evaluate", "up to 1/2", "up to 1/2", 1, 0.0),
        ("train", "up to 3/4", "not asked", 2, None),
        ("train", "not asked", "below 1", 1, None),
    ]
    assert ask(warehouse, "FROM pass_rate_migration('none', 1, 2)") == []


def test_what_entered_left_and_changed_between_rounds(
    warehouse: Warehouse, write: Write, answered: Write
) -> None:
    def example(prompt: str, round: int, index: int, **fields: Any) -> None:
        sample = f"{prompt}-{round}-train-{index}"
        completion = [{"role": "assistant", "content": f"text {index}"}]
        row = {"id": f"e-{sample}", "prompt_id": prompt, "sample_ids": [sample]}
        write("examples", round, row | {"completion": completion} | fields)

    write("prompts", 1, {"id": "changed", "reference": "2"})
    answered("changed", 1, ("1", 0.0))
    answered("changed", 2, ("2", 1.0), ("2", 1.0))
    answered("same", 1, ("7", 1.0))
    answered("same", 2, ("7", 1.0), ("7", 1.0))
    answered("left", 1, ("8", 1.0))
    answered("unknown", 1, (None, None))
    for prompt, round, index in [
        ("changed", 1, 0), ("changed", 2, 0), ("changed", 2, 1), ("same", 1, 0), ("same", 2, 1),
        ("left", 1, 0), ("unknown", 1, 0),
    ]:  # fmt: skip
        example(prompt, round, index)
    example("seed", 2, 0, sample_ids=[])
    pair = {"prompt_id": "left", "chosen_sample_id": "left-1-train-0"}
    write("pairs", 2, pair | {"id": "p", "chosen": [{"role": "assistant", "content": "text"}]})
    bad = {"id": "l", "prompt_id": "changed", "sample_ids": ["changed-1-train-0"], "label": False}
    write("labels", 1, bad)
    found = ask(warehouse, "FROM round_diff('r', 1, 2)")
    names = ("change", "table_name", "prompt_id", "labels_before", "labels_after")
    assert [tuple(row[name] for name in names) for row in found] == [
        ("changed label", "examples", "changed", ["1"], ["2"]),
        ("entered", "examples", "seed", [], ["text 0"]),
        ("entered", "pairs", "left", [], ["text"]),
        ("left", "examples", "left", ["8"], []),
        ("left", "examples", "unknown", ["text 0"], []),
        ("left", "labels", "changed", ["not 1"], []),
    ]
    assert (found[0]["problem"], found[0]["reference"]) == ("1 + 1?", "2")
    assert (found[0]["rows_before"], found[0]["rows_after"]) == (1, 2)
    back = ask(warehouse, "FROM round_diff('r', 2, 1)")
    assert sorted(row["change"] for row in back) == sorted(
        {"entered": "left", "left": "entered"}.get(row["change"], row["change"]) for row in found
    )
    assert ask(warehouse, "FROM round_diff('r', 1, 1)") == []
