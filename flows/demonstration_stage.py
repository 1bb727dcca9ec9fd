"""Train on whatever was asked, not on answers alone: a stage over `tasks.demonstrations`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.demonstrations import Demonstration, DemonstrationReport, demonstrate

if TYPE_CHECKING:
    from flows.stages import Stages


@task(name="demonstrate", cache_policy=NO_CACHE)
def write_demonstrations(
    stages: Stages, demonstrations: Sequence[Demonstration]
) -> DemonstrationReport:
    """Write the round's examples; doing it again writes the same rows."""
    spec = stages.config.selection
    return demonstrate(
        stages.warehouse,
        demonstrations,
        run=stages.run,
        round=stages.number,
        seed=stages.config.seed,
        allow_references=stages.recipe.allow_references,
        filters=[one.selection() for one in spec.filters],
        memory_gib=spec.memory_gib,
    )
