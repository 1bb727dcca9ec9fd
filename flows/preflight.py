"""What can be checked before any work starts: names, numbers, models, sandbox, disk."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from flows.errors import SettingError
from flows.heldout import HeldoutSuite, heldout_suites
from flows.recipes.config import PromptSpec, RecipeConfig, SelectionRule
from flows.recipes.recipe import Recipe
from sandbox import open_sandbox
from storage import Warehouse, WarehouseFullError
from tasks.engines import check_engine
from tasks.engines.openai_api.options import OpenAIOptions
from tasks.environments import Environment, Problem, load_environment
from tasks.errors import OptionError
from tasks.labelled import solved_problems
from tasks.selection import Selection, check_selections
from tasks.sql_script import read_sql
from tasks.training.spec import TABLE_OF_METHOD

SPARE_MIB = 64  # tables, logs and DuckDB's spilling of a small round


def check_plan(recipe: Recipe, config: RecipeConfig) -> Environment:
    """Refuse a plan that could only fail later; returns its environment.

    Args:
        recipe: The method.
        config: Its settings.

    Raises:
        SettingError: Settings contradict each other or the recipe, or ask for more problems than
            there are.
        UnknownNameError: The environment or engine, or an option of it, is unknown.
        OptionError: The environment lacks references or solutions that are needed, or a parameter
            of a selection is out of range.
        ReferencesNotAllowedError: A selection reads references, and the recipe has no labels.
        DataFormatError: A selection's file can't run; the message names the column it lacks.
        SandboxUnavailableError: Programs are to be run and no sandbox works here.
    """
    num_rounds = max([1, *map(len, config.schedule.values())])
    rounds = [config.for_round(number) for number in range(1, num_rounds + 1)]
    for one in rounds:
        _check_settings(recipe, one)
        _check_actions(recipe, one)
        _check_selection(recipe, one)
    environment = check_evaluation(config)
    _check_servers(config)
    train = [_train_problems(environment, one.prompts) for one in rounds]
    if recipe.labels == "solutions":
        solved_problems(environment, "train", 1, 0, config.prompts.difficulties)
    if recipe.allow_references and any(p.reference is None for own in train for p in own):
        raise OptionError(
            f"recipe {recipe.name!r} needs the answers of train problems, but environment "
            f"{config.environment.name!r} has problems without one; map a reference column, or use "
            "a recipe that needs none (see `selfloom recipes`)"
        )
    return environment


def read_selections(config: RecipeConfig) -> RecipeConfig:
    """Returns the settings with what the user's own .sql files hold now.

    A run keeps these texts: editing a file does not change a run that goes on, and continuing
    it with another text is refused like any other setting.

    Args:
        config: The settings; texts that they have already are kept.

    Raises:
        SourceError: A file can't be read.
        DataFormatError: A file is not UTF-8.
    """

    def with_text(rule: SelectionRule) -> SelectionRule:
        if rule.sql is not None or not rule.name.endswith(".sql"):
            return rule
        return rule.model_copy(update={"sql": read_sql(Path(rule.name).expanduser())})

    spec = config.selection
    changes = {
        "rule": spec.rule and with_text(spec.rule),
        "filters": [with_text(rule) for rule in spec.filters],
    }
    return config.model_copy(update={"selection": spec.model_copy(update=changes)})


def check_evaluation(config: RecipeConfig) -> Environment:
    """Refuse an evaluation that could only fail later; returns its environment.

    Args:
        config: Settings whose environment, evaluation, engine and sandbox are used.

    Raises:
        SettingError: There are fewer problems than the settings ask for, or the headroom is to be
            measured where there are none.
        UnknownNameError: The environment or engine, or an option of it, is unknown.
        OptionError: The environment lacks references that are needed.
        SandboxUnavailableError: Programs are to be run and no sandbox works here.
    """
    check_engine(config.engine.name, config.engine.options)
    environment = load_environment(config.environment.name, config.environment.options)
    spec = config.evaluation
    suites = heldout_suites(environment, config)
    _check_suites(suites, config)
    held_out = suites[0].problems
    levels = sorted({p.difficulty for p in held_out if p.difficulty is not None})
    wanted = spec.headroom_difficulties
    if spec.num_samples and wanted is not None and not set(wanted) & set(levels):
        raise SettingError(
            f"evaluation.headroom_difficulties={wanted}, but the held-out problems have {levels}; "
            "choose some of these, or add them to evaluation.difficulties"
        )
    if environment.answer_format != "text" and config.draw is not None:
        raise SettingError(
            f"settings draw: environment {config.environment.name!r} has answers that are run, "
            "and a draw rule counts votes while the engine writes; leave `draw` out"
        )
    if any(suite.environment.answer_format != "text" for suite in suites):
        _check_sandbox(config)
    return environment


def _check_suites(suites: Sequence[HeldoutSuite], config: RecipeConfig) -> None:
    """Refuse suites that models can't be compared on, and a gate that asks for others."""
    for suite in suites:
        if any(problem.reference is None for problem in suite.problems):
            raise OptionError(
                f"environment {suite.environment.name!r} has held-out problems without a "
                "reference; models are compared by them: map a reference column"
            )
    names = [suite.name for suite in suites]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingError(
            f"evaluation.suites: {twice[0]!r} is the name of two suites; the environment's own "
            "held-out problems have its name"
        )
    unknown = [name for name in config.gate.primary_suites if name not in names]
    if unknown:
        raise SettingError(
            f"gate.primary_suites: there is no suite {unknown[0]!r}; there are {', '.join(names)}"
        )
    if config.gate.answers == "samples" and not config.evaluation.num_samples:
        raise SettingError(
            "gate.answers=samples with evaluation.num_samples=0; set how many samples it counts"
        )


def _train_problems(environment: Environment, spec: PromptSpec) -> list[Problem]:
    try:
        return environment.problems("train", spec.num, 0, spec.difficulties)
    except OptionError as error:
        raise SettingError(f"settings prompts.num and prompts.difficulties: {error}") from error


def fixed_servers(config: RecipeConfig) -> OpenAIOptions | None:
    """The options of an engine whose servers serve what they serve, whatever model is asked for.

    Args:
        config: Settings whose engine is known to be sound.

    Returns:
        None where the engine loads each model itself.
    """
    if config.engine.name != "openai":
        return None
    options = OpenAIOptions.model_validate(config.engine.options)
    return options if options.base_urls else None


def check_disk(warehouse: Warehouse, model_path: Path) -> None:
    """Refuse to start a round whose candidate could not be written.

    Args:
        warehouse: Where it is to be written.
        model_path: Folder of the model that it starts from.

    Raises:
        WarehouseFullError: There is less room than the candidate and its staging copy need.
    """
    model_bytes = sum(file.stat().st_size for file in model_path.iterdir() if file.is_file())
    needed_mib = SPARE_MIB + 2 * model_bytes / 2**20
    free_mib = shutil.disk_usage(warehouse.root).free / 2**20
    if free_mib < needed_mib:
        raise WarehouseFullError(
            f"the disk of {warehouse.root} has {free_mib:.0f} MiB left, a round from this model "
            f"needs at least {needed_mib:.0f} MiB; make room, or choose a warehouse on another disk"
        )


def _check_settings(recipe: Recipe, config: RecipeConfig) -> None:
    method = recipe.config().training.method
    # With a selection of the user's own, its table decides: see _check_selection.
    if config.training.method != method and config.selection.rule is None:
        raise SettingError(
            f"training.method={config.training.method!r}: recipe {recipe.name!r} makes rows for "
            f"{method!r}; choose a recipe that trains by {config.training.method} "
            "(see `selfloom recipes`)"
        )
    if (config.reference == "fixed") != (config.fixed_reference is not None):
        raise SettingError(
            f"reference={config.reference!r} with fixed_reference={config.fixed_reference!r}: "
            "reference=fixed needs a model in fixed_reference, and nothing else uses it"
        )
    sampling = config.sampling
    compares = recipe.labels_from == "votes" or (method == "dpo" and recipe.labels_from != "none")
    # Some recipes take one sample each of several models.
    if sampling.n < min(2, recipe.config().sampling.n) and compares:
        raise SettingError(
            f"sampling.n={sampling.n}: recipe {recipe.name!r} compares several samples of a "
            "problem; set sampling.n to 2 or more"
        )
    if sampling.n > 1 and sampling.temperature == 0:
        raise SettingError(
            f"sampling.temperature=0 makes {sampling.n} equal samples of every problem; set it "
            "above 0, or sampling.n=1"
        )


def _check_actions(recipe: Recipe, config: RecipeConfig) -> None:
    """Refuse a correction that has nothing to correct in this recipe."""
    asked = [(f"monitors.actions.{name}", done) for name, done in config.monitors.actions.items()]
    for setting, action in [*asked, ("after_reject", config.after_reject)]:
        if action == "raise_threshold" and not recipe.threshold:
            raise SettingError(
                f"{setting}=raise_threshold: recipe {recipe.name!r} has no "
                "threshold for its labels; choose hotter, shrink, stop, warn or ignore"
            )
        if action == "hotter" and config.sampling.temperature == 0:
            raise SettingError(
                f"{setting}=hotter with sampling.temperature=0: greedy answers have no temperature "
                "to raise; set one above 0, or choose another action"
            )


def _check_selection(recipe: Recipe, config: RecipeConfig) -> None:
    """Try the settings' own selection and filters on empty tables; check what it trains with."""
    spec = config.selection
    filters = [one.selection() for one in spec.filters]
    if spec.rule is None and not filters:
        return
    # Filters need a selection behind them; which one makes no difference to the check.
    rule = spec.rule.selection() if spec.rule else Selection("confident_majority")
    table = check_selections([rule], filters=filters, allow_references=recipe.allow_references)[0]
    wanted = TABLE_OF_METHOD[config.training.method]
    if spec.rule is not None and table != wanted:
        raise SettingError(
            f"selection.rule={spec.rule.name!r} makes {table}, but recipe {recipe.name!r} trains "
            f"by {config.training.method} on {wanted}; choose a selection that makes {wanted}"
        )


def _check_servers(config: RecipeConfig) -> None:
    """Refuse to believe of a candidate that servers had its weights before it was trained."""
    servers = fixed_servers(config)
    if servers is not None and servers.trust_served_weights:
        raise SettingError(
            "engine.options.trust_served_weights=true in a loop: the servers at "
            f"{', '.join(servers.base_urls)} cannot have the weights of a candidate that is yet to "
            "be trained, and it would be measured by another model's answers; take "
            "engine.options.serve_vllm=true, or vLLM servers, which tell what they have loaded"
        )


def _check_sandbox(config: RecipeConfig) -> None:
    spec = config.sandbox
    with open_sandbox(spec.backend, workers=1, limits=spec.limits()):
        pass
