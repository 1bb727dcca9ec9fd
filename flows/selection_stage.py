"""Votes, dedup and selections of a round, as Prefect tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.checks.votes import vote
from tasks.dedup import DedupReport, dedup, write_ways
from tasks.selection import Selection, SelectionReport, select

if TYPE_CHECKING:
    from flows.stages import Stages


@task(name="vote", cache_policy=NO_CACHE)
def count_votes(stages: Stages) -> None:
    """Count the votes of the round."""
    if not stages.warehouse.parts("votes", run=stages.run, round=stages.number):
        memory_gib = stages.config.selection.memory_gib
        vote(stages.warehouse, run=stages.run, round=stages.number, memory_gib=memory_gib)


@task(name="ways", cache_policy=NO_CACHE)
def find_ways(stages: Stages) -> int:
    """Write the check `way`; doing it again writes the same rows."""
    memory_gib = stages.config.selection.memory_gib
    return write_ways(stages.warehouse, run=stages.run, round=stages.number, memory_gib=memory_gib)


@task(name="select", cache_policy=NO_CACHE)
def select_rows(
    stages: Stages, selections: Sequence[Selection], filters: Sequence[Selection]
) -> SelectionReport:
    """Run the selections; doing it again writes the same rows."""
    spec = stages.config.selection
    return select(
        stages.warehouse,
        [spec.rule.selection()] if spec.rule else selections,
        run=stages.run,
        round=stages.number,
        seed=stages.config.seed,
        allow_references=stages.recipe.allow_references,
        filters=[*filters, *(one.selection() for one in spec.filters)],
        memory_gib=spec.memory_gib,
    )


@task(name="dedup", cache_policy=NO_CACHE)
def drop_copies(stages: Stages) -> DedupReport:
    """Drop samples that say what another says; doing it again writes the same rows."""
    spec = stages.config.selection
    return dedup(
        stages.warehouse,
        spec.dedup,
        run=stages.run,
        round=stages.number,
        memory_gib=spec.memory_gib,
    )
