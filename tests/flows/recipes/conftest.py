"""Two rounds of a recipe on a seed model, and what must be true of them whatever the method."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from flows.recipes import find_recipe
from flows.recipes.config import LoopSpec
from flows.self_training import find_loop
from storage import Warehouse
from tasks.labelled import LABELLED

# Nothing ends a run this small early: what is tested is that the stages work together.
SMALL: dict[str, Any] = {
    "prompts": {"num": 16, "difficulties": [1, 2]},
    "sampling": {"n": 4, "temperature": 1.0, "max_new_tokens": 48},
    "evaluation": {"num": 12, "difficulties": [1, 2], "num_samples": 0},
    "training": {"learning_rate": 1e-4, "steps": 3, "batch_size": 8, "max_length": 192},
    "gate": {"alpha": 1.0, "min_gain": 0.0, "non_inferiority": "off"},
    "monitors": {
        "min_training_rows": 1,
        "min_prompts": 1000,
        "stop_truncated_share": 1.0,
        "stop_repeating_share": 1.0,
        "stop_length_ratio": 1000.0,
        "stop_outage_share": 1.0,
        "min_newest_majority_share": 0.0,
        "max_newest_drop": 1.0,
        "max_chosen_logprob_drop": 1000.0,
        "stop_first_share": 1.0,
        "stop_top_score_share": 1.0,
    },
    "shard_size": 50,
}
# The skills model knows these problems; only heat makes it answer one in several ways.
HOT: dict[str, Any] = {"temperature": 1.5}
# Rows of every round that are traced: lineage takes a few milliseconds each.
NUM_TRACED = 5

RunTwoRounds = Callable[..., Warehouse]


@pytest.fixture
def run_two_rounds(prefect_server: None, tmp_path: Path) -> RunTwoRounds:
    """Runs a recipe for two rounds and checks what must be true of any; gives its warehouse.

    `run_two_rounds(name, tables={...}, base_model="seed:programs", **settings)`: `tables` are those
    that have to hold rows in both rounds, beside prompts, samples and the training table; settings
    that are groups change `SMALL`, value by value, all others are the recipe's own.
    """

    def run(
        name: str,
        *,
        tables: Collection[str] = (),
        base_model: str = "seed:programs",
        **settings: Any,
    ) -> Warehouse:
        values = dict(SMALL)
        for key, value in settings.items():
            both = isinstance(value, dict) and isinstance(SMALL.get(key), dict)
            values[key] = SMALL[key] | value if both else value
        config = find_recipe(name).config.model_validate(values)
        path = str(tmp_path / "warehouse")
        loop = LoopSpec(run="two", rounds=2, base_model=base_model, warehouse=path, patience=5)
        result = find_loop(name)(config, loop)
        print([(one.number, one.verdict, one.reasons) for one in result.rounds])
        house = Warehouse.open(path)
        for number in (1, 2):
            check_round(house, number, tables)
        return house

    return run


def check_round(house: Warehouse, number: int, tables: Collection[str]) -> None:
    """A finished round: its row, its tables, balanced counts, rows that can be traced."""
    (row,) = query(house, "SELECT * FROM rounds WHERE round = $number", number=number)
    assert row["gate_verdict"] in ("promoted", "rejected"), row["monitor_findings"]
    (trained,) = query(
        house,
        "SELECT json_extract_string(metrics, '$.training_table') AS name FROM models "
        "WHERE round = $number",
        number=number,
    )
    for table in {"prompts", "samples", trained["name"], *tables}:
        (count,) = query(
            house, f"SELECT count(*) AS n FROM {table} WHERE round = $number", number=number
        )
        assert count["n"], f"round {number} has no rows in {table}"
    (counts,) = query(house, "SELECT * FROM row_counts WHERE round = $number", number=number)
    assert counts["balanced"], counts
    check_traces(house, number, trained["name"])


def check_traces(house: Warehouse, number: int, table: str) -> None:
    """A training row leads back to all its samples, and these to the weights that wrote them."""
    rows = query(
        house,
        f"SELECT id, len(sample_ids) AS n FROM {table} WHERE round = $number ORDER BY id LIMIT $n",
        number=number,
        n=NUM_TRACED,
    )
    hashes = {one["weight_hash"] for one in query(house, "SELECT weight_hash FROM models")}
    for row in rows:
        steps = query(house, "SELECT * FROM lineage($id)", id=row["id"])
        samples = [
            step
            for step in steps
            if step["table_name"] == "samples"
            and step["relation"] in ("sample", "chosen sample", "rejected sample")
        ]
        assert len(samples) == row["n"] > 0, row
        for sample in samples:
            assert sample["policy_id"] and sample["weight_hash"] in hashes | {LABELLED}, sample
        relations = {step["relation"] for step in steps}
        assert relations >= {"self", "prompt", "policy", "round"}, relations


def query(house: Warehouse, sql: str, **parameters: object) -> list[dict[str, Any]]:
    """The rows that SQL gives over the warehouse."""
    with house.connect() as connection:
        cursor = connection.execute(sql, parameters)
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
