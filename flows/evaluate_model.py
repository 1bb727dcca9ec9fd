"""Evaluation of one model outside of a loop, as a flow of its own."""

from __future__ import annotations

from prefect import flow

from flows.evaluation import evaluate_model
from flows.recipes import find_recipe
from flows.recipes.config import RecipeConfig
from flows.run_lock import hold_run
from flows.stages import ONE_AFTER_ANOTHER, Stages
from storage import Warehouse, content_id
from tasks.environments import load_environment
from tasks.models import resolve_model


@flow(name="evaluate", flow_run_name="evaluate-{model}", task_runner=ONE_AFTER_ANOTHER)
def evaluate_flow(
    model: str = "seed:programs",
    config: RecipeConfig = RecipeConfig(),
    warehouse: str = "warehouse",
) -> str:
    """Measure a model on held-out problems; returns the run that holds rows and metrics.

    Args:
        model: `seed:NAME`, a folder, a model id of the warehouse, or `promoted:RUN`.
        config: Environment, evaluation, engine and sandbox of these settings are used.
        warehouse: Folder of the warehouse.
    """
    house = Warehouse.open(warehouse)
    found = resolve_model(house, model)
    environment = load_environment(config.environment.name, config.environment.options)
    settings = config.model_dump_json(include={"environment", "evaluation", "sampling", "seed"})
    run = content_id("evaluate", found.weight_hash, settings)
    # Nothing is selected or trained here, so any recipe would do.
    stages = Stages(house, find_recipe("lmsi"), config, environment, run, 0, found, found, 0)
    with hold_run(house, run), stages.engines:
        evaluate_model(stages, found)
    return run
