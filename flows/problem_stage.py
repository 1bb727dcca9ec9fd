"""Problems of an environment that a round asks about, as rows of `prompts`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.heldout import HeldoutSuite, heldout_suites
from flows.recipes.config import PromptSpec
from storage import content_id
from tasks.environments import Problem

if TYPE_CHECKING:
    from flows.stages import Stages


@task(name="draw problems", cache_policy=NO_CACHE)
def draw_problems(stages: Stages, prompts: PromptSpec) -> list[Problem]:
    """The round's train problems, in the `prompts` table and in memory."""
    problems = stages.environment.problems(
        "train", prompts.num, problem_seed(stages), prompts.difficulties
    )
    write_prompts(stages, problems, "train", stages.number)
    return problems


def problem_seed(stages: Stages) -> int:
    """The seed of a round's train problems: the same wherever they are drawn."""
    return stages.config.seed * 1000 + stages.number


@task(name="draw seeds", cache_policy=NO_CACHE)
def draw_seeds(stages: Stages, prompts: PromptSpec) -> None:
    """The run's seed problems, written in round 0."""
    seed, levels = stages.config.seed, prompts.difficulties
    problems = stages.environment.problems("train", prompts.num, seed, levels)
    write_prompts(stages, problems, "seeds", 0)


@task(name="draw held-out problems", cache_policy=NO_CACHE)
def draw_heldout(stages: Stages) -> list[HeldoutSuite]:
    """The run's held-out problems by suite: the same in every round, written in round 0."""
    suites = heldout_suites(stages.environment, stages.config)
    if stages.number == 0:
        for suite in suites:
            write_prompts(stages, suite.problems, suite.part, 0, suite)
    return suites


def write_prompts(
    stages: Stages,
    problems: Sequence[Problem],
    part: str,
    number: int,
    suite: HeldoutSuite | None = None,
) -> None:
    """Write problems as `prompts` rows of round `number`, source `seed`, unless they are there."""
    environment = suite.environment if suite else stages.environment
    if stages.warehouse.has("prompts", run=stages.run, round=number, part=part):
        return
    rows = [
        {
            "id": problem.id,
            "environment": environment.name,
            "messages": problem.messages,
            "reference": problem.reference,
            "source": "seed",
            "parent_ids": [],
            "split": problem.split,
            "difficulty": problem.difficulty,
            "metadata": problem.metadata,
            "suite": suite.key if suite else None,
        }
        for problem in problems
    ]
    stages.warehouse.write("prompts", rows, run=stages.run, round=number, part=part)


@task(name="seed examples", cache_policy=NO_CACHE)
def write_seed_examples(stages: Stages, num: int, difficulties: list[int] | None) -> None:
    """Write labelled examples into round 0; their reference is the completion."""
    place: dict[str, object] = {"run": stages.run, "round": 0, "part": "seed"}
    if stages.warehouse.has("examples", **place):  # type: ignore[arg-type]
        return
    problems = stages.environment.problems("train", num, stages.config.seed, difficulties)
    write_prompts(stages, problems, "seed", 0)
    rows = [
        {
            "id": content_id("example", stages.run, 0, "seed", problem.id),
            "prompt_id": problem.id,
            "prompt": problem.messages,
            "completion": [{"role": "assistant", "content": problem.reference}],
            "weight": 1.0,
            "sample_ids": [],
            "score_ids": [],
            "vote_ids": [],
        }
        for problem in problems
    ]
    stages.warehouse.write("examples", rows, **place)  # type: ignore[arg-type]
