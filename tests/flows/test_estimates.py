"""A round's estimate: from its first problems, which count, and next to what the round took."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.estimates import show_comparison
from storage import Warehouse, diff_tables
from tests.flows.conftest import RunTiny, TinyLoop

pytestmark = [pytest.mark.prefect, pytest.mark.sandbox, pytest.mark.slow]


@pytest.fixture(scope="module")
def probed(promoted: TinyLoop, run_tiny: RunTiny) -> Iterator[TinyLoop]:
    """A round of 160 samples of which the first 16 are the probe; only for reading."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.estimate.MIN_PROBE_SAMPLES", 16)
        yield run_tiny("rest_em")


def estimate_of(house: Warehouse, number: int) -> dict[str, Any] | None:
    (row,) = house.read("rounds", run="tiny", round=number).to_pylist()
    return None if row["estimate"] is None else dict(json.loads(row["estimate"]))


def test_an_estimate_stands_next_to_what_the_round_took(probed: TinyLoop) -> None:
    found = estimate_of(probed.house, 1)
    assert found is not None
    probe, expected, actual = found["probe"], found["expected"], found["actual"]
    first = probed.house.read("samples", run="tiny", round=1, part="sample-0000").to_pylist()
    assert probe["num_samples"] == len(first) == 16
    assert probe["num_tokens"] == sum(row["num_tokens"] for row in first)
    assert min(probe["startup_s"], probe["sample_s"], probe["check_s"], probe["num_bytes"]) > 0
    rows = probed.house.read("samples", run="tiny", round=1).to_pylist()
    tokens = {
        purpose: sum(row["num_tokens"] for row in rows if row["purpose"] == purpose)
        for purpose in ("train", "evaluate")
    }
    assert actual["tokens"] == tokens
    # 160 samples; 60 held-out problems, greedily and twice by samples.
    assert expected["tokens"]["train"] == round(probe["num_tokens"] / 16 * 160)
    assert expected["tokens"]["evaluate"] == round(probe["num_tokens"] / 16 * 180)
    assert expected["tokens"]["train"] == pytest.approx(tokens["train"], rel=0.5)
    assert expected["seconds"].keys() == {"sample and check", "evaluate"}
    assert actual["seconds"].keys() > expected["seconds"].keys()
    assert expected["mib"]["model"] == pytest.approx(actual["mib"]["model"], rel=0.2)
    sizes = sum(
        part.path.stat().st_size
        for table in ("samples", "executions", "scores")
        for part in probed.house.parts(table, run="tiny", round=1)
    )
    assert actual["mib"]["tables"] == sizes / 2**20
    assert 0 < expected["mib"]["tables"] < 4 * actual["mib"]["tables"]


def test_the_probe_counts_and_changes_no_sample(probed: TinyLoop, promoted: TinyLoop) -> None:
    def samples(tiny: TinyLoop) -> dict[str, tuple[str, int]]:
        rows = tiny.house.read("samples", run="tiny", round=1).to_pylist()
        own = [row for row in rows if row["purpose"] == "train"]
        return {row["id"]: (row["text"], row["seed"]) for row in own}

    assert len(samples(probed)) == 160
    assert samples(probed) == samples(promoted)
    assert estimate_of(promoted.house, 1) is None  # too small to be probed
    assert estimate_of(probed.house, 0) is None


def test_a_continued_round_keeps_its_estimate_but_compares_no_seconds(
    probed: TinyLoop, tmp_path: Path
) -> None:
    house = probed.copy(tmp_path)
    shutil.rmtree(house / "tables" / "rounds" / "run=tiny" / "round=1")
    probed.again(house)
    before, after = estimate_of(probed.house, 1), estimate_of(Warehouse.open(house), 1)
    assert before is not None and after is not None
    assert (after["probe"], after["expected"]) == (before["probe"], before["expected"])
    assert after["actual"]["seconds"] == {}
    assert after["actual"]["tokens"] == before["actual"]["tokens"]
    assert diff_tables(probed.house, Warehouse.open(house)) == []


def test_no_estimate_no_comparison(promoted: TinyLoop) -> None:
    class Round:
        warehouse, run, number = promoted.house, "tiny", 1

    assert show_comparison(Round()) is None  # type: ignore[arg-type]
