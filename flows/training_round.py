"""One round: the recipe's stages, then training, evaluation, the gate, and the round's row."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.approval import Approval, ask_for_approval
from flows.estimates import show_comparison
from flows.evaluation import evaluate_model, judge_candidate
from flows.events import emit_round_event
from flows.monitor_stage import (
    correct_later_rounds,
    ending_of,
    watch,
    watch_candidate,
    watch_training,
)
from flows.progress import say, stage_progress
from flows.recipes import find_recipe
from flows.recipes.config import RecipeConfig
from flows.slots import device_slot
from flows.stages import ONE_AFTER_ANOTHER, Stages
from storage import Warehouse, content_id
from tasks.data_mix import FrozenTable, TrainingTable, freeze_mix
from tasks.environments import load_environment
from tasks.evaluation.gate import GateDecision
from tasks.evaluation.suites import suite_results
from tasks.headroom import Headroom, headroom
from tasks.models import ModelRef, check_weights, incumbent_of, path_in_tables, resolve_model
from tasks.monitors import Finding
from tasks.sql_script import SQL_DIGEST
from tasks.training import TrainedModel, train_model


@dataclass(frozen=True)
class RoundResult:
    """How a round ended.

    Attributes:
        number: Number of the round.
        verdict: `promoted`, `rejected`, `stopped` (by a monitor) or `none` (round 0).
        model_id: The incumbent after the round.
        reasons: The gate's sentences, or the monitors' findings.
    """

    number: int
    verdict: str
    model_id: str
    reasons: list[str]


@flow(
    name="training_round",
    flow_run_name="{run}-round-{number}",
    retries=1,
    task_runner=ONE_AFTER_ANOTHER,
)
def training_round(
    recipe: str,
    config: RecipeConfig,
    run: str,
    number: int,
    warehouse: str,
    base_model: str,
    approval_h: float | None = None,
) -> RoundResult:
    """Run one round of a run; what is done already is not done again.

    Args:
        recipe: Name of the recipe.
        config: Its settings.
        run: Name of the run.
        number: Number of the round; 0 measures the base model.
        warehouse: Folder of the warehouse.
        base_model: Model of round 0, as `resolve_model` takes it.
        approval_h: Hours to wait for a person's word on a promotion; none is asked for without.
    """
    house = Warehouse.open(warehouse)
    finished = read_result(house, run, number)
    if finished is not None:
        return finished
    stages = _open_stages(house, recipe, config, run, number, base_model)
    with stages.engines, ExitStack() as device:
        device.enter_context(device_slot())
        if number == 0:
            _measure_base(stages)
        else:
            _run_round(stages, device, approval_h)
    house.refresh_catalog()
    result = read_result(house, run, number)
    assert result is not None
    return result


def read_result(warehouse: Warehouse, run: str, number: int) -> RoundResult | None:
    """The result of a finished round, None if it is not finished."""
    if not warehouse.has("rounds", run=run, round=number, part="round"):
        return None
    (row,) = warehouse.read("rounds", run=run, round=number).to_pylist()
    kept = row["child_model_id"] if row["gate_verdict"] == "promoted" else row["parent_model_id"]
    return RoundResult(
        number, row["gate_verdict"], kept, [*row["gate_reasons"], *row["monitor_findings"]]
    )


def _open_stages(
    house: Warehouse, recipe: str, config: RecipeConfig, run: str, number: int, base_model: str
) -> Stages:
    incumbent = incumbent_of(house, run, before_round=number) if number else None
    base = resolve_model(house, f"{run}-base" if incumbent else base_model)
    with house.connect() as con:
        ((promoted,),) = con.execute(
            "SELECT count(*) FROM rounds WHERE run = $run AND gate_verdict = 'promoted' "
            "AND round < $number",
            {"run": run, "number": number},
        ).fetchall()
    environment = load_environment(config.environment.name, config.environment.options)
    method = find_recipe(recipe)
    if incumbent is None:  # round 0: the base gets its name in this run
        base = ModelRef(f"{run}-base", base.path, base.weight_hash)
    return Stages(
        house, method, config, environment, run, number, incumbent or base, base, promoted
    )


def _measure_base(stages: Stages) -> None:
    """Round 0: evaluate the base, so that every later model has something to beat."""
    say(f"{stages.run} round 0: measuring the base model")
    evaluate_model(stages, stages.base)
    found = _headroom(stages)
    write_model(stages, stages.base, "base", None, {})
    metrics = {} if found is None else {"headroom": found.to_dict()}
    write_round(stages, stages.base, "none", [], [], metrics)
    if found is not None:
        say(f"{stages.run} round 0: {found.reason}")


def _run_round(stages: Stages, device: ExitStack, approval_h: float | None) -> None:
    say(f"{stages.run} round {stages.number}: {stages.recipe.name} from {stages.incumbent.id}")
    table = stages.recipe.compose(stages, stages.config)
    metrics, findings = watch(stages)
    if ending_of(findings):
        _end_early(stages, findings, None, metrics.to_dict())
        return
    stages.engines.close()  # the trainer needs their memory
    with stages.clock("train"):
        frozen = freeze(stages, table)
        trained = train(stages, frozen)
    candidate = ModelRef(
        f"{stages.run}-r{stages.number}",
        stages.warehouse.model_path(f"{stages.run}-r{stages.number}"),
        trained.weight_hash,
        _start_model(stages).id,
    )
    measured = _training_metrics(trained)
    kept = metrics.to_dict() | measured
    of_training = watch_training(stages, metrics, measured)
    findings = [*of_training, *findings]
    if ending_of(of_training):
        write_model(stages, candidate, "rejected", frozen, measured)
        _end_early(stages, findings, candidate, kept)
        return
    evaluate_model(stages, candidate)
    decision = judge_candidate(stages, candidate, frozen.path)
    findings = [*watch_candidate(stages, candidate), *findings]
    if ending_of(findings) is not None:
        write_model(stages, candidate, "rejected", frozen, measured)
        _end_early(stages, findings, candidate, kept, decision.reasons)
        return
    verdict, reasons = decision.verdict, decision.reasons
    if decision.promote and approval_h is not None:
        stages.engines.close()
        device.close()  # nothing is held while a person thinks
        approval = _ask(stages, candidate, decision, approval_h)
        verdict = "promoted" if approval.decision == "promote" else "rejected"
        reasons = [approval.sentence(), *reasons]
        kept |= {"approval": asdict(approval)}
    changes = correct_later_rounds(stages, findings, is_rejected=verdict == "rejected")
    lines = [*reasons, *changes]
    write_model(stages, candidate, verdict, frozen, measured)
    write_round(stages, candidate, verdict, lines, findings, kept)
    show(stages, verdict, _headline(decision), [*lines, *map(str, findings)])


def _ask(stages: Stages, candidate: ModelRef, decision: GateDecision, hours: float) -> Approval:
    """Wait for a person's word."""
    headline = _headline(decision)
    line = (
        f"{stages.run} round {stages.number}: the gate would promote {candidate.id}. {headline} "
        "Waiting for approval: Resume on the page of this round's run"
    )
    say(line)
    emit_round_event("waiting", stages.run, stages.number, line, reasons=decision.reasons)
    with stages.clock("approval"):
        return ask_for_approval(candidate.id, headline, decision.reasons, hours)


def _end_early(
    stages: Stages,
    findings: list[Finding],
    child: ModelRef | None,
    metrics: dict[str, Any],
    reasons: Sequence[str] = (),
) -> None:
    """End a round whose rows, or whose model, the monitors withhold."""
    verdict = ending_of(findings)
    assert verdict is not None
    what = "Nothing was trained" if child is None else "The model is not used"
    causes = ", ".join(f.name for f in findings if f.withholds)
    lines = [*reasons, *([f"{what} ({causes})."] if verdict == "rejected" else [])]
    if verdict == "rejected":
        lines += correct_later_rounds(stages, findings, is_rejected=True)
    write_round(stages, child, verdict, lines, findings, metrics)
    decisive = next(f for f in findings if f.done == "stop" or f.withholds)
    show(stages, verdict, str(decisive), [*lines, *map(str, findings)])


def _headline(decision: GateDecision) -> str:
    """What decided, in one line: the change with its test, and the first rule that failed."""
    c = decision.statistics.primary
    change = (
        f"Accuracy {c.incumbent_accuracy:.3f} -> {c.candidate_accuracy:.3f} "
        f"({c.difference:+.3f}, p = {c.p_value:.2g}) on {c.num_problems} problems."
    )
    return change if decision.promote else f"{change} {decision.reasons[0]}"


def _start_model(stages: Stages) -> ModelRef:
    return stages.base if stages.config.start_from == "base" else stages.incumbent


def _reference_model(stages: Stages) -> ModelRef:
    if stages.config.reference == "fixed":
        assert stages.config.fixed_reference is not None  # check_plan refuses it otherwise
        return resolve_model(stages.warehouse, stages.config.fixed_reference)
    return stages.base if stages.config.reference == "base" else stages.incumbent


def _headroom(stages: Stages) -> Headroom | None:
    """Which loop applies to the incumbent, from its evaluation; None without samples."""
    if stages.config.evaluation.num_samples == 0:
        return None
    with stages.warehouse.connect() as con:
        results = suite_results(con, stages.run, stages.incumbent.id)
    levels = stages.config.evaluation.headroom_difficulties
    return headroom([r for r in results if levels is None or r.difficulty in levels])


@task(name="freeze training rows", cache_policy=NO_CACHE)
def freeze(stages: Stages, table: TrainingTable) -> FrozenTable:
    """Mix the rows of the rounds and freeze them by content hash."""
    return freeze_mix(
        stages.warehouse,
        table,
        stages.config.mix,
        run=stages.run,
        round=stages.number,
        seed=stages.config.seed,
    )


@task(name="train", cache_policy=NO_CACHE, retries=1)
def train(stages: Stages, frozen: FrozenTable) -> TrainedModel:
    """Train the candidate in a process of its own; a killed training resumes here."""
    say(
        f"{stages.run} round {stages.number}: {stages.config.training.method} on "
        f"{frozen.num_rows} rows"
    )
    start, reference = _start_model(stages), _reference_model(stages)
    check_weights(start)
    if stages.config.training.method != "sft":
        check_weights(reference)
    with stage_progress(f"round {stages.number} train", "steps") as progress:

        def follow(event: dict[str, float]) -> None:
            progress(int(event["step"]), int(event["total"]))

        return train_model(
            stages.config.training_of(stages.number),
            [frozen.path],
            start.path,
            reference.path if stages.config.training.method != "sft" else None,
            stages.warehouse.model_path(f"{stages.run}-r{stages.number}"),
            follow,
        )


def _training_metrics(trained: TrainedModel) -> dict[str, Any]:
    """Training's numbers without its clock, under the names that the monitors know."""
    clocks = ("seconds", "runtime", "per_second")
    kept = {k: v for k, v in trained.metrics.items() if not any(c in k for c in clocks)}
    losses = {
        f"{side}_logprob_{when}": f"nll_{side}_{logged}"
        for side in ("chosen", "rejected")
        for when, logged in (("start", "first"), ("end", "last"))
    }
    return kept | {name: -kept[loss] for name, loss in losses.items() if loss in kept}


def write_model(
    stages: Stages,
    model: ModelRef,
    status: str,
    snapshot: FrozenTable | None,
    measured: dict[str, Any],
) -> None:
    """Write the model's row: what it came from and what became of it."""
    house = stages.warehouse
    if model.path.is_relative_to(house.root):
        house.keep(model.path)  # before the row that names it
    row = {
        "id": model.id,
        "parent_id": model.parent_id,
        "recipe": stages.recipe.name,
        "recipe_hash": stages.recipe.hash(stages.run_config, stages.base.weight_hash),
        "snapshot_hash": snapshot.snapshot_hash if snapshot else None,
        "path": path_in_tables(house, model.path),
        "weight_hash": model.weight_hash,
        "status": status,
        "metrics": _model_metrics(snapshot, measured),
    }
    house.write("models", [row], run=stages.run, round=stages.number, part="model")


def _model_metrics(snapshot: FrozenTable | None, measured: dict[str, Any]) -> dict[str, Any]:
    if snapshot is None:
        return {}
    return {
        "training": measured,
        "rows": snapshot.num_rows,
        # learned_from() finds the models that saw a row by these two.
        "training_table": snapshot.table,
        "rows_by_round": {str(number): rows for number, rows in snapshot.rows_by_round.items()},
    }


def write_round(
    stages: Stages,
    child: ModelRef | None,
    verdict: str,
    reasons: list[str],
    findings: list[Finding],
    metrics: dict[str, Any],
) -> None:
    """Write the round's row: the last thing a round does."""
    row = {
        "id": content_id("round", stages.run, stages.number),
        "parent_model_id": stages.incumbent.id,
        "child_model_id": child.id if child else None,
        "recipe": stages.recipe.name,
        "recipe_hash": stages.recipe.hash(stages.run_config, stages.base.weight_hash),
        "config": stages.config.model_dump(mode="json"),
        "counts": _counts(stages),
        # Which SQL voted and selected; the texts of the user's own files are in the config.
        "metrics": metrics | stages.metrics | {"sql_digest": SQL_DIGEST},
        "seconds": stages.seconds,
        "tokens": stages.tokens,
        "estimate": show_comparison(stages),
        "gate_verdict": verdict,
        "gate_reasons": reasons,
        "monitor_findings": [str(finding) for finding in findings],
    }
    stages.warehouse.write("rounds", [row], run=stages.run, round=stages.number, part="round")


def _counts(stages: Stages) -> dict[str, int]:
    training = ("examples", "pairs", "labels")
    tables = ("prompts", "samples", "executions", "scores", "votes", *training)
    return {
        name: stages.warehouse.read(
            name, run=stages.run, round=stages.number, columns=["id"]
        ).num_rows
        for name in (*tables, "rejections")
    }


def show(stages: Stages, verdict: str, headline: str, lines: list[str]) -> None:
    """Say how the round ended, in the terminal and as an artifact."""
    line = f"{stages.run} round {stages.number}: {verdict}. {headline}"
    say(line)
    emit_round_event(verdict, stages.run, stages.number, line, reasons=lines)
    text = f"# {stages.run} round {stages.number}: {verdict}\n\n{headline}\n\n"
    create_markdown_artifact(
        text + "\n".join(f"- {line}" for line in lines), key="gate", description="Gate and monitors"
    )
