"""Recipes that learn to correct: what they ask for, and two rounds of each on `seed:skills`."""

import itertools
from typing import Any

import pytest
from pydantic import ValidationError

from flows.recipes import find_recipe
from flows.recorded_stages import RecordedStages
from tests.flows.recipes.conftest import RunTwoRounds, query


def two_rounds(test: Any) -> Any:
    """Marks a test that runs a recipe for two rounds."""
    for mark in ("recipes", "slow", "prefect", "sandbox"):
        test = getattr(pytest.mark, mark)(test)
    return test


# Two steps and all phrasings: about half of the seed's answers are wrong, so there is work to do.
HARD: dict[str, Any] = {
    "base_model": "seed:skills",
    "tables": {"executions", "scores", "votes", "rejections"},
    "prompts": {"num": 16, "difficulties": [2, 3]},
    "training": {"learning_rate": 1e-4, "steps": 3, "batch_size": 8, "max_length": 256},
}


def count(house: Any, sql: str) -> int:
    (row,) = query(house, f"SELECT count(*) AS n FROM {sql}")
    return int(row["n"])


@pytest.mark.parametrize("switches", list(itertools.product([False, True], repeat=3)))
def test_stasc_has_eight_variants(switches: tuple[bool, bool, bool]) -> None:
    names = ("evolving_initialization", "evolving_training", "only_improving")
    recipe = find_recipe("stasc")
    config = recipe.config.model_validate(dict(zip(names, switches, strict=True)))
    assert config.start_from == ("previous" if switches[1] else "base")
    asked: dict[str, Any] = {}

    class Asked(RecordedStages):
        def sample(self, prompts: Any, sampling: Any, *, model: Any = None) -> None:
            asked["initial"] = model

        def demonstrate(self, one: Any) -> str:
            asked["keep"] = one.parameters
            return "examples"

    stages: Any = Asked(recipe)
    assert recipe.compose(stages, config) == "examples"
    assert asked["initial"] is (None if switches[0] else stages.base)
    assert asked["keep"] == {"only_improving": switches[2]}


def test_stasc_takes_its_third_switch_by_either_name() -> None:
    config = find_recipe("stasc").config
    started: Any = config.model_validate({"start_from": "previous"})
    assert started.evolving_training
    assert config.model_validate(started.model_dump()) == started
    with pytest.raises(ValidationError, match="give one of the two"):
        config.model_validate({"start_from": "base", "evolving_training": True})


@two_rounds
def test_two_rounds_of_stasc(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds("stasc", only_improving=False, correction={"n": 2}, **HARD)
    assert count(house, "samples WHERE role = 'correction'")
    assert count(house, "examples WHERE len(prompt) = 3") == count(house, "examples")
    # Both rounds begin with answers of the base, whatever was promoted.
    assert count(house, "samples WHERE round = 2 AND role = 'program' AND purpose = 'train' "
                 "AND policy_id <> 'two-base'") == 0  # fmt: skip


@two_rounds
def test_two_rounds_of_score(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds("score_slm", **HARD)
    assert count(house, "samples WHERE role = 'critique'")
    shown = "prompt[-1].content LIKE '%Hint: %'"
    assert count(house, f"examples WHERE {shown}") == 0 < count(house, "examples")
    assert count(house, "examples WHERE len(prompt) = 1")  # critiques
    assert count(house, "examples WHERE len(prompt) = 3")  # refinements


@two_rounds
def test_two_rounds_of_self(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds("self", **HARD)
    assert count(house, "samples WHERE role = 'recheck'")
    # Only what its own feedback accepts: the label of every sample that was learned is yes.
    refused = query(
        house,
        "SELECT e.id FROM examples AS e JOIN scores AS s ON s.sample_id = e.sample_ids[-1] "
        "WHERE s.\"check\" IN ('critique', 'recheck') AND s.label <> 'yes'",
    )
    assert refused == []


@two_rounds
def test_two_rounds_of_cosc(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds("cosc", max_turns=2, **HARD)
    # Every trace that was kept ends in a right program.
    ends = query(
        house,
        "SELECT r.value FROM examples AS e "
        "JOIN scores AS v ON v.sample_id = e.sample_ids[-1] AND v.\"check\" = 'verification' "
        "JOIN scores AS r ON r.sample_id = e.sample_ids[-2] AND r.\"check\" = 'reference' "
        "WHERE v.label = 'yes'",
    )
    assert ends and {row["value"] for row in ends} == {1.0}
    assert count(house, "samples WHERE role = 'refinement'")
    assert count(house, "examples WHERE prompt[-1].content LIKE '%Output:%'")


@two_rounds
def test_two_rounds_of_s3c(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds("s3c_math", **HARD)
    marked = query(
        house,
        "SELECT completion[1].content AS text FROM examples "
        "WHERE len(sample_ids) = 2 AND round = 1",
    )
    assert marked
    for row in marked:
        lines = row["text"].split("\n")
        place = lines.index("# That step is wrong; the right one follows.")
        assert lines[place - 1].startswith("# ") and lines[-1] == "print(x)"


@two_rounds
def test_two_rounds_of_rise(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds("rise_introspection", max_turns=3, attempt={"n": 2}, **HARD)
    assert count(house, "samples WHERE role = 'attempt' AND turn = 2")
    (row,) = query(house, "SELECT count(DISTINCT weight) AS n FROM examples WHERE round = 1")
    assert row["n"] > 1
