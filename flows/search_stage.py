"""Try temperatures on some problems of a round, and score samples by what that found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.ask_stage import ask
from flows.progress import say
from tasks.ask import Sample
from tasks.balance import BalanceSpec, Search, search_balance, write_balanced
from tasks.sampling import SamplingSpec

if TYPE_CHECKING:
    from flows.stages import Stages

TRIAL = "trial"


def try_temperatures(
    stages: Stages, spec: BalanceSpec, sampling: SamplingSpec, num_given: int
) -> Search:
    """Ask about some problems at every temperature, and find the best one and its threshold.

    What is tried is in `samples` with the role `trial`, and never becomes a training row.

    Args:
        stages: The round; its problems are drawn.
        spec: What is tried.
        sampling: How completions are drawn but for number and temperature.
        num_given: Solutions of each problem that are learned besides.
    """
    for number, temperature in enumerate(spec.temperatures):
        own = {"n": spec.num_samples, "temperature": temperature}
        settings = sampling.model_copy(update=own).model_dump()
        trial = Sample(role=TRIAL, template="as_is", over="some_prompts", **settings)
        limits = {"num_problems": spec.num_problems}
        ask(stages, trial, f"{TRIAL}-{number}", graded=(TRIAL,), variables=limits)
    score_balanced(stages, spec, TRIAL)
    found = find_balance(stages, spec, num_given)
    best = found.chosen
    say(
        f"{stages.run} round {stages.number}: temperature {best.temperature:g}, threshold "
        f"{best.threshold:g}, {best.per_problem} rows per problem: balance {best.balance:.3f}"
    )
    return found


@task(name="balanced scores", cache_policy=NO_CACHE)
def score_balanced(stages: Stages, spec: BalanceSpec, role: str) -> int:
    """Write the check `balanced`; doing it again writes the same rows."""
    return write_balanced(stages.warehouse, spec, run=stages.run, round=stages.number, role=role)


@task(name="search balance", cache_policy=NO_CACHE)
def find_balance(stages: Stages, spec: BalanceSpec, num_given: int) -> Search:
    """Compare temperatures and thresholds by what was tried."""
    return search_balance(
        stages.warehouse,
        spec,
        run=stages.run,
        round=stages.number,
        role=TRIAL,
        num_given=num_given,
    )
