"""The demo: two self-training loops on the shipped seed models, and one that collapses.

Everything is the real thing at a small size: the recipes below are the published ones with
settings that fit a model of 0.4 M parameters and ten minutes on two cores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flows.recipes import find_recipe
from flows.recipes.config import LoopSpec, RecipeConfig
from flows.self_training import LOOPS, LoopResult

KNOWN_ANSWERS = "words-rest-em"
KNOWN_ANSWERS_DPO = "words-iterative-rpo"
NO_ANSWERS = "copy-no-answers"
COLLAPSE = "copy-collapse"

_WORDS: dict[str, Any] = {
    "environment": {"name": "word_problems"},
    "prompts": {"num": 800, "difficulties": [1, 2, 3]},
    "evaluation": {"num": 720, "difficulties": [1, 2, 3], "num_samples": 4},
    "start_from": "previous",
    "shard_size": 200,
}
_COPY: dict[str, Any] = {
    "environment": {"name": "copy"},
    "prompts": {"num": 800},
    "sampling": {"n": 8, "temperature": 1.0, "max_new_tokens": 24},
    "evaluation": {
        "num": 600,
        "difficulties": [10, 11, 12, 13, 14],
        "num_samples": 4,
        "temperature": 1.0,
        "headroom_difficulties": [11],
    },
    "shard_size": 250,
    "mix": {"rounds": "all", "newest_share": 0.5, "num_rows": 400 * 64},
    "training": {
        "method": "sft",
        "learning_rate": 1e-3,
        "steps": 400,
        "warmup_steps": 20,
        "adam_beta2": 0.98,
        "weight_decay": 0.01,
        "batch_size": 64,
        "max_length": 128,
    },
}


@dataclass(frozen=True)
class DemoLoop:
    """One loop of the demo: a recipe, its settings, and what it is to show."""

    recipe: str
    config: RecipeConfig
    loop: LoopSpec
    shows: str


def demo_loops(warehouse: str) -> list[DemoLoop]:
    """The loops of `selfloom demo`: answers known (SFT, then DPO), and no answers at all."""
    sft = _WORDS | {
        "sampling": {"n": 8, "temperature": 1.0, "top_k": 0, "max_new_tokens": 48},
        "max_per_prompt": 4,
        "training": {
            "method": "sft",
            "learning_rate": 1e-3,
            "steps": 120,
            "lr_schedule": "linear",
            "warmup_steps": 10,
            "adam_beta2": 0.98,
            "batch_size": 64,
            "max_length": 192,
        },
    }
    dpo = _WORDS | {
        "prompts": {"num": 1200, "difficulties": [1, 2, 3]},
        "sampling": {"n": 8, "temperature": 1.0, "max_new_tokens": 48},
        "max_pairs": 2,
        "unparsed_is_wrong": True,
        "training": {
            "method": "dpo",
            "beta": 0.5,
            "nll_weight": 1.0,
            "learning_rate": 1e-5,
            "steps": 150,
            "warmup_steps": 8,
            "adam_beta2": 0.98,
            "batch_size": 32,
            "max_length": 192,
        },
    }
    return [
        _loop("rest_em", sft, KNOWN_ANSWERS, 3, "seed:programs", warehouse, "answers known: SFT"),
        _loop(
            "iterative_rpo",
            dpo,
            KNOWN_ANSWERS_DPO,
            1,
            f"promoted:{KNOWN_ANSWERS}",
            warehouse,
            "answers known: DPO",
        ),
        _loop("length_generalization", _COPY, NO_ANSWERS, 3, "seed:copy", warehouse, "no answers"),
    ]


def collapse_loop(warehouse: str) -> DemoLoop:
    """The label-free loop with neither confident votes nor a gate, two digits at a time."""
    config = _COPY | {
        "step": 2,
        "min_share": 0.0,
        "gate": {"alpha": 1.0, "non_inferiority": "off"},
    }
    return _loop(
        "length_generalization", config, COLLAPSE, 4, "seed:copy", warehouse, "the collapse"
    )


def run_demo_loop(demo: DemoLoop) -> LoopResult:
    """Run one loop of the demo under Prefect; what is done already is not done again."""
    return LOOPS[demo.recipe](demo.config, demo.loop)


def _loop(
    recipe: str,
    values: dict[str, Any],
    run: str,
    rounds: int,
    base_model: str,
    warehouse: str,
    shows: str,
) -> DemoLoop:
    config = find_recipe(recipe).config.model_validate(values)
    loop = LoopSpec(run=run, rounds=rounds, base_model=base_model, warehouse=warehouse)
    return DemoLoop(recipe, config, loop, shows)
