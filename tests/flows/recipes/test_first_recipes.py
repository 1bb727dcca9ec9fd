"""The recipes that the loop began with, for two rounds."""

import pytest

from tests.flows.recipes.conftest import RunTwoRounds

pytestmark = [
    pytest.mark.recipes,
    pytest.mark.slow,
    pytest.mark.prefect,
    pytest.mark.sandbox,
]


@pytest.mark.parametrize("name", ["rest_em", "iterative_rpo", "lmsi", "scpo"])
def test_two_rounds(run_two_rounds: RunTwoRounds, name: str) -> None:
    settings = {"min_share": 0.25} if name in ("lmsi", "scpo") else {}
    run_two_rounds(name, tables={"executions", "scores", "votes", "rejections"}, **settings)


def test_two_rounds_of_length_generalization(run_two_rounds: RunTwoRounds) -> None:
    run_two_rounds(
        "length_generalization",
        tables={"scores", "votes"},
        base_model="seed:copy",
        num_seed_examples=50,
        min_share=0.25,
        evaluation={"difficulties": [9, 10]},
        sampling={"max_new_tokens": 24},
    )
