"""Self-judged recipes, for two rounds on a seed model that can judge."""

from __future__ import annotations

import json
from typing import Any

import pytest

from storage import Warehouse
from tests.flows.recipes.conftest import HOT, RunTwoRounds, query

pytestmark = [
    pytest.mark.recipes,
    pytest.mark.slow,
    pytest.mark.prefect,
    pytest.mark.sandbox,
]
BASE = "seed:skills"
# Questions of judges are longer than problems.
LONG: dict[str, Any] = {"training": {"method": "dpo", "max_length": 512}}
RUBRIC: dict[str, Any] = {"num_judgements": 2, "max_new_tokens": 80}
PAIR: dict[str, Any] = {"max_new_tokens": 80, "num_opponents": 1}


def metrics(house: Warehouse, number: int) -> dict[str, Any]:
    (row,) = query(house, "SELECT metrics FROM rounds WHERE round = $number", number=number)
    found: dict[str, Any] = json.loads(row["metrics"])
    return found


def test_self_rewarding(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds(
        "self_rewarding", base_model=BASE, sampling=HOT, tables={"scores"}, judge=RUBRIC
    )
    rows = query(
        house,
        "SELECT p.margin, avg(c.value) AS chosen, avg(r.value) AS rejected FROM pairs AS p "
        "JOIN scores AS c ON c.sample_id = p.chosen_sample_id AND c.\"check\" = 'judge_mean' "
        "JOIN scores AS r ON r.sample_id = p.rejected_sample_id AND r.\"check\" = 'judge_mean' "
        "GROUP BY p.id, p.margin",
    )
    assert rows and all(row["chosen"] - row["rejected"] == row["margin"] > 0 for row in rows)
    assert metrics(house, 2)["judges"]["judge"]["all"]["unparseable_share"] < 0.5


def test_meta_rewarding_trains_the_judge_in_its_first_rounds(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds(
        "meta_rewarding",
        base_model=BASE,
        sampling=HOT,
        judge=RUBRIC | {"num_judgements": 4},
        meta_judge={"max_judgements": 3, "max_new_tokens": 40},
        judge_rounds=1,
        rho=[0.0, 0.32],
        **LONG,
    )
    rows = query(
        house,
        "SELECT p.round, s.role, count(*) AS n, min(len(s.parent_ids)) AS parents, "
        "bool_and(contains(p.prompt[1].content, a.text)) AS shows_the_answer "
        "FROM pairs AS p JOIN samples AS s ON s.id = p.chosen_sample_id "
        "LEFT JOIN samples AS a ON a.id = s.parent_ids[1] GROUP BY ALL ORDER BY ALL",
    )
    found = {(row["round"], row["role"]): row for row in rows}
    assert set(found) == {(1, "judgement"), (1, "program"), (2, "program")}
    assert found[1, "judgement"]["shows_the_answer"]
    assert set(metrics(house, 1)["judges"]) == {"judge", "meta_judge"}
    assert set(metrics(house, 2)["judges"]) == {"judge"}


def test_cream_has_no_one_to_agree_with_before_the_first_promotion(
    run_two_rounds: RunTwoRounds,
) -> None:
    house = run_two_rounds("cream", base_model=BASE, sampling=HOT, tables={"scores"})
    first, second = (metrics(house, number)["rewards"] for number in (1, 2))
    assert first["reward"]["kind"] == "mean_logprob" and "mean" not in first
    soft = query(house, "SELECT round, list(DISTINCT soft_label) AS c FROM pairs GROUP BY 1")
    labels = {row["round"]: row["c"] for row in soft}
    assert labels[1] == [1.0]
    if second["reward"]["model"] == "two-r1":  # it was promoted
        assert second["reward"]["kind"] == "log_ratio"
        assert second["previous"] == {
            "kind": "mean_logprob", "model": "two-base", "reference": "two-base"
        }  # fmt: skip
        assert labels[2] == [pytest.approx(second["mean"])]
        assert second["num_ranked"] + second["num_skipped"] == 16


def test_cream_with_the_model_before_the_base(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds(
        "cream", base_model=BASE, sampling=HOT, initial_model="seed:programs", consistency="dyn"
    )
    found = metrics(house, 1)["rewards"]
    assert found["reward"]["kind"] == "log_ratio" and found["previous"]["kind"] == "mean_logprob"
    assert found["previous"]["model"] == "seed:programs"
    rows = query(
        house,
        "SELECT p.soft_label, c.value FROM pairs AS p JOIN scores AS c ON c.round = p.round "
        "AND c.sample_id = p.chosen_sample_id AND c.\"check\" = 'consistency'",
    )
    assert rows and all(row["soft_label"] == row["value"] for row in rows)
    assert len({row["soft_label"] for row in rows}) > 1


def test_scir(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds(
        "scir",
        base_model=BASE,
        sampling={"temperature": 2.0},
        tables={"scores"},
        judge=PAIR | {"num_opponents": 3},  # it seldom decides
        initial_model="seed:programs",
    )
    rows = query(
        house,
        "SELECT p.soft_label, c.value > r.value AS agrees FROM pairs AS p "
        "JOIN scores AS c ON c.sample_id = p.chosen_sample_id AND c.\"check\" = 'reward' "
        "JOIN scores AS r ON r.sample_id = p.rejected_sample_id AND r.\"check\" = 'reward' ",
    )
    assert rows and all(row["agrees"] and row["soft_label"] == 1.0 for row in rows)


@pytest.mark.parametrize("name", ["osp", "self_reference", "salmon"])
def test_preferences_with_their_strength(run_two_rounds: RunTwoRounds, name: str) -> None:
    judge = PAIR if name == "salmon" else PAIR | {"num_judgements": 2}
    house = run_two_rounds(name, base_model=BASE, sampling=HOT, tables={"scores"}, judge=judge)
    labels = {row["soft_label"] for row in query(house, "SELECT soft_label FROM pairs")}
    assert labels <= {1.0} if name == "salmon" else all(0.5 < label <= 1.0 for label in labels)
    roles = {row["role"] for row in query(house, "SELECT DISTINCT role FROM samples")}
    assert ("reference" in roles) == (name == "self_reference")


def test_self_align_learns_answers_without_the_principles(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds(
        "self_align",
        base_model=BASE,
        tables={"executions", "scores"},
        training={"lora_r": None},
    )
    rows = query(
        house,
        "SELECT e.prompt = p.messages AS is_plain, s.sampling FROM examples AS e "
        "JOIN prompts AS p ON p.id = e.prompt_id AND p.round = e.round "
        "JOIN samples AS s ON s.id = e.sample_ids[1]",
    )
    assert rows and all(row["is_plain"] for row in rows)
    assert all(json.loads(row["sampling"])["constants"]["principles"] for row in rows)


def test_self_rationalization_learns_judgements_alone(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds(
        "self_rationalization",
        base_model=BASE,
        sampling=HOT,
        judge=RUBRIC | {"num_judgements": 4},
        **LONG,
    )
    rows = query(
        house,
        "SELECT s.role, g.value AS is_right, c.value > r.value AS nearer FROM pairs AS p "
        "JOIN samples AS s ON s.id = p.chosen_sample_id "
        "JOIN scores AS g ON g.sample_id = s.parent_ids[1] AND g.\"check\" = 'reference' "
        "JOIN scores AS c ON c.sample_id = p.chosen_sample_id AND c.\"check\" = 'judge_agreement' "
        "JOIN scores AS r ON r.sample_id = p.rejected_sample_id "
        "AND r.\"check\" = 'judge_agreement'",
    )
    assert rows and {row["role"] for row in rows} == {"judgement"}
    assert all(row["nearer"] for row in rows)
