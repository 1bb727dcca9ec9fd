"""DS weights and the filter by them, against IWSI's rule written down a second time."""

import json
from pathlib import Path

import numpy as np
import pytest

from storage import Warehouse, content_id
from tasks.checks.ds_weight import ds_weights
from tasks.selection import Selection, select
from tests.tasks.selection.rounds import RUN, Drawn, write_round

NUM_PROMPTS, NUM_SAMPLES = 8, 6
KEEP = [Selection("near_valid", {"keep_share": 0.8})]
ANY = {"min_share": 0.0, "min_votes": 1, "max_per_prompt": 99}
MAJORITY = [Selection("confident_majority", ANY)]


def write(house: Warehouse, losses: dict[tuple[int, int], float], valid: list[float]) -> None:
    """A round whose samples have these losses; the first problems have a solution each."""
    rng = np.random.default_rng(1)
    answers = rng.choice(["1", "2"], (NUM_PROMPTS, NUM_SAMPLES), p=[0.8, 0.2])
    answers[:, :2] = "1"
    prompts = [[Drawn(a, f"{p} {i}") for i, a in enumerate(row)] for p, row in enumerate(answers)]
    write_round(house, prompts)
    like: dict[str, object] = {"version": "1", "detail": "{}", "status": "ok", "label": None}
    rows = [
        {"sample_id": content_id("sample", p, i), "value": -loss, "check": "likelihood", **like}
        for (p, i), loss in losses.items()
    ]
    (one, *_) = house.read("samples", run=RUN, round=1).to_pylist()
    solutions = []
    for p, loss in enumerate(valid):
        own = {"id": content_id("solution", p), "prompt_id": content_id("prompt", p)}
        solutions.append(one | own | {"role": "solution", "policy_id": "labelled"})
        rows.append({"sample_id": own["id"], "value": -loss, "check": "likelihood", **like})
    house.write("samples", solutions, run=RUN, round=1, part="labelled")
    scored = [row | {"id": content_id("score", str(row["sample_id"]), "l")} for row in rows]
    house.write("scores", scored, run=RUN, round=1, part="likelihood")


def shift(loss: float, valid: float) -> tuple[float, float]:
    """Importance weight and DS weight as the paper's code has them."""
    weight = 0 if loss == 0 else min(2, max(0, valid / loss))
    return weight, weight if weight > 1 else min(1 / weight, 5) if weight else 5


def test_the_share_of_agreeing_answers_nearest_to_valid_solutions_is_kept(tmp_path: Path) -> None:
    house = Warehouse.open(tmp_path / "w")
    rng = np.random.default_rng(0)
    places = [(p, i) for p in range(NUM_PROMPTS) for i in range(NUM_SAMPLES)]
    losses = {
        place: float(loss) for place, loss in zip(places, rng.uniform(0.55, 4.5, 48), strict=True)
    }
    valid = [0.7, 1.3]
    write(house, losses, valid)
    assert ds_weights(house, run=RUN, round=1) == len(places)
    rows = house.read("scores", run=RUN, round=1, part="ds_weight-results-0000").to_pylist()
    found = {row["sample_id"]: row for row in rows}
    for place, loss in losses.items():
        weight, expected = shift(loss, sum(valid) / 2)
        row = found[content_id("sample", *place)]
        assert row["value"] == pytest.approx(expected)
        assert json.loads(row["detail"])["weight"] == pytest.approx(weight)

    report = select(house, MAJORITY, run=RUN, round=1, filters=KEEP)
    votes = house.read("votes", run=RUN, round=1).to_pylist()
    agree = []
    samples = house.read("scores", run=RUN, round=1, part="all").to_pylist()
    answers = {row["sample_id"]: row["label"] for row in samples if row["check"] == "answer"}
    for p, i in places:
        own = [v for v in votes if v["prompt_id"] == content_id("prompt", p)]
        best = max(own, key=lambda v: v["count"])
        tied = sum(v["count"] == best["count"] for v in own) > 1
        # The problems with a valid solution are set apart.
        if p >= 2 and not tied and answers[content_id("sample", p, i)] == best["answer"]:
            agree.append((shift(losses[p, i], 1.0)[1], content_id("sample", p, i)))
    agree.sort()
    threshold = agree[int(len(agree) * 0.8)][0]
    kept = {row["sample_ids"][0] for row in house.read("examples", run=RUN, round=1).to_pylist()}
    assert kept == {sample for value, sample in agree if value < threshold} != set()
    assert report.num_used == len(kept)


def test_equal_weights_are_kept_together_and_without_solutions_there_are_none(
    tmp_path: Path,
) -> None:
    house = Warehouse.open(tmp_path / "w")
    losses = {(p, i): 0.01 for p in range(NUM_PROMPTS) for i in range(NUM_SAMPLES)}
    write(house, losses, [0.7])
    ds_weights(house, run=RUN, round=1)  # all of them at the largest weight
    assert select(house, MAJORITY, run=RUN, round=1, filters=KEEP).num_used > 0
    write(house, losses, [])
    assert ds_weights(house, run=RUN, round=1) == 0
    assert select(house, MAJORITY, run=RUN, round=1, filters=KEEP).num_used == 0
