"""Held-out problems that were trained on are found and named, refused where the settings say so."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import Warehouse
from storage.schemas import TABLES
from tasks.evaluation.contamination import (
    Contamination,
    contamination_checks,
    find_contamination,
)
from tasks.evaluation.gate_spec import GateSpec

Messages = list[dict[str, str]]
WORDS = "a b c d e f g h i j k l m n o p"


def user(text: str) -> Messages:
    return [{"role": "user", "content": text}]


@pytest.fixture
def house(tmp_path: Path) -> Warehouse:
    w = Warehouse.open(tmp_path / "w")
    texts = {"whole": "Add 1 and 2!", "shared": f"Spell {WORDS}", "clean": "Add 3 and 4"}
    rows: list[dict[str, object]] = [
        {
            "id": name,
            "environment": "copy",
            "messages": user(text),
            "source": "seed",
            "parent_ids": [],
            "split": "heldout",
            "metadata": {},
        }
        for name, text in texts.items()
    ]
    w.write("prompts", rows, run="r", round=0, part="heldout")
    other = [rows[2] | {"id": "of-another-run", "messages": user("Add 5 and 6")}]
    w.write("prompts", other, run="s", round=0, part="heldout")
    return w


def frozen(folder: Path, table: str, *rows: dict[str, Messages]) -> Path:
    schema = TABLES[table]
    names = [
        name for name in ("prompt", "completion", "chosen", "rejected") if name in schema.names
    ]
    path = folder / f"{table}.parquet"
    kept = pa.schema([schema.field(name) for name in names])
    pq.write_table(pa.Table.from_pylist(list(rows), schema=kept), path)
    return path


def test_whole_problems_and_runs_of_words_are_told_apart(house: Warehouse, tmp_path: Path) -> None:
    rows = [
        {"prompt": user("add 1 AND 2"), "completion": user("3")},
        {"prompt": user("Add 5 and 6"), "completion": user("11")},
        {"prompt": user("New"), "completion": user(f"It begins {WORDS} and ends")},
    ]
    path = frozen(tmp_path, "examples", *rows)
    found = find_contamination(house, "r", path, 13)
    assert found == Contamination(("whole",), ("shared",))
    assert find_contamination(house, "r", path, 20) == Contamination(("whole",), ())


def test_both_sides_of_a_pair_are_looked_at(house: Warehouse, tmp_path: Path) -> None:
    pair = {"prompt": user("New"), "chosen": user("1"), "rejected": user(WORDS)}
    found = find_contamination(house, "r", frozen(tmp_path, "pairs", pair), 13)
    assert found == Contamination((), ("shared",))


@pytest.mark.parametrize(
    ("setting", "passed"),
    [("refuse", [False, False]), ("refuse_exact", [False, True]), ("name", [True, True])],
)
def test_settings_decide_what_is_refused(setting: str, passed: list[bool]) -> None:
    spec = GateSpec.model_validate({"contamination": setting})
    checks = contamination_checks(Contamination(("a", "b"), ("a", "c")), spec)
    assert [ok for ok, _ in checks] == passed
    assert "2 held-out problems are prompts of training rows (a, b)" in checks[0][1]
    assert "1 held-out problems share 13 words in a row with training rows (c)" in checks[1][1]
    assert contamination_checks(Contamination((), ()), spec) == []
