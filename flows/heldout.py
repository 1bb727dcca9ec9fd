"""Held-out problems: the environment's own, and those of other skills that must not get lost."""

from __future__ import annotations

from typing import NamedTuple

from flows.errors import SettingError
from flows.recipes.config import EvaluationSpec, RecipeConfig, SuiteSpec
from tasks.environments import Environment, Problem, load_environment
from tasks.errors import OptionError

HELDOUT_SEED_OFFSET = 1_000_003  # held-out problems of a run do not follow its rounds


class HeldoutSuite(NamedTuple):
    """Held-out problems that models are compared on."""

    key: str | None
    """`prompts.suite`: null for the environment's own."""
    environment: Environment
    problems: list[Problem]
    max_new_tokens: int | None
    """Longest answer; None for that of the run's samples."""

    @property
    def name(self) -> str:
        """`evaluations.suite`."""
        return self.key or self.environment.name

    @property
    def part(self) -> str:
        """Its part of `prompts` and `evaluations`, and how those of its samples begin."""
        return "heldout" if self.key is None else f"heldout-{self.key}"


def heldout_suites(environment: Environment, config: RecipeConfig) -> list[HeldoutSuite]:
    """The held-out problems of some settings, the environment's own first.

    A problem that two suites would have belongs to the first one.

    Args:
        environment: The run's environment.
        config: Its settings.

    Raises:
        SettingError: A suite has fewer problems than it is to have, or none that others lack.
    """
    spec = config.evaluation
    seed = (config.seed if spec.seed is None else spec.seed) + HELDOUT_SEED_OFFSET
    own = HeldoutSuite(None, environment, _heldout(environment, "evaluation", spec, seed), None)
    suites, taken = [own], {problem.id for problem in own.problems}
    for number, one in enumerate(spec.suites, start=1):
        setting, where = f"evaluation.suites ({one.name})", environment
        if one.environment is not None:
            where = load_environment(one.environment.name, one.environment.options)
        # With the seed of another suite of the same environment it would have the same problems.
        found = _heldout(where, setting, one, seed + number * HELDOUT_SEED_OFFSET)
        problems = [problem for problem in found if problem.id not in taken]
        if not problems:
            raise SettingError(f"settings {setting}: suites before it have all of its problems")
        taken |= {problem.id for problem in problems}
        suites.append(HeldoutSuite(one.name, where, problems, one.max_new_tokens))
    return suites


def _heldout(
    environment: Environment, setting: str, spec: EvaluationSpec | SuiteSpec, seed: int
) -> list[Problem]:
    try:
        return environment.problems("heldout", spec.num, seed, spec.difficulties)
    except OptionError as error:
        raise SettingError(f"settings {setting}.num and {setting}.difficulties: {error}") from error
