"""STaR, RFT, GSI, IWSI, B-STaR, Self-Explore: two rounds each on the seed model."""

import json
from collections import Counter

import pytest

from tests.flows.recipes.conftest import RunTwoRounds, query

pytestmark = [
    pytest.mark.recipes,
    pytest.mark.slow,
    pytest.mark.prefect,
    pytest.mark.sandbox,
]
ALL = {"executions", "scores", "votes", "rejections"}


def test_star(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds("star", tables=ALL, sampling={"n": 1, "temperature": 0.0})
    # The hint is in what was asked, never in what is trained on.
    asked = query(house, "SELECT DISTINCT turn FROM samples WHERE purpose = 'train'")
    assert {row["turn"] for row in asked} == {0, 1}
    prompts = query(house, "SELECT prompt[-1].content AS text FROM examples")
    assert prompts and not any("Hint" in row["text"] for row in prompts)
    hinted = query(
        house,
        "SELECT * FROM samples AS s JOIN scores AS r ON r.sample_id = s.id "
        "WHERE turn = 0 AND purpose = 'train' AND r.\"check\" = 'reference' AND r.value = 1 "
        "AND (s.round, s.prompt_id) IN (SELECT (round, prompt_id) FROM samples WHERE turn = 1)",
    )
    assert not hinted  # only problems that failed were asked again


def test_rft(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds("rft", tables=ALL, sampling={"n": 6})
    drawn = query(
        house,
        "SELECT policy_id, count(DISTINCT weight_hash) AS hashes, count(*) AS n FROM samples "
        "WHERE purpose <> 'evaluate' AND round = 1 GROUP BY ALL ORDER BY policy_id",
    )
    assert [(row["hashes"], row["n"]) for row in drawn] == [(1, 16), (1, 96)]
    used = query(
        house,
        "SELECT e.prompt_id, s.policy_id, w.label AS way, r.value FROM examples AS e "
        "JOIN samples AS s ON s.id = e.sample_ids[1] "
        "JOIN scores AS w ON w.sample_id = s.id AND w.\"check\" = 'way' "
        "JOIN scores AS r ON r.sample_id = s.id AND r.\"check\" = 'reference' WHERE e.round = 1",
    )
    assert {row["policy_id"] for row in used} >= {"labelled", "two-base"}
    assert all(row["value"] == 1 for row in used)
    ways = [(row["prompt_id"], row["way"]) for row in used if row["policy_id"] != "labelled"]
    assert len(ways) == len(set(ways))


def test_iwsi(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds(
        "iwsi", tables=ALL, valid_share=0.2, sampling={"n": 6}, training={"lora_r": 4}
    )
    drawn = query(
        house,
        "SELECT s.id, s.prompt_id, d.value AS shift FROM samples AS s "
        "LEFT JOIN scores AS d ON d.sample_id = s.id AND d.\"check\" = 'ds_weight' "
        "WHERE s.round = 1 AND s.role = 'program' AND s.purpose = 'train'",
    )
    assert len(drawn) == 96 and all(1 <= row["shift"] <= 5 for row in drawn)
    apart = query(house, "SELECT DISTINCT prompt_id FROM samples WHERE role = 'solution'")
    used = query(house, "SELECT DISTINCT prompt_id FROM examples")
    assert len(apart) == 6
    assert not {row["prompt_id"] for row in apart} & {row["prompt_id"] for row in used}
    (reasons,) = query(house, "SELECT list(DISTINCT reason) AS all FROM rejections")
    assert {"far", "valid_prompt"} <= set(reasons["all"])


def test_b_star(run_two_rounds: RunTwoRounds) -> None:
    search = {"temperatures": [0.5, 1.0], "num_problems": 6, "num_samples": 4, "enough": 2}
    house = run_two_rounds("b_star", tables=ALL, search=search)
    rounds = query(house, "SELECT round, metrics->'$.search' AS search FROM rounds WHERE round > 0")
    for row in rounds:
        found = json.loads(row["search"])
        assert [one["temperature"] for one in found["candidates"]] == [0.5, 1.0]
        chosen = found["chosen"]
        assert chosen in found["candidates"] and found["thresholds"]
        drawn = query(
            house,
            "SELECT DISTINCT sampling->>'temperature' AS t FROM samples "
            "WHERE purpose = 'train' AND role = 'program' AND round = $round",
            round=row["round"],
        )
        assert [float(one["t"]) for one in drawn] == [chosen["temperature"]]
        used = query(
            house,
            "SELECT e.prompt_id, b.value FROM examples AS e JOIN scores AS b "
            "ON b.sample_id = e.sample_ids[1] AND b.\"check\" = 'balanced' "
            "WHERE e.round = $round",
            round=row["round"],
        )
        assert used and all(one["value"] > chosen["threshold"] for one in used)
        counts = Counter(one["prompt_id"] for one in used)
        assert max(counts.values()) <= chosen["per_problem"]
    trials = query(house, "SELECT count(*) AS n FROM samples WHERE role = 'trial'")
    assert trials == [{"n": 2 * 2 * 6 * 4}]


def test_self_explore(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds("self_explore", tables=ALL, num_rollouts=2, sampling={"n": 8})
    pairs = query(
        house,
        "SELECT p.rejected[-1].content AS rejected, p.chosen[-1].content AS chosen, "
        "w.text AS wrong FROM pairs AS p "
        "JOIN samples AS s ON s.id = p.chosen_sample_id "
        "JOIN samples AS w ON w.id = p.rejected_sample_id",
    )
    assert pairs
    for pair in pairs:
        assert pair["wrong"].startswith(pair["rejected"])
        assert not pair["chosen"].startswith(pair["rejected"].strip())


@pytest.mark.parametrize("guidance", ["answer", "none"])
def test_gsi(run_two_rounds: RunTwoRounds, guidance: str) -> None:
    house = run_two_rounds("gsi", tables=ALL, guidance=guidance, min_right=3, num_resamples=2)
    rows = query(
        house,
        "SELECT s.round, prompt_id, count(*) FILTER (turn = 0) AS first, max(turn) AS last, "
        "count(*) FILTER (turn > 0) AS again, "
        "[count(*) FILTER (turn <= 0 AND value = 1), count(*) FILTER (turn <= 1 AND value = 1)] "
        "AS num_right "
        "FROM samples AS s JOIN scores AS r ON r.sample_id = s.id AND r.\"check\" = 'reference' "
        "WHERE purpose = 'train' GROUP BY s.round, prompt_id",
    )
    assert rows and all(row["first"] == 4 for row in rows)
    for row in rows:  # asked again while fewer than three of its answers were right
        assert row["again"] == row["last"] == sum(n < 3 for n in row["num_right"]), row
    prompts = query(house, "SELECT prompt[-1].content AS text FROM examples")
    assert prompts and not any("Hint" in row["text"] for row in prompts)
