"""Making prompts: what a model writes as questions becomes problems of the round, beside the given.

The work is in `tasks.prompts` and `tasks.ask`; this is what a recipe's stage does with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows import ask_stage
from flows.progress import say
from tasks.ask import Sample
from tasks.checks.verified import verify_answers
from tasks.environments import Problem, wrapping
from tasks.errors import OptionError
from tasks.models import ModelRef
from tasks.prompts import MadeReport, PromptRules
from tasks.prompts import make_prompts as make

if TYPE_CHECKING:
    from flows.stages import Stages

ProblemsOf = Literal["environment", "made", "all"]
"""Problems to answer: the environment's, those that a model made, or both."""

PREFIXES: dict[ProblemsOf, str] = {"environment": "sample", "made": "made", "all": "all"}


def make_prompts(
    stages: Stages,
    asks: Sequence[Sample],
    rules: PromptRules,
    name: str,
    *,
    model: ModelRef | None = None,
    variables: Mapping[str, object] | None = None,
) -> MadeReport:
    """Ask for questions and turn them into prompts; see `Stages.make_prompts`.

    Raises:
        OptionError: The samples of one call differ in more than how they are drawn.
    """
    told = {(one.role, one.turn, one.check_name) for one in asks}
    if len(told) != 1:
        raise OptionError(
            f"make_prompts {name!r}: roles, turns and checks are {sorted(told)}; the samples of "
            "one call share them, so that they are told from others: call it once for each"
        )
    given = {**wrapping(stages.environment), **(variables or {})}
    for number, sample in enumerate(asks):
        ask_stage.ask(stages, sample, f"{name}-{number}", model=model, variables=given)
    return write_made(stages, asks[0], rules, name)


@task(name="make prompts", task_run_name="make prompts {name}", cache_policy=NO_CACHE)
def write_made(stages: Stages, sample: Sample, rules: PromptRules, name: str) -> MadeReport:
    """Write what was asked for as prompts and rejections; doing it again changes nothing."""
    report = make(
        stages.warehouse,
        sample,
        rules,
        environment=stages.environment,
        run=stages.run,
        round=stages.number,
        part=name,
        memory_gib=stages.config.selection.memory_gib,
    )
    say(
        f"{stages.run} round {stages.number}: {name}: {report.num_made} prompts of "
        f"{report.num_samples} samples"
    )
    return report


def made_problems(stages: Stages) -> list[Problem]:
    """The problems of the round that a model made; nobody knows their answers."""
    rows = stages.warehouse.read("prompts", run=stages.run, round=stages.number).to_pylist()
    return [
        Problem(row["id"], row["messages"], row["reference"], row["difficulty"], row["split"])
        for row in sorted(rows, key=lambda row: str(row["id"]))
        if row["source"] != "seed" and row["split"] == "train"
    ]


@task(name="verify", cache_policy=NO_CACHE)
def verify(stages: Stages) -> int:
    """Score answers to made problems by the environment's own working; the number of scores."""
    return verify_answers(stages.warehouse, stages.environment, run=stages.run, round=stages.number)
