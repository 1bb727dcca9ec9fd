"""Measure samples by what models say of their texts: stages over `tasks.measures`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.progress import say, stage_progress
from flows.sample_stage import has_part
from tasks.engines import Engine
from tasks.measures import Likelihood, Measure, join_log_ratio, measure_samples
from tasks.measures.run import part_name
from tasks.models import ModelRef

if TYPE_CHECKING:
    from flows.stages import Stages


def measure(
    stages: Stages, measure: Measure, *, model: ModelRef | None = None, of: str = "sample"
) -> None:
    """Write one `scores` row per sample; what is measured already is not measured again.

    Args:
        stages: The round.
        measure: What to measure; its name is the check. Two measures of a round need two names.
        model: Whose probabilities; None for the incumbent.
        of: The stage whose samples are measured: `sample`, `labelled`, or the name of an ask.
    """
    for part in sample_parts(stages, of):
        if not has_part(stages, "scores", part_name(measure.name, part)):
            engine = stages.engines.of(model or stages.incumbent)
            measure_part(stages, measure, engine, part)


def log_ratio(
    stages: Stages,
    reference: ModelRef,
    *,
    policy: ModelRef | None = None,
    beta: float = 1.0,
    name: str = "log_ratio",
    of: str = "sample",
) -> None:
    """Write beta * (log pi(y | x) - log pi_ref(y | x)) of every sample, one model after the other.

    Args:
        stages: The round.
        reference: The model to compare with.
        policy: The model that is compared; None for the incumbent.
        beta: Factor of the log-ratio.
        name: The check that is written; those of the two models are called `<name>_policy` and
            `<name>_reference`.
        of: The stage whose samples are measured.
    """
    sides = Likelihood(f"{name}_policy"), Likelihood(f"{name}_reference")
    for side, model in zip(sides, (policy, reference), strict=True):
        measure(stages, side, model=model, of=of)
    join(stages, name, beta, sample_parts(stages, of))


def sample_parts(stages: Stages, of: str) -> list[str]:
    """The parts of `samples` that a stage of the round wrote.

    Parts of other stages are left out, so that a round which goes on after its candidate was
    evaluated measures the same samples as before.
    """
    parts = stages.warehouse.parts("samples", run=stages.run, round=stages.number)
    found = sorted(part.name for part in parts if of in (part.name, part.name.rpartition("-")[0]))
    if not found:
        say(f"{stages.run} round {stages.number}: stage {of!r} wrote no samples to measure")
    return found


@task(name="measure part", task_run_name="measure {part}", cache_policy=NO_CACHE)
def measure_part(stages: Stages, measure: Measure, engine: Engine, part: str) -> None:
    """Measure one part of samples; every group of them is safe at once."""
    with stage_progress(f"round {stages.number} {measure.name} {part}", "samples") as progress:
        measure_samples(
            stages.warehouse,
            engine,
            measure,
            run=stages.run,
            round=stages.number,
            parts=[part],
            on_progress=progress,
        )


@task(name="join log-ratio", cache_policy=NO_CACHE)
def join(stages: Stages, name: str, beta: float, parts: list[str]) -> None:
    """Put what the two models said together."""
    join_log_ratio(
        stages.warehouse,
        run=stages.run,
        round=stages.number,
        parts=parts,
        beta=beta,
        name=name,
        policy=f"{name}_policy",
        reference=f"{name}_reference",
    )
