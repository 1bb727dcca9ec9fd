"""What can be checked before any work starts: names, numbers, models, sandbox, disk."""

from __future__ import annotations

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from sandbox import Limits, open_sandbox
from tasks.engines import ENGINES
from tasks.environments import load_environment
from tasks.errors import OptionError, UnknownNameError


def check_plan(recipe: Recipe, config: RecipeConfig) -> None:
    """Refuse a plan that could only fail later.

    Args:
        recipe: The method.
        config: Its settings.

    Raises:
        UnknownNameError: The environment or engine is unknown.
        OptionError: An environment can't give the problems that the settings ask for.
        SandboxUnavailableError: Programs are to be run and no sandbox works here.
    """
    if config.engine.name not in ENGINES:
        raise UnknownNameError(
            f"engine {config.engine.name!r}: there are {', '.join(ENGINES)}"
        )
    environment = load_environment(config.environment.name, config.environment.options)
    spec = config.evaluation
    held_out = environment.problems("heldout", spec.num, 0, spec.difficulties)
    train = environment.problems("train", config.prompts.num, 0, config.prompts.difficulties)
    if any(problem.reference is None for problem in held_out):
        raise OptionError(
            f"environment {config.environment.name!r} has held-out problems without a reference; "
            "the gate compares models by them: map a reference column"
        )
    if recipe.allow_references and any(problem.reference is None for problem in train):
        raise OptionError(
            f"recipe {recipe.name!r} needs the answers of train problems, but environment "
            f"{config.environment.name!r} has problems without one; map a reference column, or use "
            "a recipe that needs none (see `selfloom recipes`)"
        )
    if environment.answer_format == "program":
        limits = Limits(
            cpu_s=config.sandbox.cpu_s,
            wall_s=config.sandbox.wall_s,
            memory_mib=config.sandbox.memory_mib,
        )
        with open_sandbox(config.sandbox.backend, workers=1, limits=limits):
            pass
