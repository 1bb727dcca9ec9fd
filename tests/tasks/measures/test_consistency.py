"""CREAM's consistency against Kendall's tau as the number of swaps that sort one ranking."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import Warehouse, content_id
from tasks.measures import rank_consistency
from tests.tasks.measures.conftest import sample_row

# Few values, so that there are ties; None: the model could not score the answer.
REWARD = st.one_of(st.none(), st.sampled_from([-2.0, -1.0, 0.5, 3.0]))
PROMPTS = st.lists(
    st.lists(st.tuples(REWARD, REWARD), min_size=1, max_size=5), min_size=1, max_size=4
)
Pair = tuple[float | None, float | None]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)  # storage has tests of its own
        yield Warehouse.open(tmp_path_factory.mktemp("consistency") / "w")


def write(w: Warehouse, prompts: Sequence[Sequence[Pair]]) -> None:
    samples, scores = [], []
    for p, rewards in enumerate(prompts):
        for i, pair in enumerate(rewards):
            row = sample_row(f"p{p}", f"{p} {i}", "stop", index=i)
            samples.append(row)
            for check, value in zip(("reward", "previous_reward"), pair, strict=True):
                scores.append(
                    {
                        "id": content_id("score", str(row["id"]), check),
                        "sample_id": row["id"],
                        "check": check,
                        "version": "1",
                        "value": value,
                        "detail": {},
                        "status": "ok" if value is not None else "error",
                        "error": None if value is not None else "context_overflow: 999",
                    }
                )
    w.write("samples", samples, run="r", round=1, part="sample-0000")
    w.write("scores", scores, run="r", round=1, part="rewards")


def by_paper(rewards: Sequence[Pair]) -> float | None:
    """(tau + 1) / 2 of ordinal ranks; None where the authors skip the prompt.

    tau = 1 - 4 swaps / (n (n - 1)), with the swaps of neighbors that bubble sort needs.
    """
    num = len(rewards)
    if num < 2 or any(value is None for pair in rewards for value in pair):
        return None
    ranked = sorted(range(num), key=lambda i: (rewards[i][0], i))
    places = [(rewards[i][1], i) for i in ranked]
    swaps = 0
    for end in range(num, 1, -1):
        for k in range(end - 1):
            if places[k] > places[k + 1]:
                places[k], places[k + 1] = places[k + 1], places[k]
                swaps += 1
    return (1 - 4 * swaps / (num * (num - 1)) + 1) / 2


def values(w: Warehouse, name: str) -> dict[str, float | None]:
    rows = w.read("scores", run="r", round=1).to_pylist()
    return {row["sample_id"]: row["value"] for row in rows if row["check"] == name}


@settings(max_examples=8, deadline=None)
@given(PROMPTS)
def test_against_scipy(warehouse: Warehouse, prompts: Sequence[Sequence[Pair]]) -> None:
    write(warehouse, prompts)
    place = {"run": "r", "round": 1}
    found = rank_consistency(warehouse, "reward", "previous_reward", mode="dyn", **place)  # type: ignore[arg-type]
    expected = [by_paper(rewards) for rewards in prompts]
    known = [one for one in expected if one is not None]
    mean = fmean(known) if known else None
    assert found.mean == (None if mean is None else pytest.approx(mean))
    assert found.tau == (None if mean is None else pytest.approx(2 * mean - 1))
    assert (found.num_ranked, found.num_skipped) == (len(known), len(prompts) - len(known))
    # A skipped prompt takes the mean, and moves nobody else's value.
    by_sample = values(warehouse, "consistency")
    for p, rewards in enumerate(prompts):
        wanted = mean if expected[p] is None else expected[p]
        for i in range(len(rewards)):
            value = by_sample[str(sample_row(f"p{p}", f"{p} {i}", "stop")["id"])]
            assert value == (None if wanted is None else pytest.approx(wanted))
    again = rank_consistency(warehouse, "reward", "previous_reward", mode="avg", **place)  # type: ignore[arg-type]
    assert again == found
    flat = set(values(warehouse, "consistency").values())
    assert len(flat) == 1 and flat.pop() == (None if mean is None else pytest.approx(mean))


def test_the_skipped_row_of_the_authors_code(tmp_path: Path) -> None:
    """Their list has no place for a skipped prompt, so that all that follow it move up by one."""
    w = Warehouse.open(tmp_path / "w")
    opposite, alike = [(1.0, 2.0), (2.0, 1.0)], [(1.0, 1.0), (2.0, 2.0)]
    write(w, [opposite, [(1.0, None), (2.0, 2.0)], alike])
    rank_consistency(w, "reward", "previous_reward", run="r", round=1, mode="dyn")
    rows = w.read("scores", run="r", round=1).to_pylist()
    rows = [row for row in rows if row["check"] == "consistency"]
    prompts = {
        row["id"]: row["prompt_id"] for row in w.read("samples", run="r", round=1).to_pylist()
    }
    found = {prompts[row["sample_id"]]: row["value"] for row in rows}
    assert found == {"p0": 0.0, "p1": 0.5, "p2": 1.0}
    skipped = {prompts[row["sample_id"]] for row in rows if "failure" in json.loads(row["detail"])}
    assert skipped == {"p1"}
