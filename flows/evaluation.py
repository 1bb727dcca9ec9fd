"""Evaluation of a model on held-out problems, and the gate's question to it."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.problem_stage import draw_heldout
from flows.sample_stage import Ask, answer
from flows.stages import Stages
from tasks.evaluation import GateDecision, decide, evaluation_rows
from tasks.evaluation.suites import paired_suite, suite_results
from tasks.models import ModelRef
from tasks.sampling import SamplingSpec


def evaluate_model(stages: Stages, model: ModelRef) -> None:
    """Ask a model the held-out problems, greedily and by samples, and write its metrics."""
    with stages.clock("evaluate"):
        spec = stages.config.evaluation
        problems = draw_heldout(stages)
        base = stages.config.sampling.model_copy(update={"top_k": 0, "top_p": 1.0})
        greedy = base.model_copy(update={"n": 1, "temperature": 0.0})
        asks = [Ask("evaluate", model, problems, greedy, "heldout-greedy")]
        if spec.num_samples:
            drawn = SamplingSpec(
                n=spec.num_samples,
                temperature=spec.temperature,
                max_new_tokens=base.max_new_tokens,
            )
            asks.append(Ask("evaluate", model, problems, drawn, "heldout-samples"))
        answer(stages, *asks)
        write_evaluations(stages, model)


@task(name="evaluate", cache_policy=NO_CACHE)
def write_evaluations(stages: Stages, model: ModelRef) -> None:
    """Write pass@1, pass@k and maj@k with intervals, overall and per difficulty."""
    with stages.warehouse.connect() as con:
        results = suite_results(con, stages.run, model.id)
    num = stages.config.evaluation.num_samples
    rows = evaluation_rows(
        results,
        run=stages.run,
        round=stages.number,
        model_id=model.id,
        weight_hash=model.weight_hash,
        suite=stages.environment.name,
        split="heldout",
        ks=sorted({1, num}) if num else (),
    )
    stages.warehouse.write("evaluations", rows, run=stages.run, round=stages.number, part="heldout")


@task(name="gate", cache_policy=NO_CACHE)
def judge_candidate(stages: Stages, candidate: ModelRef) -> GateDecision:
    """Candidate against incumbent on the same held-out problems."""
    with stages.warehouse.connect() as con:
        before = suite_results(con, stages.run, stages.incumbent.id)
        after = suite_results(con, stages.run, candidate.id)
    return decide([paired_suite(stages.environment.name, before, after)], stages.config.gate)
