"""The loop: rounds in sequence, until they are done, a monitor stops it, or patience ends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from prefect import Flow, State, flow
from prefect.runtime import flow_run
from prefect.states import Completed
from pydantic import ValidationError

from flows.artifacts import publish_artifacts
from flows.errors import RunConflictError
from flows.nightly import lateness
from flows.preflight import check_plan, read_selections
from flows.progress import say
from flows.recipes import RECIPES, find_recipe
from flows.recipes.config import LoopSpec, RecipeConfig
from flows.recipes.recipe import Recipe
from flows.run_lock import hold_run
from flows.training_round import RoundResult, read_result, training_round
from storage import Warehouse
from tasks.models import incumbent_of, resolve_model
from tasks.promotion import decided_rounds, renew_alias
from tasks.report import write_report
from tasks.sql_script import SQL_DIGEST

SHOWN_CHARACTERS = 120  # of a setting, in a message


@dataclass(frozen=True)
class LoopResult:
    """How a loop ended.

    Attributes:
        run: Name of the run.
        model_id: The model that is promoted now.
        report: Path of the HTML report.
        rounds: Every round, from round 0 on.
    """

    run: str
    model_id: str
    report: str
    rounds: list[RoundResult]


def loop_flow(recipe: Recipe, name: str) -> Flow[..., LoopResult]:
    """The `self_training` flow of one recipe; its form in the UI has the recipe's own settings.

    Args:
        recipe: The recipe.
        name: How its rounds find it again, as `find_recipe` takes it.
    """
    default = recipe.config()

    def self_training(
        config: RecipeConfig = default, loop: LoopSpec = LoopSpec()
    ) -> LoopResult | State[Any]:
        return run_unless_late(name, config, loop)

    self_training.__annotations__["config"] = recipe.config
    self_training.__doc__ = (
        f"Self-train a model with {recipe.name}: {recipe.title} (arXiv {recipe.paper}).\n\n"
        "Args:\n"
        "    config: Settings of the recipe; the defaults are the paper's.\n"
        "    loop: Which run, how many rounds, from which model, into which warehouse.\n"
    )
    # A worker imports the flow by these names; see flows.deployments.
    self_training.__module__ = "flows.deployments"
    self_training.__name__ = self_training.__qualname__ = recipe.name
    made = flow(name="self_training", flow_run_name=_namer(recipe))(self_training)
    # A flow that returns a state has no result: the caller never sees one.
    return cast("Flow[..., LoopResult]", made)


def _namer(recipe: Recipe) -> Callable[[], str]:
    """Names a flow run after its run, also where that name comes from the settings."""

    def name() -> str:
        given = flow_run.parameters
        try:
            loop = LoopSpec.model_validate(given["loop"])
            config = recipe.config.model_validate(given["config"])
        except (KeyError, ValidationError):  # the flow itself says what is wrong with them
            return recipe.name
        return loop.run or default_run(recipe, config, loop.base_model)

    return name


def run_unless_late(recipe: str, config: RecipeConfig, loop: LoopSpec) -> LoopResult | State[Any]:
    """`run_loop`, or the state of a scheduled flow run that comes too late to do anything."""
    too_late = lateness(loop)
    if too_late is not None:
        return Completed(name="Skipped", message=too_late)
    return run_loop(recipe, config, loop)


def run_loop(recipe: str, config: RecipeConfig, loop: LoopSpec) -> LoopResult:
    """Run the rounds of a run that are not done yet; must be called inside a flow.

    Args:
        recipe: Name of the recipe.
        config: Its settings.
        loop: What the loop is.

    Raises:
        RunConflictError: The run exists with other settings, or another process works on it.
        SourceError: A selection's file can't be read.
    """
    method = find_recipe(recipe)
    house = Warehouse.open(loop.warehouse)
    run = loop.run or default_run(method, config, loop.base_model)
    config = read_selections(config)
    with hold_run(house, run):
        check_same_settings(house, method, config, loop.base_model, run)
        note_other_sql(house, run)
        check_plan(method, config)
        renew_alias(house, run)  # it was killed, maybe, between a round's end and what follows it
        approval_h = loop.approval_h if loop.approval else None
        results: list[RoundResult] = []
        rejected, is_enough = 0, False
        report = ""
        decided = decided_rounds(house, run)
        for number in range(_total_rounds(house, run, loop) + 1):
            result = read_result(house, run, number)
            if result is None:
                result = training_round(
                    recipe, config, run, number, house.uri, loop.base_model, approval_h
                )
                report = publish(house, run)
            results.append(result)
            rejected = rejected + 1 if result.verdict == "rejected" else 0
            if number in decided:  # whoever decided has seen it, and runs the loop again
                rejected = 0
                continue
            is_enough = rejected >= (1 if config.after_reject == "stop" else loop.patience)
            if result.verdict == "stopped" or is_enough:
                break
        promoted = incumbent_of(house, run)
        assert promoted is not None  # round 0 is done
        _say_end(results[-1], promoted.id, rejected if is_enough else 0)
        report = report or publish(house, run)
    return LoopResult(run, promoted.id, report, results)


def _total_rounds(house: Warehouse, run: str, loop: LoopSpec) -> int:
    if loop.more is None:
        return loop.rounds
    done = house.read("rounds", run=run, columns=["round"]).column("round").to_pylist()
    return int(max(done, default=0)) + loop.more


def default_run(recipe: Recipe, config: RecipeConfig, base_model: str) -> str:
    """The name of a run that was given none: recipe and a hash of what decides its rows."""
    return f"{recipe.name}-{recipe.hash(config, base_model)[:8]}"


def check_same_settings(
    house: Warehouse, recipe: Recipe, config: RecipeConfig, base_model: str, run: str
) -> None:
    """Refuse to continue a run with anything else than it was started with.

    Raises:
        RunConflictError: Its settings, recipe or base model differ; the message names them.
    """
    rows = house.read("rounds", run=run, round=0).to_pylist()
    if not rows:
        return
    before, now = json.loads(rows[0]["config"]), config.model_dump(mode="json")
    changed = sorted(_differences(before, now))
    if rows[0]["recipe"] != recipe.name:
        changed = [f"recipe: {rows[0]['recipe']} -> {recipe.name}", *changed]
    base = resolve_model(house, base_model)
    if rows[0]["recipe_hash"] != recipe.hash(config, base.weight_hash) and not changed:
        changed = [f"base_model: its weights are now those of {base_model!r}"]
    if changed:
        raise RunConflictError(
            f"run {run!r} was started with other settings ({'; '.join(changed)}); continue it with "
            "the same ones, or choose another name with --run"
        )


def _differences(before: object, now: object, path: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in before.keys() | now.keys():
            yield from _differences(before.get(key), now.get(key), f"{path}.{key}".lstrip("."))
    elif before != now:
        yield f"{path}: {_shown(before)} -> {_shown(now)}"


def _shown(value: object) -> str:
    """A setting for a message; long texts, such as SQL, by their hash."""
    text = repr(value)
    if len(text) <= SHOWN_CHARACTERS:
        return text
    return f"({len(text)} characters, hash {hashlib.sha256(text.encode()).hexdigest()[:8]})"


def note_other_sql(house: Warehouse, run: str) -> None:
    """Say where rounds that are done were made by other SQL files than this version's."""
    kept = house.read("rounds", run=run, columns=["metrics"]).column("metrics").to_pylist()
    others = {json.loads(metrics).get("sql_digest", SQL_DIGEST) for metrics in kept} - {SQL_DIGEST}
    if others:
        say(
            f"note: selfloom's SQL files have changed since run {run!r} was started "
            f"({', '.join(sorted(others))} -> {SQL_DIGEST}); rounds from here on follow the new"
        )


def publish(house: Warehouse, run: str) -> str:
    """Renew the run's alias, report and artifacts; returns the report's path."""
    renew_alias(house, run)
    with house.connect() as con:
        publish_artifacts(con, run)
    report = write_report(house, house.root / "reports" / f"{run}.html", [run])
    house.keep(report)
    return str(report)


def _say_end(last: RoundResult, promoted: str, rejected: int) -> None:
    if last.verdict == "stopped":
        monitors = ", ".join(r.split(": ")[1] for r in last.reasons if r.startswith("stop: "))
        say(f"round {last.number} was stopped by {monitors}; {promoted} stays promoted")
    elif rejected:
        say(f"{rejected} rejected in a row; {promoted} stays promoted")
    else:
        say(f"done: {promoted} is promoted")


LOOPS: dict[str, Flow[..., LoopResult]] = {
    name: loop_flow(recipe, name) for name, recipe in RECIPES.items()
}


def find_loop(name: str) -> Flow[..., LoopResult]:
    """The loop of a recipe, as `find_recipe` takes its name.

    Raises:
        UnknownRecipeError: There is no such recipe.
    """
    return LOOPS[name] if name in LOOPS else loop_flow(find_recipe(name), name)
