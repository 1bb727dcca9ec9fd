"""Win rates against a few lines of NumPy: votes, scores as PairRM's are read, and a pair judge."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import Warehouse, content_id
from tasks.judging import WinRateSpec, win_rates
from tasks.judging.win_rates import WIN_RATES
from tests.tasks.selection.rounds import RUN, Drawn, load_round, make_table, write_round

PROMPTS = st.lists(
    st.lists(
        st.builds(
            Drawn,
            answer=st.sampled_from(["1", "2", "3", None]),
            text=st.just("t"),
            verdict=st.sampled_from(["accepted", "accepted", "signal", "sandbox_fault"]),
            purpose=st.sampled_from(["train", "train", "imported", "evaluate"]),
            scores=st.lists(st.floats(-3, 3), max_size=3).map(tuple),
            is_right=st.just(False),
            num_tokens=st.just(1),
            policy=st.just("m"),
        ),
        max_size=6,
    ),
    min_size=1,
    max_size=3,
)


def rated(prompts: list[list[Drawn]], **given: Any) -> dict[str, dict[str, Any]]:
    with duckdb.connect() as connection:
        place = load_round(connection, prompts)
        place.pop("seed")
        query = WIN_RATES.bind(connection, {**place, "check_name": "judge", **given})
        rows = connection.sql(query).to_arrow_table().to_pylist()
    return {row["sample_id"]: row for row in rows}


def check(
    found: dict[str, dict[str, Any]], p: int, wins: np.ndarray[Any, Any], who: list[int], own: bool
) -> None:
    """Compare one prompt's rows with a matrix of P(i beats j)."""
    for row, i in enumerate(who):
        others = [col for col in range(len(who)) if own or col != row]
        score = found.pop(content_id("sample", p, i), None)
        if not others:
            assert score is None
            continue
        assert score is not None
        assert score["value"] == pytest.approx(wins[row, others].mean())
        detail = json.loads(score["detail"])
        expected = {
            content_id("sample", p, j): wins[row, col] for col, j in enumerate(who) if j != i
        }
        assert (detail["wins"] or {}) == pytest.approx(expected)
        assert detail["num_opponents"] == len(who) - 1


@settings(max_examples=8, deadline=None)
@given(PROMPTS, st.booleans())
def test_votes_are_odds_of_shares(prompts: list[list[Drawn]], own: bool) -> None:
    found = rated(prompts, preference="votes", with_itself=own)
    for p, drawn in enumerate(prompts):
        who = [
            i
            for i, one in enumerate(drawn)
            if one.purpose != "evaluate" and one.verdict != "sandbox_fault"
        ]
        answers = [drawn[i].answer for i in who]
        share = np.array([float(answers.count(a)) if a is not None else 0.0 for a in answers])
        both = share[:, None] + share[None, :]
        wins = np.where(both == 0, 0.5, share[:, None] / np.where(both == 0, 1, both))
        check(found, p, wins, who, own)
    assert not found


@settings(max_examples=8, deadline=None)
@given(PROMPTS, st.booleans(), st.sampled_from([0.5, 1.0, 2.0]))
def test_scores_are_read_by_a_sigmoid(prompts: list[list[Drawn]], own: bool, scale: float) -> None:
    found = rated(prompts, preference="scores", with_itself=own, scale=scale)
    for p, drawn in enumerate(prompts):
        who = [i for i, one in enumerate(drawn) if one.purpose != "evaluate" and one.scores]
        s = np.array([np.mean(drawn[i].scores) for i in who])
        wins = 1 / (1 + np.exp((s[None, :] - s[:, None]) / scale))
        check(found, p, wins, who, own)
    assert not found


def test_a_pair_judges_matrix_is_taken_as_it_is() -> None:
    drawn = [Drawn("1", text) for text in "abc"]
    ids = [content_id("sample", 0, i) for i in range(3)]
    # A cycle, a beats b beats c beats a, which no score could say; c against a has no value.
    known = {(0, 1): 0.9, (1, 0): 0.1, (1, 2): 0.8, (2, 1): 0.2, (0, 2): None, (2, 0): None}
    with duckdb.connect() as connection:
        place = load_round(connection, [drawn])
        rows = connection.sql("FROM scores").to_arrow_table().to_pylist()
        template = rows[0]
        rows += [
            template
            | {
                "id": f"pair-{i}-{j}",
                "sample_id": ids[i],
                "check": "judge",
                "value": value,
                "label": None,
                "detail": json.dumps({"other": ids[j]}),
            }
            for (i, j), value in known.items()
        ]
        schema = connection.sql("FROM scores").to_arrow_table().schema
        make_table(connection, "scores", pa.Table.from_pylist(rows, schema))
        place.pop("seed")
        query = WIN_RATES.bind(connection, {**place, "check_name": "judge", "preference": "pairs"})
        found = {r["sample_id"]: r for r in connection.sql(query).to_arrow_table().to_pylist()}
    values = [found[id]["value"] for id in ids]
    assert values == pytest.approx([(0.5 + 0.9) / 2, (0.5 + 0.1 + 0.8) / 3, (0.5 + 0.2) / 2])


def test_the_rows_are_written_once(tmp_path: Any) -> None:
    warehouse = Warehouse.open(tmp_path / "w")
    write_round(warehouse, [[Drawn("1", "a"), Drawn("1", "b"), Drawn("2", "c")]])
    for _ in range(2):
        assert win_rates(warehouse, WinRateSpec(), run=RUN, round=1) == 3
    rows = warehouse.read("scores", run=RUN, round=1, part="win_rate-results-0000").to_pylist()
    # Shares 2/3, 2/3 and 1/3: odds of 1 to 1 and 2 to 1; itself counts as 1/2.
    assert sorted(row["value"] for row in rows) == pytest.approx(
        [(1 / 3 + 1 / 3 + 0.5) / 3, (0.5 + 0.5 + 2 / 3) / 3, (0.5 + 0.5 + 2 / 3) / 3]
    )
    assert {row["check"] for row in rows} == {"win_rate"}
