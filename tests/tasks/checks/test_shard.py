"""A shard is checked once: executions and scores under the part's name, scores last."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import Sandbox, SandboxUnavailableError, open_sandbox
from storage import Warehouse, content_id
from tasks.checks.shard import check_shard
from tasks.environments import load_environment

WORDS, COPY = load_environment("word_problems"), load_environment("copy")
TEXTS = ["print(4)", "print(5)", "print(", "print('four')"]
REFERENCES: dict[str, str | None] = {"p0": "4", "p1": "4", "p2": "4", "p3": None}

PART = "sample-0000"
SCORES = f"pending/scores/run=r/round=1/{PART}.parquet"

Check = Callable[..., int]


@pytest.fixture
def house(tmp_path: Path) -> Warehouse:
    w = Warehouse.open(tmp_path / "w")
    rows = [
        {
            "id": content_id("sample", text),
            "prompt_id": f"p{i}",
            "parent_ids": [],
            "role": "program",
            "purpose": "train",
            "turn": 0,
            "index": 0,
            "policy_id": "m",
            "weight_hash": "h",
            "engine": "transformers",
            "sampling": {},
            "seed": i,
            "text": text,
            "num_tokens": 3,
            "finish_reason": "stop",
            "status": "ok",
        }
        for i, text in enumerate(TEXTS)
    ]
    w.write("samples", rows, run="r", round=1, part=PART)
    return w


@pytest.fixture(scope="module")
def box() -> Sandbox:
    try:
        return open_sandbox("auto", workers=1)
    except SandboxUnavailableError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))


def check(w: Warehouse, box: Sandbox | None) -> int:
    environment = WORDS if box else COPY
    place = {"run": "r", "round": 1, "part": PART}
    return check_shard(w, environment, box, REFERENCES, **place)  # type: ignore[arg-type]


def marks(w: Warehouse, name: str) -> dict[str, object]:
    """Label (of answers) or value (of references) by the sample's text."""
    texts = dict(zip(w.read("samples").column("id").to_pylist(), TEXTS, strict=True))
    rows = [row for row in w.read("scores", part=PART).to_pylist() if row["check"] == name]
    column = "label" if name == "answer" else "value"
    return {texts[row["sample_id"]]: row[column] for row in rows}


@pytest.mark.sandbox
def test_programs_are_run_parsed_and_compared(house: Warehouse, box: Sandbox) -> None:
    with box:
        assert check(house, box) == len(TEXTS)
        verdicts = house.read("executions", part=PART).column("verdict").to_pylist()
        assert verdicts == ["accepted", "accepted", "compile_error", "accepted"]
        assert list(marks(house, "answer").values()) == ["4", "5", None, None]
        # No reference, no score: a program of p3 is neither right nor wrong.
        assert marks(house, "reference") == {TEXTS[0]: 1.0, TEXTS[1]: 0.0, TEXTS[2]: 0.0}
        # A kill between the two writes leaves executions without scores: both are made again.
        before = house.read("scores", part=PART)
        (house.root / SCORES).unlink()
        check(house, box)
        assert house.read("scores", part=PART) == before
        assert house.read("executions", part=PART).num_rows == len(TEXTS)


def test_texts_need_no_sandbox(house: Warehouse) -> None:
    assert check(house, None) == len(TEXTS)
    assert house.read("executions", part=PART).num_rows == 0
    assert marks(house, "answer") == {text: text for text in TEXTS}
    assert marks(house, "reference") == dict.fromkeys(TEXTS[:3], 0.0)


def test_a_checked_shard_is_not_checked_again(house: Warehouse) -> None:
    check(house, None)
    path = house.root / SCORES
    stamp = path.stat().st_mtime_ns
    assert check(house, None) == len(TEXTS)
    assert path.stat().st_mtime_ns == stamp
