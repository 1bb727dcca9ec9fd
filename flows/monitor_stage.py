"""The monitors of a round: before anything is trained, and after training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.corrections import (
    asked_corrections,
    earlier_corrections,
    for_metrics,
    wanted_by,
)
from flows.stages import Stages
from tasks.evaluation import ProblemResult, suite_results
from tasks.heldout_metrics import heldout_metrics
from tasks.models import ModelRef
from tasks.monitors import Finding, monitor_round, with_actions
from tasks.monitors.heldout_signatures import hidden_regression, spent_diversity
from tasks.monitors.signatures import chosen_logprob
from tasks.round_metrics import RoundMetrics, earlier_rounds, round_metrics


@task(name="monitors", cache_policy=NO_CACHE)
def watch(stages: Stages) -> tuple[RoundMetrics, list[Finding]]:
    """The round's metrics and what the monitors say of them, before anything is trained."""
    with stages.warehouse.connect() as con:
        metrics = round_metrics(con, stages.run, stages.number)
        earlier = [m for number, m in earlier_rounds(con, stages.run, stages.number) if number]
    metrics = replace(
        metrics,
        judges=stages.metrics.get("judges", {}),
        rewards=stages.metrics.get("rewards", {}),
    )
    findings = monitor_round(
        metrics, earlier, stages.config.monitors, labels=stages.recipe.labels_from
    )
    return metrics, findings


@task(name="monitor training", cache_policy=NO_CACHE)
def watch_training(
    stages: Stages, metrics: RoundMetrics, measured: dict[str, Any]
) -> list[Finding]:
    """What the monitors say of the training itself."""
    trained = RoundMetrics.from_dict(metrics.to_dict() | measured)
    spec = stages.config.monitors
    return with_actions([chosen_logprob(trained, (), spec)], spec)


@task(name="monitor candidate", cache_policy=NO_CACHE)
def watch_candidate(stages: Stages, candidate: ModelRef) -> list[Finding]:
    """What the monitors say of the evaluated candidate; its held-out metrics go to the round's."""
    spec, run = stages.config.monitors, stages.run
    with stages.warehouse.connect() as con:
        stages.metrics["heldout"] = {
            "before": heldout_metrics(con, run, stages.incumbent.id),
            "after": heldout_metrics(con, run, candidate.id),
        }
        models = (stages.base.id, candidate.id)
        first, last = (suite_results(con, run, model) for model in models)
        suites = [suite.name for suite in stages.config.evaluation.suites]
        others = {
            f"suite {suite}": [suite_results(con, run, model, suite) for model in models]
            for suite in suites
        }
    groups = {
        f"difficulty {level}": [_of_level(first, level), _of_level(last, level)]
        for level in sorted({r.difficulty for r in last if r.difficulty is not None})
    }
    groups |= others
    found = [spent_diversity(first, last, spec), hidden_regression(groups, spec)]
    return with_actions(found, spec)


def _of_level(results: list[ProblemResult], level: int) -> list[ProblemResult]:
    return [result for result in results if result.difficulty == level]


def ending_of(findings: Iterable[Finding]) -> str | None:
    """How findings end a round before its model is judged: `stopped`, `rejected` or not at all."""
    known = list(findings)
    if any(finding.done == "stop" for finding in known):
        return "stopped"
    return "rejected" if any(finding.withholds for finding in known) else None


def correct_later_rounds(
    stages: Stages, findings: Iterable[Finding], *, is_rejected: bool
) -> list[str]:
    """Record in the round's metrics what later ones change because of it; returns sentences."""
    wanted = wanted_by(findings)
    if is_rejected and stages.run_config.after_reject == "hotter":
        wanted.append(("after_reject", "hotter"))
    if not wanted:
        return []
    earlier = earlier_corrections(stages.warehouse, stages.run, stages.number)
    asked = asked_corrections(stages.run_config, stages.recipe, stages.number, earlier, wanted)
    stages.metrics["corrections"] = for_metrics(asked)
    return [str(one) for one in asked]
