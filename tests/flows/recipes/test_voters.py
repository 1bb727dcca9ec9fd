"""Length generalization by two loops that vote for each other."""

from pathlib import Path

import pytest

from flows.recipes import find_recipe
from flows.recipes.config import LoopSpec
from flows.self_training import find_loop
from storage import Warehouse
from tests.flows.recipes.conftest import SMALL, query


@pytest.mark.recipes
@pytest.mark.slow
@pytest.mark.prefect
def test_an_answer_needs_the_votes_of_both_loops(prefect_server: None, tmp_path: Path) -> None:
    path = str(tmp_path / "warehouse")
    names = ["seed-0", "seed-1"]

    def run(seed: int, rounds: int) -> None:
        values = {
            **SMALL,
            "environment": {"name": "copy"},
            "prompts": {"num": 40},
            "evaluation": {"num": 12, "difficulties": [10, 11], "num_samples": 0},
            "training": {**SMALL["training"], "method": "sft"},
            "gate": {**SMALL["gate"], "min_gain": -1.0, "min_problems": 1},
            "num_seed_examples": 50,
            "seed": seed,
            "voters": [names[1 - seed]],
        }
        config = find_recipe("length_generalization").config.model_validate(values)
        loop = LoopSpec(run=names[seed], rounds=rounds, base_model="seed:copy", warehouse=path)
        find_loop("length_generalization")(config, loop)

    for rounds in (1, 2):
        for seed in (0, 1):
            run(seed, rounds)
    house = Warehouse.open(path)
    for name, other in (names, reversed(names)):
        # Both began with the same weights, which vote once.
        assert len(voters_of(house, name, 1)) == 1
        assert voters_of(house, name, 2) == {f"{name}-r1", f"{other}-r1"}
        labels = query(house, LABELS, run=name)
        assert labels
        assert all(row["texts"] == [row["label"]] and row["n"] == 8 for row in labels)


LABELS = """
SELECT e.completion[1].content AS label, list(DISTINCT s.text) AS texts, count(*) AS n
FROM examples AS e
JOIN samples AS s ON s.prompt_id = e.prompt_id AND s.run = e.run AND s.round = e.round
WHERE e.run = $run AND e.round = 2 AND s.purpose = 'train'
GROUP BY e.id, label
"""


def voters_of(house: Warehouse, run: str, number: int) -> set[str]:
    """The models that answered a round's problems."""
    rows = query(
        house,
        "SELECT DISTINCT policy_id FROM samples "
        "WHERE purpose = 'train' AND run = $run AND round = $number",
        run=run,
        number=number,
    )
    return {row["policy_id"] for row in rows}
