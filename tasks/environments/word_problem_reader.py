"""Read word problems back into equations: whether a self-made problem is one, and its answer.

A problem that a model wrote has no reference. Those of this environment can be read, sentence by
sentence, because every phrasing is known; that is for monitoring and tests only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from tasks.environments.word_problems import (
    ITEMS,
    NAMES,
    PHRASES,
    QUESTIONS,
    STARTS,
    Equation,
    Operation,
)

Pattern = tuple[Operation, re.Pattern[str]]
_SENTENCES = re.compile(r"(?<=[.?])\s+")


def read_equation(problem: str) -> Equation | None:
    """What a word problem asks for; None if it is none, or not one that makes sense.

    It makes sense if it is about one person and one kind of things, and every number on the way is
    a positive integer.

    Example:
        >>> read_equation("Ana has 6 pens. Then Ana buys 2 more. "
        ...               "What is the final number of pens?").value()
        8
        >>> read_equation("Ana has 6 pens. Then Ben buys 2 more. "
        ...               "What is the final number of pens?") is None
        True
    """
    first, *middle = _SENTENCES.split(problem.strip())
    if not middle:
        return None
    start, *steps = (_read(first, _starts()), *(_read(one, _steps()) for one in middle[:-1]))
    question = _read(middle[-1], _questions())
    found = [start, *steps, question]
    known = [one for one in found if one is not None]
    if len(known) < len(found) or not steps:
        return None
    for word in ("name", "items"):
        if len({match[word] for _, match in known} - {""}) > 1:
            return None
    numbers = [int(match["n"]) for _, match in known[:-1]]
    operations = [operation for operation, _ in known[1:-1]]
    return _sensible(Equation(numbers[0], tuple(zip(operations, numbers[1:], strict=True))))


def _sensible(equation: Equation) -> Equation | None:
    total = equation.start
    for operation, operand in equation.steps:
        if operation == "divide" and (operand == 0 or total % operand):
            return None
        total = Equation(total, ((operation, operand),)).value()
        if total < 1:
            return None
    return equation


def _read(sentence: str, patterns: Sequence[Pattern]) -> tuple[Operation, dict[str, str]] | None:
    for operation, pattern in patterns:
        match = pattern.fullmatch(sentence)
        if match:
            return operation, {"name": "", "items": "", **match.groupdict()}
    return None


@cache
def _starts() -> tuple[Pattern, ...]:
    return tuple(("add", _pattern(phrase)) for phrase in STARTS)


@cache
def _steps() -> tuple[Pattern, ...]:
    return tuple(
        (operation, _pattern(phrase)) for operation, all_ in PHRASES.items() for phrase in all_
    )


@cache
def _questions() -> tuple[Pattern, ...]:
    return tuple(("add", _pattern(phrase)) for phrase in QUESTIONS)


def _pattern(phrase: str) -> re.Pattern[str]:
    source = re.escape(phrase)
    words = {"name": "|".join(NAMES), "items": "|".join(ITEMS), "n": "[0-9]{1,4}"}
    for name, options in words.items():
        hole = re.escape(f"{{{name}}}")
        source = source.replace(hole, f"(?P<{name}>{options})", 1).replace(hole, f"(?P={name})")
    return re.compile(source)
