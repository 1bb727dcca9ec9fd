"""Put the environment's own solutions into a round, checked like any sample."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.parameters import as_it_is
from flows.recipes.config import PromptSpec
from flows.sample_stage import check_in_turn, has_part, open_box, seal_parts
from sandbox import Runner
from tasks.environments import Problem
from tasks.labelled import LABELLED, labelled_rows, solved_problems

if TYPE_CHECKING:
    from flows.stages import Stages


def write_labelled(
    stages: Stages, prompts: PromptSpec, seed: int, role: str, num: int | None
) -> None:
    """Write solutions of the round's train problems as samples of the policy `labelled`.

    Args:
        stages: The round.
        prompts: Which problems; the same as those that the policy is asked.
        seed: The seed that they were drawn with.
        role: Their `samples.role`.
        num: How many of them, the first ones; None for all.

    Raises:
        OptionError: The environment has no solutions.
    """
    if has_part(stages, "scores", LABELLED):
        seal_parts(stages, [LABELLED])
        return
    solved = solved_problems(stages.environment, "train", prompts.num, seed, prompts.difficulties)
    with ExitStack() as stack:
        check_labelled(stages, open_box(stages, stack), as_it_is(solved[:num]), role)
    seal_parts(stages, [LABELLED])


@task(name="check solutions", cache_policy=NO_CACHE, retries=2)
def check_labelled(
    stages: Stages, box: Runner | None, solved: list[tuple[Problem, str]], role: str
) -> None:
    """Write the solutions, run them where they are programs, and parse their answers."""
    house, run, number = stages.warehouse, stages.run, stages.number
    if not has_part(stages, "samples", LABELLED):
        rows = labelled_rows(solved, role, run=run, round=number)
        house.write_shard("samples", rows, run=run, round=number, part=LABELLED)
    references = {problem.id: problem.reference for problem, _ in solved}
    check_in_turn(stages, box, references, LABELLED)
