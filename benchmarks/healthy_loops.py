"""Do the monitors leave healthy loops alone? Twenty small loops, default thresholds, no stop.

Ten recipes from the seed models, two seeds each, two rounds each: labels from references, votes,
judges and rewards; SFT and DPO. A loop is healthy where its model has something to learn from and
does not lose held-out accuracy beyond chance; the table shows it. The skills model knows nearly all
of these problems, so its loops draw hotter: else all answers agree and no pairs are left. No loop
has a judge of pairs, in which the seed models are at chance; self_rewarding's judge of single
answers prefers wrong ones in a third of its pairs, of which `label_accuracy` rightly warns.

The other half, that every monitor fires on its made case, is tests/tasks/monitors, which is run at
the end.

Run: python benchmarks/healthy_loops.py --warehouse /tmp/healthy (about 15 minutes on two cores)
Loops that are done already are not run again; `--loops 4` runs the first four.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")

from flows.recipes import find_recipe
from flows.recipes.config import LoopSpec
from flows.self_training import LOOPS
from flows.server import ensure_api
from storage import Warehouse
from tasks.report import read_rounds

PROJECT = Path(__file__).resolve().parents[1]
SHARED: dict[str, Any] = {
    "prompts": {"num": 120, "difficulties": [1, 2]},
    "sampling": {"n": 4, "temperature": 0.8, "max_new_tokens": 64},
    "evaluation": {"num": 60, "difficulties": [1, 2], "num_samples": 4},
    "training": {"learning_rate": 3e-5, "steps": 20, "batch_size": 16, "max_length": 256},
    "shard_size": 60,
}
RUBRIC: dict[str, Any] = {"num_judgements": 3, "max_new_tokens": 80}
HOT: dict[str, Any] = {
    "prompts": {"num": 120, "difficulties": [1, 2, 3]},
    "sampling": {"n": 8, "temperature": 1.5, "max_new_tokens": 64},
    "training": SHARED["training"] | {"learning_rate": 1e-5},
}
LOOPS_OF_TABLE: list[tuple[str, str, dict[str, Any]]] = [
    ("rest_em", "seed:programs", {}),
    ("lmsi", "seed:skills", {}),
    ("iterative_rpo", "seed:programs", {}),
    ("self_rewarding", "seed:skills", HOT | {"judge": RUBRIC}),
    (
        "length_generalization",
        "seed:copy",
        {
            "prompts": {"num": 200},
            "sampling": {"n": 4, "temperature": 1.0, "max_new_tokens": 24},
            "evaluation": {"num": 120, "difficulties": [9, 10, 11, 12], "num_samples": 4},
            "mix": {"rounds": "all", "newest_share": 0.5, "num_rows": 6400},
            "training": {
                "method": "sft",
                "learning_rate": 1e-3,
                "steps": 100,
                "batch_size": 64,
                "max_length": 64,
            },
        },
    ),
    ("scpo", "seed:skills", HOT | {"num_generated": 0}),
    ("cream", "seed:skills", HOT | {"prompts": {"num": 160, "difficulties": [1, 2]}}),
    ("star", "seed:programs", {}),
    ("rft", "seed:programs", {}),
    ("spin", "seed:skills", HOT),
]
SEEDS = (0, 1)


def main() -> None:
    """Run the loops, print what the monitors said of each, and run the monitors' tests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warehouse", default="/tmp/selfloom-healthy")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--loops", type=int, default=20, help="run the first so many only")
    given = parser.parse_args()
    ensure_api()
    loops = [(*one, seed) for seed in SEEDS for one in LOOPS_OF_TABLE][: given.loops]
    print(f"{'loop':<26} {'seconds':>7} {'rounds':<28} {'accuracy':<14} findings", flush=True)
    found: Counter[str] = Counter()
    for recipe, base, changes, seed in loops:
        found += run(recipe, base, changes, seed, given)
    stops = sum(number for line, number in found.items() if line.startswith("stop"))
    print(f"\n{len(loops)} loops of {given.rounds} rounds: {stops} stops", end="; ")
    print(", ".join(f"{line} x {n}" for line, n in sorted(found.items())) or "no findings")
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/tasks/monitors"]
    made = subprocess.run(tests, cwd=PROJECT, capture_output=True, text=True, check=False)
    print(f"every monitor on its made case: {made.stdout.strip().splitlines()[-1]}")
    sys.exit(bool(stops) or made.returncode)


def run(
    recipe: str, base: str, changes: dict[str, Any], seed: int, given: argparse.Namespace
) -> Counter[str]:
    """One loop and its row of the table; returns its findings as `action: monitor`."""
    method = find_recipe(recipe).config
    own = method()
    values: dict[str, Any] = SHARED | {"seed": seed} | changes
    values["training"] = {"method": own.training.method} | values["training"]
    if own.schedule:
        values["schedule"] = {}  # the small settings hold in both rounds
    name = f"{recipe}-{seed}"
    loop = LoopSpec(
        run=name, rounds=given.rounds, base_model=base, warehouse=given.warehouse, patience=9
    )
    start = time.monotonic()
    LOOPS[recipe](method.model_validate(values), loop)
    with Warehouse.open(given.warehouse).connect() as con:
        rounds = read_rounds(con, [name])
    accuracy = [
        f"{estimate.value:.2f}"
        for facts in rounds
        for (_, level), estimate in facts.accuracy.items()
        if level is None
    ]
    notes = [f"{note.severity}: {note.name}" for facts in rounds for note in facts.notes]
    seconds = time.monotonic() - start
    verdicts = ", ".join(facts.verdict for facts in rounds[1:])
    shown = "; ".join(f"{n.name} ({n.message:.60}...)" for f in rounds for n in f.notes) or "-"
    print(f"{name:<26} {seconds:>7.0f} {verdicts:<28} {' '.join(accuracy):<14} {shown}", flush=True)
    return Counter(notes)


if __name__ == "__main__":
    main()
