"""Flows as the command line starts them: everything is checked before Prefect starts anything.

A wrong name or a missing model is then one message after two seconds, not a failed flow run after
the start of a server.
"""

from __future__ import annotations

import time
from pathlib import Path

import typer
from rich.progress import Progress, TextColumn

from flows.demo import collapse_loop, demo_loops, run_demo_loop
from flows.errors import SettingError
from flows.failure_lines import show_failures
from flows.preflight import check_disk, check_evaluation, check_plan, fixed_servers, read_selections
from flows.recipes import find_recipe
from flows.recipes.config import LoopSpec, RecipeConfig
from flows.run_lock import hold_run
from flows.self_training import LoopResult, check_same_settings, default_run, find_loop
from flows.server import configured_api, ensure_api
from storage import Warehouse
from tasks.environments import Environment
from tasks.models import resolve_model
from tasks.training import TrainedModel

SHOWN_ROWS = 5


def run_recipe(recipe: str, config: RecipeConfig, loop: LoopSpec) -> LoopResult:
    """Check a loop, then run what is not done of it yet.

    Args:
        recipe: Name of the recipe.
        config: Its settings.
        loop: Which run, how many rounds, from which model, into which warehouse.

    Raises:
        FlowError: The recipe, the settings or the run are refused.
        TaskError: The environment, the engine or the model is.
        SandboxUnavailableError: Programs are to be run and no sandbox works here.
        ServerStartError: Prefect's server did not come up.
    """
    if loop.approval and configured_api() is None:
        raise SettingError(
            "approval: nobody could answer, because a run of the command line has no page; start "
            "`selfloom ui`, and run it from there, or here with PREFECT_API_URL set to its address"
        )
    check_loop(recipe, config, loop)
    start_prefect()
    result: LoopResult = find_loop(recipe)(config, loop)
    return result


def run_demo(warehouse: Path, *, collapse: bool) -> list[LoopResult]:
    """Run the loops of the demo that are not done yet, each checked like any other.

    Args:
        warehouse: Folder of the warehouse.
        collapse: Run the loop without safeguards instead.

    Raises:
        FlowError: The warehouse holds runs of these names with other settings.
        SandboxUnavailableError: No sandbox works here.
        ServerStartError: Prefect's server did not come up.
    """
    loops = [collapse_loop(str(warehouse))] if collapse else demo_loops(str(warehouse))
    results = []
    for demo in loops:
        typer.secho(f"\n{demo.shows}: recipe {demo.recipe}, run {demo.loop.run}", bold=True)
        check_loop(demo.recipe, demo.config, demo.loop)
        start_prefect()
        results.append(run_demo_loop(demo))
    return results


def check_loop(recipe: str, config: RecipeConfig, loop: LoopSpec) -> None:
    """Refuse a loop that could only fail later; raises what `run_recipe` raises."""
    method = find_recipe(recipe)
    run = loop.run or default_run(method, config, loop.base_model)
    config = read_selections(config)
    note_bad_rows(check_plan(method, config))
    house = Warehouse.open(loop.warehouse)
    with hold_run(house, run):
        base = resolve_model(house, loop.base_model)
        check_same_settings(house, method, config, loop.base_model, run)
        for named in config.other_models:
            resolve_model(house, named)
        check_disk(house, base.path)
    servers = fixed_servers(config)
    if servers is not None:
        typer.echo(
            f"note: {', '.join(servers.base_urls)} serve one model: the run stops whenever another "
            "one is asked (the candidate, or the promoted one again), and names its folder; "
            "engine.options.serve_vllm=true starts a server for each"
        )
    if config.evaluation.num < config.gate.min_problems:
        typer.echo(
            f"note: evaluation.num={config.evaluation.num} is below gate.min_problems="
            f"{config.gate.min_problems}, so every candidate will be rejected"
        )


def run_evaluation(model: str, config: RecipeConfig, warehouse: Path) -> str:
    """Check an evaluation, then run it; returns the run that holds its rows.

    Args:
        model: The model, as `resolve_model` takes it.
        config: Environment, evaluation, engine and sandbox of these settings are used.
        warehouse: Folder of the warehouse.

    Raises:
        TaskError: The environment, the engine or the model is refused.
        SandboxUnavailableError: Programs are to be run and no sandbox works here.
        ServerStartError: Prefect's server did not come up.
    """
    from flows.evaluate_model import evaluate_flow

    note_bad_rows(check_evaluation(config))
    resolve_model(Warehouse.open(warehouse), model)
    start_prefect()
    run: str = evaluate_flow(model, config, str(warehouse))
    return run


def note_bad_rows(environment: Environment) -> None:
    """Say which rows of a user's file are kept out, if any."""
    count = getattr(environment, "num_bad_rows", 0)
    if count:
        rows = getattr(environment, "bad_rows", [])[:SHOWN_ROWS]
        reasons = "; ".join(f"row {number}: {reason}" for number, reason in rows)
        typer.echo(
            f"note: {count} bad rows are kept out: {reasons}{'; …' if count > SHOWN_ROWS else ''}"
        )


def start_prefect() -> None:
    """Make sure that a Prefect API is there; says so where that takes its time."""
    if configured_api() is None:
        now = time.strftime("%H:%M:%S")
        typer.echo(f"{now}  checks passed; starting Prefect (about ten seconds)")
    ensure_api()
    show_failures()


def run_bootstrap(name: str, output: Path, seed: int) -> TrainedModel:
    """Train a seed model with a progress bar.

    Args:
        name: `programs`, `copy` or `skills`.
        output: Folder of the new model.
        seed: Of the first weights and of the order of rows; 0 gives the shipped model.

    Raises:
        SettingError: The output is a file.
        UnknownNameError: There is no such seed model.
        TrainingError: The folder holds something else, or training failed.
    """
    if output.exists() and not output.is_dir():
        raise SettingError(f"output {output} is a file; give a folder that is free")
    from transformers.utils.logging import disable_progress_bar

    from tasks.seed_models.bootstrap import bootstrap

    disable_progress_bar()  # ours is the one that matters

    columns = (*Progress.get_default_columns(), TextColumn("{task.fields[loss]}"))
    with Progress(*columns, transient=True) as progress:
        bar = progress.add_task(f"training {name}", total=None, loss="")

        def follow(event: dict[str, float]) -> None:
            loss = f"loss {event['loss']:.3f}" if "loss" in event else ""
            progress.update(bar, completed=event["step"], total=event["total"], loss=loss)

        return bootstrap(name, output, follow, seed=seed)
