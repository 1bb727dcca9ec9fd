"""The registry of environments: names, options, and what is said when they are wrong."""

from __future__ import annotations

import doctest

import pytest

from tasks import environments
from tasks.environments import ENVIRONMENTS, load_environment
from tasks.errors import OptionError, UnknownNameError


def test_unknown_environment_lists_those_there_are() -> None:
    with pytest.raises(
        UnknownNameError,
        match="there are word_problems, copy, reverse, addition, functions, gsm8k, math, humaneval",
    ):
        load_environment("gsm9k")


def test_unknown_option_lists_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"no option 'pth'; its options are path, "):
        load_environment("gsm8k", {"pth": "x"})


def test_missing_option_is_named() -> None:
    with pytest.raises(OptionError, match="needs the option 'path'"):
        load_environment("jsonl", {"question": "q"})


def test_missing_module_of_ones_own_is_named() -> None:
    with pytest.raises(UnknownNameError, match="no_such_module:Thing can't be imported"):
        load_environment("no_such_module:Thing")


@pytest.mark.parametrize("name", ["word_problems", "copy", "reverse", "addition", "functions"])
def test_generated_environments_load_without_options(name: str) -> None:
    environment = load_environment(name)
    assert environment.name == name
    first = environment.problems("train", 3, 1)
    assert first == environment.problems("train", 3, 1)
    assert len({problem.id for problem in first}) == 3


def test_a_class_of_ones_own_loads_by_path() -> None:
    assert load_environment(ENVIRONMENTS["word_problems"]).name == "word_problems"


def test_examples_in_docstrings() -> None:
    result = doctest.testmod(environments, optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert result.attempted > 0
    assert result.failed == 0
