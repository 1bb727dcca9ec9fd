"""Word problems with right and wrong programs, and what can be said about them line by line."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import zip_longest

from tasks.engines import Messages
from tasks.environments.word_problems import (
    SYMBOL,
    Equation,
    Operation,
    program_for,
    render,
    sample_equation,
    split_of,
)

STEPS = (1, 1, 1, 2, 2, 2, 3)  # steps of a problem, as often as they are drawn
RIGHT_SHARE = 0.5  # of the solutions that are judged
KNOWN_TAIL = 0.15  # share of phrasings beyond the textbook ones; problems have over half of them
OVERLOOKED = 0.1  # share of mistakes that a critic passes over


@dataclass(frozen=True)
class Exercise:
    """A word problem of the train split.

    Attributes:
        equation: What it asks for.
        problem: Its text.
    """

    equation: Equation
    problem: str

    @property
    def messages(self) -> Messages:
        """What a policy is asked."""
        return [{"role": "user", "content": self.problem}]

    @property
    def program(self) -> str:
        """A right program."""
        return program_for(self.equation)

    @property
    def reference(self) -> str:
        """What a right program prints."""
        return str(self.equation.value())


def exercise(rng: random.Random, most_steps: int = 3) -> Exercise:
    """A problem of the train split, never of the held-out one."""
    while True:
        equation = sample_equation(rng, min(most_steps, rng.choice(STEPS)))
        if split_of(equation) == "train":
            return Exercise(equation, render(equation, rng, tail_share=KNOWN_TAIL))


def attempt(known: Exercise, rng: random.Random, right_share: float = RIGHT_SHARE) -> Equation:
    """What a solution computes: the right thing, or the same with one or two mistakes."""
    equation = known.equation
    if rng.random() < right_share:
        return equation
    while equation.value() == known.equation.value():
        equation = _with_mistake(known.equation, rng)
        if rng.random() < 0.2:
            equation = _with_mistake(equation, rng)
    return equation


def _with_mistake(equation: Equation, rng: random.Random) -> Equation:
    steps = list(equation.steps)
    place = rng.randrange(len(steps))
    operation, operand = steps[place]
    if rng.random() < 0.1 and len(steps) > 1:
        del steps[place]
    else:  # numbers are copied well, operations are what a model mistakes
        others: list[Operation] = [other for other in SYMBOL if other != operation]
        steps[place] = (rng.choice(others), operand)
    return Equation(equation.start, tuple(steps))


def remarks(known: Exercise, tried: Equation, rng: random.Random) -> tuple[list[str], bool]:
    """A critic's remarks on each line, and whether it found all right.

    A remark says what the problem needs, then what the line has: comparing the two is easy, once
    both are written down. What a critic overlooks it takes for what is needed.
    """
    found: list[str] = []
    all_right = True
    pairs = zip_longest(_parts(known.equation), _parts(tried), fillvalue="nothing")
    for wanted, has in pairs:
        is_overlooked = has != "nothing" != wanted and rng.random() < OVERLOOKED
        needed = has if is_overlooked else wanted
        all_right = all_right and needed == has
        verdict = "right" if needed == has else "wrong"
        found.append(f"Needs {needed}, has {has}: {verdict}.")
    return found, all_right


def _parts(equation: Equation) -> list[str]:
    """What each line of its program does."""
    steps = [f"{SYMBOL[operation]}{operand}" for operation, operand in equation.steps]
    return [str(equation.start), *steps]
