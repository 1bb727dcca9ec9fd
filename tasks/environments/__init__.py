"""Environments: sources of problems, each with an answer parser and a canonical form.

A dict is the registry; an environment's module is imported when the environment is loaded. This
room reads problems and parses answers; it does not sample, execute or score.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import cast

from tasks.environments.base import (
    Environment,
    Problem,
    Solver,
    WithSolutions,
    problem_id,
    wrapping,
)
from tasks.errors import OptionError, UnknownNameError

__all__ = [
    "ENVIRONMENTS",
    "Environment",
    "Problem",
    "Solver",
    "WithSolutions",
    "load_environment",
    "problem_id",
    "wrapping",
]

ENVIRONMENTS = {
    "word_problems": "tasks.environments.word_problems:WordProblems",
    "copy": "tasks.environments.length:CopyTask",
    "reverse": "tasks.environments.length:ReverseTask",
    "addition": "tasks.environments.length:AdditionTask",
    "functions": "tasks.environments.functions:Functions",
    "gsm8k": "tasks.environments.gsm8k:GSM8K",
    "math": "tasks.environments.competition_math:CompetitionMath",
    "humaneval": "tasks.environments.code_problems:HumanEval",
    "mbpp": "tasks.environments.code_problems:MBPP",
    "jsonl": "tasks.environments.jsonl:Jsonl",
}


def load_environment(name: str, options: Mapping[str, object] | None = None) -> Environment:
    """The environment called `name`, built with `options`.

    Args:
        name: A key of `ENVIRONMENTS`, or the dotted path of a class of your own, `module:Class`.
        options: Keyword arguments of its class.

    Raises:
        UnknownNameError: There is no such environment, or it has no such option.
        OptionError: A required option is missing.

    Example:
        >>> load_environment("gsm9k")
        Traceback (most recent call last):
        ...
        tasks.errors.UnknownNameError: environment 'gsm9k': there are word_problems, copy, \
reverse, addition, functions, gsm8k, math, humaneval, mbpp, jsonl; \
or name a class of your own as 'module:Class'
    """
    target = ENVIRONMENTS.get(name, name)
    module_name, _, class_name = target.partition(":")
    if not class_name:
        raise UnknownNameError(
            f"environment {name!r}: there are {', '.join(ENVIRONMENTS)}; "
            "or name a class of your own as 'module:Class'"
        )
    try:
        factory = getattr(importlib.import_module(module_name), class_name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise UnknownNameError(
            f"environment {name!r}: {target} can't be imported: {error}"
        ) from error
    given = dict(options or {})
    parameters = inspect.signature(factory).parameters
    unknown = [option for option in given if option not in parameters]
    if unknown:
        raise UnknownNameError(
            f"environment {name!r} has no option {', '.join(map(repr, unknown))}; "
            f"its options are {', '.join(parameters) or 'none'}"
        )
    missing = [
        parameter.name
        for parameter in parameters.values()
        if parameter.default is parameter.empty
        and parameter.name not in given
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if missing:
        raise OptionError(f"environment {name!r} needs the option {', '.join(map(repr, missing))}")
    return cast(Environment, factory(**given))
