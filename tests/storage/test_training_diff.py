"""What two rounds, or two models, were trained on, prompt by prompt."""

from collections.abc import Callable
from typing import Any

import pytest

from storage import RoundRef, Snapshot, Warehouse, diff_training, find_snapshot
from storage.commit import publish_parquet

MakeRow = Callable[..., dict[str, Any]]


@pytest.fixture
def two_rounds(warehouse: Warehouse, make_row: MakeRow) -> Warehouse:
    """Returns two rounds whose examples agree on one prompt, and differ on four."""

    def example(prompt: str, round: int, text: str, weight: float = 1.0) -> dict[str, Any]:
        completion = [{"role": "assistant", "content": text}]
        sample = f"{prompt}-{round}"
        return make_row(
            "examples", f"e-{sample}", prompt_id=prompt, completion=completion,
            sample_ids=[sample], weight=weight,
        )  # fmt: skip

    rows = {
        1: [("same", "a"), ("gone", "a"), ("relabeled", "a"), ("reworded", "a"), ("heavier", "a")],
        2: [("same", "a"), ("new", "a"), ("relabeled", "b"), ("reworded", "c"), ("heavier", "a")],
    }
    answers = {"a": "1", "b": "2", "c": "1"}
    for round, given in rows.items():
        made = [example(p, round, t, 2.0 if (p, round) == ("heavier", 2) else 1) for p, t in given]
        warehouse.write("examples", made, run="r", round=round, part="p")
        samples = [make_row("samples", f"{p}-{round}", prompt_id=p) for p, _ in given]
        warehouse.write("samples", samples, run="r", round=round, part="p")
        scores = [
            make_row("scores", f"s-{p}-{round}", sample_id=f"{p}-{round}", check="answer",
                     label=answers[t])
            for p, t in given
        ]  # fmt: skip
        warehouse.write("scores", scores, run="r", round=round, part="p")
    return warehouse


def freeze(warehouse: Warehouse, round: int, name: str) -> Snapshot:
    path = warehouse.root / "snapshots" / f"{name}.parquet"
    publish_parquet(warehouse.root, path, warehouse.read("examples", round=round))
    return find_snapshot(warehouse, name)


@pytest.mark.parametrize("frozen", [False, True])
def test_prompts_enter_leave_and_change(frozen: bool, two_rounds: Warehouse) -> None:
    sides = [
        freeze(two_rounds, number, f"00000{number}") if frozen else RoundRef("r", number)
        for number in (1, 2)
    ]
    counts, changes = diff_training(two_rounds, *sides)
    assert {(own.prompt_id, own.change) for own in changes} == {
        ("gone", "left"),
        ("new", "entered"),
        ("relabeled", "changed label"),
        ("reworded", "other rows"),
        ("heavier", "other rows"),
    }
    assert {own.change: own.prompts for own in counts} == {
        "left": 1, "entered": 1, "changed label": 1, "other rows": 2, "same": 1,
    }  # fmt: skip
    assert sum(own.rows_before for own in counts) == 5
    (changed,) = [own for own in changes if own.prompt_id == "relabeled"]
    assert (changed.labels_before, changed.labels_after) == (["1"], ["2"])
    assert len(diff_training(two_rounds, *sides, limit=2).changes) == 2


def test_a_frozen_table_is_its_round(two_rounds: Warehouse) -> None:
    counts, changes = diff_training(two_rounds, freeze(two_rounds, 1, "abcdef"), RoundRef("r", 1))
    assert changes == []
    assert [own.change for own in counts] == ["same"]
