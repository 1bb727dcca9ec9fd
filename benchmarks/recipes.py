"""Recipes beside each other: one seed model, one sample budget, held-out accuracy per round.

Every loop starts from the same model and draws the same number of samples a round for the same
problems; what a method does with them is its recipe's. Learning rate and steps are the same within
SFT and within preference training, chosen for the small seed model. No gate decides (`min_gain` is
-1), as in the papers, so a curve also shows where a method loses. Accuracy is greedy, on problems
that no loop sees; its 95% interval is about 5 points wide on each side at 300 problems.

Below the table are the effects that the papers report, as they came out here.

Run: python benchmarks/recipes.py --warehouse /tmp/recipes --rounds 2
A run that was stopped goes on with the same command. `--only lmsi scpo` runs some.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")

from flows.recipes import find_recipe
from flows.recipes.config import LoopSpec
from flows.self_training import find_loop
from flows.server import ensure_api
from storage import Warehouse

BASE = "seed:programs"
SFT: dict[str, Any] = {"learning_rate": 5e-4, "steps": 80, "warmup_steps": 8, "batch_size": 64}
PAIRS: dict[str, Any] = {"learning_rate": 1e-5, "steps": 80, "warmup_steps": 8, "batch_size": 32}


@dataclass(frozen=True)
class Method:
    """A recipe and what differs from its defaults, beside what all share."""

    recipe: str
    kind: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)


METHODS = {
    "rest_em": Method("rest_em", SFT, {"max_per_prompt": 4}),
    "star": Method("star", SFT),
    "lmsi": Method("lmsi", SFT, {"max_per_prompt": 4}),
    "rft": Method("rft", SFT),
    "gsi": Method("gsi", SFT),
    "score_slm": Method("score_slm", SFT),
    "iterative_rpo": Method("iterative_rpo", PAIRS, {"max_pairs": 2, "schedule": {}}),
    "scpo": Method("scpo", PAIRS, {"schedule": {}}),
    "scpo unweighted": Method("scpo", PAIRS, {"schedule": {}, "weighted": False}),
    "self_explore": Method("self_explore", PAIRS, {"max_pairs": 2, "max_lines": 3}),
    "spin": Method("spin", PAIRS, {"schedule": {}}),
    "self_contrast": Method("self_contrast", PAIRS),
    "cream": Method("cream", PAIRS),
    "cream, consistency off": Method("cream", PAIRS, {"consistency": "off"}),
}
_ROUNDS = """
SELECT
    o.round,
    o.child_accuracy,
    o.samples,
    o.examples + o.pairs + o.labels AS rows,
    r.tokens,
    r.seconds,
    r.metrics
FROM rounds_overview AS o
JOIN rounds AS r ON r.run = o.run AND r.round = o.round
WHERE o.run = $run
ORDER BY o.round
"""


@dataclass(frozen=True)
class Round:
    """One round of a method, as the warehouse tells it."""

    number: int
    accuracy: float | None
    samples: int
    rows: int
    tokens: float
    seconds: float
    metrics: dict[str, Any]


def main() -> None:
    """Run every method and print its rounds, then the effects."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warehouse", default="/tmp/selfloom-recipes")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=300, help="problems per round")
    parser.add_argument("--samples", type=int, default=8, help="answers per problem")
    parser.add_argument("--heldout", type=int, default=300, help="held-out problems")
    parser.add_argument("--only", nargs="+", choices=METHODS, default=list(METHODS))
    given = parser.parse_args()
    ensure_api()
    print(f"{BASE}, {given.prompts} problems x {given.samples} answers a round")
    print(f"{'method':<24} {'round':>5} {'accuracy':>9} {'samples':>8} {'rows':>6} "
          f"{'tokens':>9} {'seconds':>8}")  # fmt: skip
    found = {name: run(name, given) for name in given.only}
    compare(found)


def run(name: str, given: argparse.Namespace) -> list[Round]:
    """One method's loop; prints a line per round."""
    method = METHODS[name]
    recipe = find_recipe(method.recipe)
    config = recipe.config.model_validate(settings(method, given))
    label = name.replace(",", "").replace(" ", "-").replace("_", "-")
    loop = LoopSpec(
        run=label,
        rounds=given.rounds,
        base_model=BASE,
        warehouse=given.warehouse,
        patience=given.rounds,
    )
    find_loop(method.recipe)(config, loop)
    rounds = read(Warehouse.open(given.warehouse), label)
    for one in rounds:
        accuracy = "-" if one.accuracy is None else f"{one.accuracy:.1%}"
        print(
            f"{name if one.number == 0 else '':<24} {one.number:>5} {accuracy:>9} "
            f"{one.samples:>8,} {one.rows:>6,} {one.tokens:>9,.0f} {one.seconds:>8.0f}",
            flush=True,
        )
    return rounds


def settings(method: Method, given: argparse.Namespace) -> dict[str, Any]:
    """The recipe's settings: its own, what all methods share, and this method's."""
    own = find_recipe(method.recipe).config().training.model_dump()
    training = (
        own | {"gradient_accumulation": 1, "lr_schedule": "linear", "max_length": 192} | method.kind
    )
    shared = {
        "engine": {"reuse": False},  # or later methods would not draw what an earlier one drew
        "prompts": {"num": given.prompts},
        "sampling": {"n": given.samples, "temperature": 1.0, "max_new_tokens": 48},
        "evaluation": {"num": given.heldout},
        "start_from": "previous",
        "gate": {"alpha": 1.0, "min_gain": -1.0, "non_inferiority": "off"},
        # Votes of the base model are far apart at this temperature; nothing has collapsed.
        "monitors": {"max_chosen_logprob_drop": 100.0, "min_newest_majority_share": 0.3},
        "training": training,
    }
    return shared | method.settings


def read(house: Warehouse, run: str) -> list[Round]:
    """The rounds of a run."""
    with house.connect() as con:
        rows = con.execute(_ROUNDS, {"run": run}).fetchall()
    return [
        Round(
            number,
            accuracy,
            samples,
            table_rows,
            sum(json.loads(tokens or "{}").values()),
            sum(json.loads(seconds or "{}").values()),
            json.loads(metrics or "{}"),
        )
        for number, accuracy, samples, table_rows, tokens, seconds, metrics in rows
    ]


def compare(found: dict[str, list[Round]]) -> None:
    """Print the effects that the papers report, where both of their methods ran."""
    print("\neffects")
    if found.keys() >= {"scpo", "scpo unweighted"}:
        weighted, plain = (_gain(found[name]) for name in ("scpo", "scpo unweighted"))
        print(
            f"  ScPO's weights: {weighted:+.1%} with, {plain:+.1%} without "
            "(paper: 2.5 points on GSM8K, 1.4 on MATH)"
        )
    if found.keys() >= {"cream", "cream, consistency off"}:
        with_it, without = (
            _consistency(found[name]) for name in ("cream", "cream, consistency off")
        )
        print(f"  CREAM's consistency by round: {with_it}; with plain self-rewarding: {without}")


def _gain(rounds: list[Round]) -> float:
    measured = [one.accuracy for one in rounds if one.accuracy is not None]
    return measured[-1] - measured[0]


def _consistency(rounds: list[Round]) -> str:
    values = {
        one.number: one.metrics["rewards"]["mean"]
        for one in rounds
        if "mean" in one.metrics.get("rewards", {})
    }
    return ", ".join(f"{number}: {value:.3f}" for number, value in values.items()) or "-"


if __name__ == "__main__":
    main()
