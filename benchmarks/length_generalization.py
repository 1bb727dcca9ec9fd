"""How far a model that saw labels up to ten digits teaches itself: guarded, and without guards.

Two ways, drawn into one plot. `guarded` takes up a length once the model agrees with itself on all
shorter ones (`extend_at`), learns only answers on which all samples of two models agree (two loops
from bases of different seeds, side by side, vote for each other), and promotes by the gate.
`unguarded` takes up the next length every round and learns every answer. Held-out accuracy by
length is greedy and measured with labels; no loop reads them.

Run: python benchmarks/length_generalization.py --warehouse /tmp/lengths --plot docs/images/x.svg
A run that was stopped goes on with the same command.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")

from matplotlib import colormaps
from matplotlib.figure import Figure

from flows.recipes import find_recipe
from flows.recipes.config import LoopSpec
from flows.self_training import LOOPS
from flows.server import ensure_api
from storage import Warehouse
from tasks.seed_models.bootstrap import bootstrap

RECIPE = "length_generalization"
GUARDS: dict[str, dict[str, Any]] = {
    "guarded": {
        "extend_at": 0.99,
        "min_share": 1.0,
        # An answer that lost or repeated a digit is wrong, whatever its votes.
        "selection": {"filters": [{"name": "usual_length"}]},
        # What a round gains or loses far beyond the newest length is chance, and it may teach a
        # length again: only a real loss is refused.
        "gate": {"alpha": 1.0, "min_gain": -0.05, "non_inferiority": "off"},
        # A length is taken up at any agreement: unanimity, not the mean, picks the answers.
        "monitors": {"max_newest_drop": 0.5},
    },
    "unguarded": {
        "min_share": 0.0,
        "gate": {"alpha": 1.0, "min_gain": -1.0, "non_inferiority": "off"},
        "monitors": {
            "max_top_answer_share": 1.0,
            "stop_truncated_share": 1.0,
            "stop_repeating_share": 1.0,
            "stop_length_ratio": 100.0,
            "min_newest_majority_share": 0.0,
            "max_newest_drop": 1.0,
        },
    },
}
MASTERED = 0.99
NUM_SEEDS = 2
# One row per round: its newest length, labels kept of it, share of them that is right, its model's
# accuracy by length.
_ROUNDS = """
SELECT r.round, l.length, l.kept, l.is_right, r.gate_verdict, e.lengths, e.accuracy
FROM rounds AS r
LEFT JOIN (
    SELECT p.run, p.round, max(p.difficulty) AS length, count(*) AS kept,
        avg((x.completion[1].content = p.reference)::INT) AS is_right
    FROM prompts AS p
    JOIN examples AS x ON x.prompt_id = p.id AND x.run = p.run AND x.round = p.round
    WHERE p.split = 'train' AND p.round > 0
    GROUP BY ALL
) AS l ON l.run = r.run AND l.round = r.round
JOIN (
    SELECT run, round, list(difficulty ORDER BY difficulty) AS lengths,
        list(value ORDER BY difficulty) AS accuracy
    FROM evaluations WHERE metric = 'pass@1 greedy' AND difficulty IS NOT NULL
    GROUP BY ALL
) AS e ON e.run = r.run AND e.round = r.round
WHERE r.run = $run
ORDER BY r.round
"""
Curves = dict[int, dict[int, float]]  # accuracy by round and length


def main() -> None:
    """Run both loops and print and plot accuracy by length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warehouse", default="/tmp/selfloom-lengths")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--longest", type=int, default=22, help="longest held-out string")
    parser.add_argument("--prompts", type=int, default=2000, help="prompts per round")
    parser.add_argument("--steps", type=int, default=800, help="optimizer steps per round")
    parser.add_argument("--loops", nargs="+", choices=GUARDS, default=list(GUARDS))
    parser.add_argument(
        "--from-scratch", action="store_true", help="train both bases here; else one is shipped"
    )
    parser.add_argument("--plot", type=Path, help="file of the plot (.svg, .png)")
    given = parser.parse_args()
    start = time.monotonic()
    # Processes: first weights come from torch's random numbers, which threads would share.
    with ProcessPoolExecutor(NUM_SEEDS, get_context("spawn")) as pool:
        bases = list(pool.map(partial(base_model, given), range(NUM_SEEDS)))
    print(f"base models: {time.monotonic() - start:.0f} s", flush=True)
    ensure_api()
    curves: dict[str, Curves] = {}
    for name in given.loops:
        curves |= run(name, bases, given)
    if given.plot:
        draw(curves, given.plot)


def base_model(given: argparse.Namespace, seed: int) -> str:
    """A model that copies up to ten digits, trained here unless it is the shipped one."""
    if seed == 0 and not given.from_scratch:
        return "seed:copy"
    folder = f"{given.warehouse.rstrip('/')}-base-{seed}"  # a warehouse holds nothing foreign
    bootstrap("copy", folder, seed=seed)
    return folder


def run(name: str, bases: list[str], given: argparse.Namespace) -> dict[str, Curves]:
    """One way, from one base or from all at once; accuracy by round and length of each loop."""
    runs = [f"{name}-{seed}" for seed in range(NUM_SEEDS if name == "guarded" else 1)]
    start = time.monotonic()

    def go_on(seed: int, rounds: int) -> None:
        others = {"voters": [one for one in runs if one != runs[seed]], "seed": seed}
        config = find_recipe(RECIPE).config.model_validate(settings(given) | GUARDS[name] | others)
        loop = LoopSpec(
            run=runs[seed],
            rounds=rounds,
            base_model=bases[seed],
            warehouse=given.warehouse,
            patience=given.rounds,
        )
        LOOPS[RECIPE](config, loop)

    with ThreadPoolExecutor(max_workers=len(runs)) as threads:
        for number in range(1, given.rounds + 1):  # a round asks the models of the round before
            list(threads.map(go_on, range(len(runs)), repeat(number)))
    print(f"\n{name}: {time.monotonic() - start:.0f} s")
    return {one: report(Warehouse.open(given.warehouse), one) for one in runs}


def settings(given: argparse.Namespace) -> dict[str, Any]:
    """What both loops share: the demo's settings for the copy model, and more lengths."""
    lengths = list(range(10, given.longest + 1))
    return {
        "environment": {"name": "copy"},
        "prompts": {"num": given.prompts},
        "num_seed_examples": 10_000,
        "sampling": {"n": 4, "temperature": 1.0, "max_new_tokens": given.longest + 8},
        "evaluation": {
            "seed": 0,
            "num": 100 * len(lengths),
            "difficulties": lengths,
            "num_samples": 4,
            "temperature": 1.0,
            "headroom_difficulties": [11],
        },
        "shard_size": 1000,
        "mix": {"rounds": "all", "newest_share": 0.5, "num_rows": given.steps * 64},
        "training": {
            "method": "sft",
            "learning_rate": 1e-3,
            "steps": given.steps,
            "warmup_steps": 20,
            "adam_beta2": 0.98,
            "weight_decay": 0.01,
            "batch_size": 64,
            "max_length": 128,
            "num_threads": 1,
        },
    }


def report(house: Warehouse, name: str) -> Curves:
    """Print what each round labelled and what its model can do."""
    with house.connect() as con:
        rounds = con.execute(_ROUNDS, {"run": name}).fetchall()
    curves: Curves = {}
    print(f"{name}\nround newest labels   right   verdict  longest  accuracy by length")
    for number, length, kept, right, verdict, lengths, accuracy in rounds:
        curves[number] = dict(zip(lengths, accuracy, strict=True))
        shown = " ".join(f"{value:.2f}" for value in accuracy)
        labels = (
            "                      " if kept is None else f"{length:>6} {kept:>6} {right:>7.1%} "
        )
        print(f"{number:>5} {labels} {verdict:>9} {reach(curves[number]):>7}  {shown}")
    return curves


def reach(accuracy: dict[int, float]) -> int:
    """The longest length up to which all are answered at `MASTERED` or better; 0 for none."""
    lengths = sorted(accuracy)
    failed = next((n for n in lengths if accuracy[n] < MASTERED), lengths[-1] + 1)
    return failed - 1 if failed > lengths[0] else 0


def draw(curves: dict[str, Curves], path: Path) -> None:
    """One panel per loop: a curve of accuracy by length for every round."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for axes, (name, rounds) in zip(panels, curves.items(), strict=True):
        last = max(rounds)
        for number, accuracy in rounds.items():
            shade = colormaps["viridis"](number / max(1, last))
            axes.plot(list(accuracy), list(accuracy.values()), color=shade, label=f"{number}")
        axes.set(title=name, xlabel="digits", ylim=(-0.02, 1.02))
        axes.axvline(10, color="gray", linewidth=0.8, linestyle=":")
    panels[0].set_ylabel("held-out accuracy")
    panels[-1].legend(title="round", fontsize="x-small", ncols=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    print(f"\n{path}")


if __name__ == "__main__":
    main()
