"""What can be checked before any work starts: names, numbers, models, sandbox, disk."""

from __future__ import annotations

from flows.errors import SettingError
from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from sandbox import Limits, open_sandbox
from tasks.engines import ENGINES
from tasks.environments import Environment, load_environment
from tasks.errors import OptionError, UnknownNameError


def check_plan(recipe: Recipe, config: RecipeConfig) -> None:
    """Refuse a plan that could only fail later.

    Args:
        recipe: The method.
        config: Its settings.

    Raises:
        UnknownNameError: The environment or engine is unknown.
        OptionError: An environment can't give the problems that the settings ask for.
        SettingError: Two settings contradict each other.
        SandboxUnavailableError: Programs are to be run and no sandbox works here.
    """
    if config.engine.name not in ENGINES:
        raise UnknownNameError(f"engine {config.engine.name!r}: there are {', '.join(ENGINES)}")
    _check_training(recipe, config)
    environment = load_environment(config.environment.name, config.environment.options)
    _check_problems(recipe, config, environment)
    if environment.answer_format == "program":
        limits = Limits(
            cpu_s=config.sandbox.cpu_s,
            wall_s=config.sandbox.wall_s,
            memory_mib=config.sandbox.memory_mib,
        )
        with open_sandbox(config.sandbox.backend, workers=1, limits=limits):
            pass


def _check_training(recipe: Recipe, config: RecipeConfig) -> None:
    method, wanted = config.training.method, recipe.config().training.method
    if method != wanted:
        raise SettingError(
            f"training.method={method!r}, but recipe {recipe.name!r} makes rows for {wanted!r}; "
            "leave it out, or choose another recipe (see `selfloom recipes`)"
        )
    if (config.reference == "fixed") != (config.fixed_reference is not None):
        raise SettingError(
            f"reference={config.reference!r} with fixed_reference={config.fixed_reference!r}; "
            "reference=fixed needs a model in fixed_reference, and nothing else uses it"
        )


def _check_problems(recipe: Recipe, config: RecipeConfig, environment: Environment) -> None:
    spec = config.evaluation
    held_out = environment.problems("heldout", spec.num, 0, spec.difficulties)
    train = environment.problems("train", config.prompts.num, 0, config.prompts.difficulties)
    if any(problem.reference is None for problem in held_out):
        raise OptionError(
            f"environment {environment.name!r} has held-out problems without a reference; "
            "the gate compares models by them: map a reference column"
        )
    if recipe.allow_references and any(problem.reference is None for problem in train):
        raise OptionError(
            f"recipe {recipe.name!r} needs the answers of train problems, but environment "
            f"{environment.name!r} has problems without one; map a reference column, or use "
            "a recipe that needs none (see `selfloom recipes`)"
        )
