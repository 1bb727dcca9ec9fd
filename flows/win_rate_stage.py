"""Compare the round's samples with each other by a preference: the stage over `tasks.judging`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.checks.ds_weight import ds_weights
from tasks.checks.similarity import similarities
from tasks.judging import WinRateSpec, win_rates

if TYPE_CHECKING:
    from flows.stages import Stages


@task(name="win rates", cache_policy=NO_CACHE)
def write_win_rates(stages: Stages, spec: WinRateSpec) -> None:
    """Write the check `win_rate`; doing it again writes the same rows."""
    win_rates(
        stages.warehouse,
        spec,
        run=stages.run,
        round=stages.number,
        memory_gib=stages.config.selection.memory_gib,
    )


@task(name="similarities", cache_policy=NO_CACHE)
def write_similarities(stages: Stages) -> None:
    """Write the check `similarity`; doing it again writes the same rows."""
    similarities(
        stages.warehouse,
        run=stages.run,
        round=stages.number,
        memory_gib=stages.config.selection.memory_gib,
    )


@task(name="distribution shift", cache_policy=NO_CACHE)
def write_ds_weights(stages: Stages) -> None:
    """Write the check `ds_weight`; doing it again writes the same rows."""
    ds_weights(
        stages.warehouse,
        run=stages.run,
        round=stages.number,
        memory_gib=stages.config.selection.memory_gib,
    )
