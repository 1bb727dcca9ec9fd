"""Evaluation of a model on held-out problems, and the gate's question to it."""

from __future__ import annotations

from copy import copy
from dataclasses import asdict
from pathlib import Path

import duckdb
from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.heldout import HeldoutSuite
from flows.parameters import as_it_is
from flows.problem_stage import draw_heldout
from flows.sample_stage import Ask, answer
from flows.stages import Stages
from tasks.environments import Environment
from tasks.evaluation import GateDecision, decide, evaluation_rows, level_of_test
from tasks.evaluation.contamination import contamination_checks, find_contamination
from tasks.evaluation.suites import paired_suite, suite_results
from tasks.models import ModelRef
from tasks.sampling import SamplingSpec


def evaluate_model(stages: Stages, model: ModelRef) -> None:
    """Ask a model the held-out problems, greedily and by samples, and write its metrics."""
    with stages.clock("evaluate"):
        for suite in draw_heldout(stages):
            answer(_at(stages, suite.environment), *_asks(stages, model, suite))
            write_evaluations(stages, model, as_it_is(suite))


def _at(stages: Stages, environment: Environment) -> Stages:
    """The same round, asking about problems of another environment."""
    if environment is stages.environment:
        return stages
    other = copy(stages)  # tokens and engines stay shared
    other.environment = environment
    return other


def _asks(stages: Stages, model: ModelRef, suite: HeldoutSuite) -> list[Ask]:
    """What a model is asked of a suite; samples only where something is made of them."""
    longest = suite.max_new_tokens or stages.config.sampling.max_new_tokens
    update = {"n": 1, "temperature": 0.0, "top_k": 0, "top_p": 1.0, "max_new_tokens": longest}
    greedy = stages.config.sampling.model_copy(update=update)
    asks = [Ask("evaluate", model, suite.problems, greedy, f"{suite.part}-greedy")]
    num = _num_samples(stages, suite)
    if num:
        temperature = stages.config.evaluation.temperature
        drawn = SamplingSpec(n=num, temperature=temperature, max_new_tokens=longest)
        asks.append(Ask("evaluate", model, suite.problems, drawn, f"{suite.part}-samples"))
    return asks


def _num_samples(stages: Stages, suite: HeldoutSuite) -> int:
    is_needed = suite.key is None or stages.config.gate.answers == "samples"
    return stages.config.evaluation.num_samples if is_needed else 0


@task(name="evaluate", task_run_name="evaluate {suite.name}", cache_policy=NO_CACHE)
def write_evaluations(stages: Stages, model: ModelRef, suite: HeldoutSuite) -> None:
    """Write pass@1, pass@k and maj@k with intervals, overall and per difficulty."""
    with stages.warehouse.connect() as con:
        results = suite_results(con, stages.run, model.id, suite.key)
    num = _num_samples(stages, suite)
    rows = evaluation_rows(
        results,
        run=stages.run,
        round=stages.number,
        model_id=model.id,
        weight_hash=model.weight_hash,
        suite=suite.name,
        split="heldout" if suite.key is None else "skills",
        ks=sorted({1, num}) if num else (),
    )
    stages.warehouse.write(
        "evaluations", rows, run=stages.run, round=stages.number, part=suite.part
    )


@task(name="gate", cache_policy=NO_CACHE)
def judge_candidate(stages: Stages, candidate: ModelRef, trained_on: Path) -> GateDecision:
    """Candidate against incumbent on the same held-out problems, suite by suite."""
    spec = stages.config.gate
    num = stages.config.evaluation.num_samples if spec.answers == "samples" else None
    keys = [None, *(suite.name for suite in stages.config.evaluation.suites)]
    with stages.warehouse.connect() as con:
        suites = [
            paired_suite(
                key or stages.environment.name,
                suite_results(con, stages.run, stages.incumbent.id, key),
                suite_results(con, stages.run, candidate.id, key),
                num,
            )
            for key in keys
        ]
        found = _earlier_tests(con, stages.run, stages.number)
    level = spec.alpha
    if spec.correction == "fallback":
        level = level_of_test(spec.alpha, found, spec.planned_rounds)
    others: list[tuple[bool, str]] = []
    if spec.contamination != "off":
        words = spec.contamination_words
        seen = find_contamination(stages.warehouse, stages.run, trained_on, words)
        others = contamination_checks(seen, spec)
    decision = decide(suites, spec, level, others)
    kept = decision.statistics
    stages.metrics["gate"] = {
        "answers_per_problem": num or 1,
        "level": kept.level,
        "is_significant": kept.is_significant,
        "primary": asdict(kept.primary),
        "suites": [asdict(suite) for suite in kept.suites],
    }
    return decision


def _earlier_tests(con: duckdb.DuckDBPyConnection, run: str, number: int) -> list[bool]:
    """Whether each test of the run so far found a gain; rounds that ended before it had none."""
    rows = con.execute(
        "SELECT (metrics -> '$.gate.is_significant')::BOOLEAN AS found FROM rounds "
        "WHERE run = $run AND round < $number AND found IS NOT NULL ORDER BY round",
        {"run": run, "number": number},
    ).fetchall()
    return [found for (found,) in rows]
