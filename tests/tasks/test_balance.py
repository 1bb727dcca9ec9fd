"""B-STaR's search against its rule written down a second time, with lists and loops."""

import json
import math
import random
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from pydantic import ValidationError

from storage import Warehouse, content_id
from tasks.balance import BalanceSpec, balance_scores, search_balance, write_balanced
from tests.tasks.selection.rounds import RUN, Drawn, write_round

Trial = tuple[str, bool | None, float]  # text, whether right (None: no answer), least log-prob
Trials = dict[float, list[list[Trial]]]
PLACE = {"run": RUN, "round": 1}


def write(house: Warehouse, trials: Trials) -> None:
    """Trials at several temperatures as samples of role `trial`, with their scores."""
    write_round(house, [])
    for temperature, problems in trials.items():
        rows = [
            [Drawn(None if right is None else "1", text, right is True) for text, right, _ in own]
            for own in problems
        ]
        other = Warehouse.open(house.root / f"t{temperature}")
        write_round(other, rows)
        part = f"trial-{temperature}".replace(".", "_")
        samples = other.read("samples", **PLACE).to_pylist()  # type: ignore[arg-type]
        ids = {row["id"]: content_id("trial", temperature, row["id"]) for row in samples}
        logprobs = {
            content_id("sample", p, i): one[2]
            for p, own in enumerate(problems)
            for i, one in enumerate(own)
        }
        sampling = json.dumps({"temperature": temperature})
        own = [
            row
            | {"id": ids[row["id"]], "role": "trial", "sampling": sampling}
            | {"min_logprob": logprobs[row["id"]]}
            for row in samples
        ]
        scores = [
            row
            | {"id": content_id("s", temperature, row["id"]), "sample_id": ids[row["sample_id"]]}
            for row in other.read("scores", **PLACE).to_pylist()  # type: ignore[arg-type]
        ]
        house.write("samples", own, part=part, **PLACE)  # type: ignore[arg-type]
        house.write("scores", scores, part=part, **PLACE)  # type: ignore[arg-type]


def kept_of(own: list[Trial], threshold: float, most: int, given: int) -> list[bool]:
    """Whether each kept answer of a problem is right, best first."""
    scores = {
        text: (float(right) + (2 * math.exp(logprob) - 1) / 5, right)
        for text, right, logprob in own
        if right is not None
    }
    listed = [*scores.values(), *[(1.0, True)] * given]
    above = sorted((one for one in listed if one[0] > threshold + 1e-9), key=lambda one: -one[0])
    return [right for _, right in above][:most]


def oracle(trials: Trials, spec: BalanceSpec, given: int) -> dict[tuple[float, float], float]:
    found = {}
    for temperature, problems in trials.items():
        for threshold in (round(0.1 * step - 1, 9) for step in range(21)):
            for most in range(1, 12):
                kept = [kept_of(own, threshold, most, given) for own in problems]
                if sum(map(len, kept)) >= spec.rows_per_problem * len(problems):
                    break
            scores = [min(sum(k) / spec.enough, 1) * sum(k) / len(k) if k else 0.0 for k in kept]
            found[temperature, threshold] = fmean(scores)
    return found


def test_the_search_finds_the_highest_balance(tmp_path: Path) -> None:
    draw = random.Random(0)
    trials: Trials = {
        temperature: [
            [
                # A text is right or not, and as likely, wherever it comes up again.
                (f"{p} {k} {temperature}", k % 4 > 1 if k else None, -0.3 * (k % 5) - 0.01 * p)
                for k in (draw.randrange(8) for _ in range(9))
            ]
            for p in range(6)
        ]
        for temperature in (0.5, 0.9)
    }
    spec = BalanceSpec(threshold_step=0.1, rows_per_problem=2.5, enough=4)
    house = Warehouse.open(tmp_path / "w")
    write(house, trials)
    write_balanced(house, spec, run=RUN, round=1, role="trial")
    for given in (0, 1):
        found = search_balance(house, spec, run=RUN, round=1, role="trial", num_given=given)
        expected = oracle(trials, spec, given)
        best = max(expected.values())
        assert found.chosen.balance == pytest.approx(best, abs=1e-6)
        chosen = found.chosen.temperature, found.chosen.threshold
        assert expected[chosen] == pytest.approx(best, abs=1e-6)
        assert [one.temperature for one in found.candidates] == [0.5, 0.9]
        for one in [*found.candidates, *found.thresholds]:
            same = expected[one.temperature, one.threshold]
            assert one.balance == pytest.approx(same, abs=1e-6)
            assert 1 <= one.per_problem <= 9 + given
        assert {one.temperature for one in found.thresholds} == {found.chosen.temperature}
        assert len(found.thresholds) > 1 and found.to_dict()["chosen"]["balance"] > 0


def test_the_balance_score_is_the_papers() -> None:
    right, kept = np.array([8, 8, 4, 0, 0]), np.array([8, 16, 4, 5, 0])
    assert balance_scores(right, kept, 8).tolist() == [1.0, 0.5, 0.5, 0.0, 0.0]


def test_the_thresholds_are_those_of_the_code() -> None:
    thresholds = BalanceSpec().thresholds()
    assert len(thresholds) == 201 and thresholds[0] == -1 and thresholds[-1] == 1
    assert 0.29 in thresholds and BalanceSpec().temperatures[-1] == 1.2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temperatures": [0.0]}, r"temperatures: 0\.0 is not above 0"),
        ({"min_threshold": 2.0}, "min_threshold=2.0 is above max_threshold=1.0"),
    ],
)
def test_what_cannot_be_searched_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        BalanceSpec.model_validate(values)
