"""STaR, RFT, GSI, IWSI, B-STaR, Self-Explore: two rounds each on the seed model."""

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
