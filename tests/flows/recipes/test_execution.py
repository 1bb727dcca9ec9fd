"""Recipes whose labels come from running programs: two rounds of each on `seed:skills`."""

from typing import Any

import pytest

from flows.errors import SettingError
from flows.recipes import find_recipe
from flows.recorded_stages import RecordedStages
from flows.stages import Stages
from tasks.environments import load_environment
from tests.flows.recipes.conftest import RunTwoRounds, query

FUNCTIONS: dict[str, Any] = {
    "base_model": "seed:skills",
    "environment": {"name": "functions"},
    "prompts": {"num": 8, "difficulties": [1, 2, 3]},
    "training": {"learning_rate": 1e-4, "steps": 3, "batch_size": 8, "max_length": 256},
}


def two_rounds(test: Any) -> Any:
    """Marks a test that runs a recipe for two rounds."""
    for mark in ("recipes", "slow", "prefect", "sandbox"):
        test = getattr(pytest.mark, mark)(test)
    return test


def count(house: Any, sql: str) -> int:
    (row,) = query(house, f"SELECT count(*) AS n FROM {sql}")
    return int(row["n"])


@two_rounds
def test_two_rounds_of_codedpo(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds(
        "codedpo",
        tables={"executions", "scores", "rejections"},
        tests={"n": 4, "temperature": 1.0, "max_new_tokens": 96},
        **FUNCTIONS,
    )
    # Every program that ran met every usable test of its problem, once.
    crossed = "executions WHERE len(test_ids) = 1 AND NOT list_contains(flags, 'timed')"
    assert count(house, crossed) == count(
        house,
        "samples AS p JOIN samples AS t USING (run, round, prompt_id) "
        "JOIN scores AS s ON s.sample_id = t.id AND s.label IN ('credible', 'other') "
        "WHERE p.role = 'program' AND p.purpose = 'train' AND t.role = 'test'",
    )
    # A chosen program of a correctness pair ranks above the rejected one.
    ranks = "(SELECT sample_id, value FROM scores WHERE \"check\" = 'cross_rank')"
    pairs = query(
        house,
        f"SELECT c.value AS chosen, r.value AS rejected, p.margin FROM pairs AS p "
        f"JOIN {ranks} AS c ON c.sample_id = p.chosen_sample_id "
        f"JOIN {ranks} AS r ON r.sample_id = p.rejected_sample_id",
    )
    assert any(row["chosen"] > row["rejected"] for row in pairs)
    (pair,) = query(house, "SELECT id FROM pairs ORDER BY id LIMIT 1")
    traced = query(house, "FROM lineage($id)", id=pair["id"])
    assert {"test", "execution", "score"} <= {row["relation"] for row in traced}


# Of two and three parts: the seed model gets a good part of these functions wrong.
HARD: dict[str, Any] = FUNCTIONS | {
    "tables": {"executions", "scores", "votes", "rejections"},
    "prompts": {"num": 16, "difficulties": [2, 3]},
}


@two_rounds
def test_two_rounds_of_cycle(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds("cycle", max_turns=2, repair={"n": 2, "max_new_tokens": 64}, **HARD)
    assert count(house, "samples WHERE role = 'repair' AND turn = 2")
    assert count(house, "executions WHERE feedback LIKE 'wrong_answer: f([%]) returned %'")
    assert count(house, "examples WHERE len(prompt) = 3")
    # Only right programs are learned, and nothing that failed is shown but to be repaired.
    learned = query(
        house,
        "SELECT DISTINCT r.value FROM examples AS e JOIN scores AS r "
        "ON r.sample_id = e.sample_ids[-1] AND r.\"check\" = 'reference'",
    )
    assert [row["value"] for row in learned] == [1.0]
    assert count(house, "examples WHERE len(prompt) = 1")


@two_rounds
def test_two_rounds_of_re_rest(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds(
        "re_rest", reflection={"n": 2, "temperature": 1.0, "max_new_tokens": 64}, **HARD
    )
    # What was repaired is learned as if it had been the first program, and as a repair.
    for turns in (1, 3):
        assert count(house, f"examples WHERE len(prompt) = {turns} AND len(sample_ids) = 2")
    assert count(house, "examples WHERE len(prompt) = 1 AND len(sample_ids) = 1")


@two_rounds
def test_two_rounds_of_envisions(run_two_rounds: RunTwoRounds) -> None:
    hard: dict[str, Any] = HARD | {"environment": {"name": "word_problems"}}
    house = run_two_rounds("envisions", refinement={"n": 1, "max_new_tokens": 48}, **hard)
    assert count(house, "samples WHERE role = 'refinement'")
    assert count(house, "examples WHERE len(prompt) = 3")
    assert count(house, "examples WHERE len(prompt) = 1")
    (model,) = query(house, "SELECT metrics FROM models WHERE round = 2")
    assert '"1"' in model["metrics"]  # the pool: rows of round 1 train round 2 as well


@two_rounds
def test_two_rounds_of_self_code_align(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds(
        "self_code_align",
        base_model="seed:skills",
        environment={"name": "functions"},
        tables={"executions", "scores", "rejections"},
        prompts={"num": 12, "difficulties": [1, 2]},
        # The seed model knows neither concepts nor tasks about them: hardly anything that it makes
        # is a task, so that the seeds are solved as well.
        problems="all",
        tests_see_program=False,
        concepts={"n": 2, "temperature": 1.0, "max_new_tokens": 32},
        tasks={"n": 2, "temperature": 1.0, "max_new_tokens": 48},
        tests={"n": 1, "temperature": 0.7, "max_new_tokens": 96},
    )
    # Whatever was written as a task is a prompt, or is rejected with the reason.
    for number in (1, 2):
        asked = count(house, f"samples WHERE role = 'question' AND round = {number}")
        made = count(house, f"prompts WHERE source <> 'seed' AND round = {number}")
        dropped = count(
            house,
            f"rejections AS r JOIN samples AS s ON s.id = r.row_id "
            f"WHERE s.role = 'question' AND r.round = {number} AND r.reason <> ''",
        )
        assert asked == made + dropped > 0
    # A made task leads back to the concepts that it is about; what is learned passed its own test.
    tasks = query(house, "SELECT id FROM prompts WHERE source <> 'seed' LIMIT 1")
    for task in tasks:
        steps = query(house, "FROM lineage($id)", id=task["id"])
        assert "concepts" in {step["name"] for step in steps}
    (failed,) = query(
        house,
        "SELECT count(*) AS n FROM examples AS e JOIN scores AS s ON s.sample_id = e.sample_ids[1] "
        "AND s.\"check\" = 'cross_passed' WHERE s.value < 1",
    )
    assert failed["n"] == 0


def test_programs_that_print_can_not_be_crossed() -> None:
    recipe: Any = find_recipe("codedpo")

    class Printing(RecordedStages):
        cross, clock = Stages.cross, Stages.clock

    stages: Any = Printing(recipe)
    stages.seconds, stages.environment = {}, load_environment("word_problems")
    with pytest.raises(SettingError, match=r"environment.name='word_problems'.*choose functions"):
        stages.cross(recipe.config().cross)
