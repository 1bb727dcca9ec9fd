"""Fast over slow programs, against ten lines of Python."""

from collections import defaultdict
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import content_id
from tasks.selection import Selection
from tasks.selection.plans import plan_selections
from tasks.selection.rules import find_candidates, run_rule
from tests.tasks.selection.rounds import load_round
from tests.tasks.selection.test_oracle import PROMPTS, Prompts, candidates, pair_up, useless

# (verdict, ms) of every timing of a sample; none where it was not timed.
TIMES = st.lists(
    st.tuples(
        st.sampled_from(["accepted"] * 5 + ["wrong_answer"]), st.sampled_from([1.0, 2.0, 3.0])
    ),
    max_size=3,
)


def decide(prompts: Prompts, times: dict[str, Any], **parameters: object) -> Any:
    with duckdb.connect() as connection:
        place = load_round(connection, prompts)
        for sample, own in times.items():
            for number, (verdict, cpu_ms) in enumerate(own):
                connection.execute(
                    "INSERT INTO executions SELECT * REPLACE ($id AS id, $verdict AS verdict, "
                    "$ms AS cpu_ms, ['timed'] AS flags, ['t'] AS test_ids) "
                    "FROM executions WHERE sample_id = $sample AND len(test_ids) = 0",
                    {
                        "id": f"{sample} {number}",
                        "verdict": verdict,
                        "ms": cpu_ms,
                        "sample": sample,
                    },
                )
        find_candidates(connection, place, allow_references=True)
        (plan,) = plan_selections([Selection("efficiency_pairs", parameters)], False)
        run_rule(connection, plan, place)
        decisions = connection.execute(
            "SELECT sample_id, d.reason FROM decisions AS d JOIN candidates USING (sample)"
        ).fetchall()
        return dict(decisions), connection.sql("FROM selected").to_arrow_table().to_pylist()


@settings(max_examples=6, deadline=None)
@given(PROMPTS, st.data(), st.sampled_from([1.0, 1.5, 2.5]), st.integers(1, 3))
def test_efficiency_pairs(prompts: Prompts, data: Any, ratio: float, most: int) -> None:
    times = {
        content_id("sample", p, i): data.draw(TIMES)
        for p, own in enumerate(prompts)
        for i in range(len(own))
    }
    found, rows = decide(prompts, times, min_ratio=ratio, max_pairs=most)
    pairs = defaultdict(set)
    for row in rows:
        pairs[row["prompt_id"]].add((row["chosen_sample_id"], row["rejected_sample_id"]))
        fast, slow = (min(ms for _, ms in times[id]) for id in row["sample_ids"])
        assert row["margin"] == pytest.approx(slow - fast)
    for p, own in enumerate(prompts):
        ids = [content_id("sample", p, i) for i in range(len(own))]
        spent = {
            i: min(ms for _, ms in times[ids[i]])
            for i in candidates(own)
            if useless(own[i]) is None
            and times[ids[i]]
            and all(verdict == "accepted" for verdict, _ in times[ids[i]])
        }
        sides: dict[int, str] = {}
        fastest, slowest = min(spent.values(), default=0), max(spent.values(), default=0)
        if slowest > fastest and slowest >= ratio * fastest:
            names = {fastest: "chosen", slowest: "rejected"}
            sides = {i: names[ms] for i, ms in spent.items() if ms in names}
        expected = {(ids[c], ids[r]) for c, r in pair_up(p, own, sides, most)}
        assert pairs[content_id("prompt", p)] == expected
        used = {id for pair in expected for id in pair}
        assert {ids[i] for i in candidates(own) if found[ids[i]] is None} == used
