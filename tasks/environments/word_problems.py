"""Seeded multi-step word problems in English whose answers come from running a program.

A problem is a chain of steps over one running quantity. The question is rendered from a small
grammar of phrasings; the model answers with a Python program and the *printed number* is the
answer. The reference is that number, never a program: a recipe that trains on these problems
has to find programs itself (ReST-EM, arXiv 2312.06585), unless it declares that it learns from
solutions (SPIN, 2401.01335) and asks for them with `solved`.

Train and held-out problems are disjoint by construction: a problem's split is a function of its
equation (start value and operations), so no wording, name or item can carry one equation
across the border. See :func:`split_of`.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.checks.answers import canonical_answer
from tasks.environments.base import AnswerFormat, Problem, problem_id
from tasks.environments.generated import check_difficulties, check_num, check_split
from tasks.errors import OptionError

Operation = Literal["add", "subtract", "multiply", "divide"]
SYMBOL: dict[Operation, str] = {"add": "+", "subtract": "-", "multiply": "*", "divide": "//"}
HELDOUT_SHARE = 8  # one equation in eight is held out
_MAX_TRIES = 200_000  # equations in a row that are known already, before a difficulty is used up
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII)  # as Python prints one

NAMES = (
    "Ana", "Ben", "Chloe", "David", "Emma", "Farid", "Grace", "Hugo",
    "Ines", "Jack", "Kim", "Leo", "Mia", "Noah", "Olga", "Paul",
)  # fmt: skip
ITEMS = (
    "apples", "books", "coins", "stamps", "marbles", "cards", "shells", "pens",
    "stickers", "eggs", "cookies", "flowers", "tickets", "beads", "photos", "toys",
)  # fmt: skip

STARTS = (
    "{name} has {n} {items}.",
    "{name} starts the day with {n} {items}.",
    "There are {n} {items} in the box of {name}.",
    "In the morning {name} counts {n} {items}.",
    "{name} owns a collection of {n} {items}.",
    "At first {n} {items} belong to {name}.",
)
# The seed model is shown programs for hardly any but the first TEXTBOOK phrasings of an operation;
# the others have to be understood by trying programs and looking at what they print.
TEXTBOOK = 4
PHRASES: dict[Operation, tuple[str, ...]] = {
    "add": (
        "Then {name} buys {n} more.",
        "A friend gives {name} {n} more.",
        "{name} finds {n} {items} on the way home.",
        "{name} gets {n} more {items} as a present.",
        "Later {n} {items} arrive by mail.",
        "{name} wins another {n} in a game.",
        "Grandma puts {n} {items} on top of the pile.",
        "The next day brings {n} extra {items}.",
        "{name} picks up {n} {items} at the market.",
        "A neighbor drops off {n} {items} at the door.",
        "Under the bed {n} forgotten {items} turn up.",
        "The aunt of {name} hands over {n} {items}.",
    ),
    "subtract": (
        "Then {name} gives away {n} of them.",
        "{name} loses {n} {items} in the park.",
        "After that {n} {items} are sold.",
        "{name} uses up {n} of the {items}.",
        "A brother takes {n} of the {items}.",
        "{n} of them break and are thrown out.",
        "{name} leaves {n} {items} at school.",
        "A thief runs off with {n} {items}.",
        "{n} {items} fall into the river.",
        "The dog ruins {n} of the {items}.",
        "{name} donates {n} {items} to the museum.",
        "By evening {n} of them have gone missing.",
    ),
    "multiply": (
        "Then {name} has {n} times as many {items}.",
        "Overnight the number of {items} becomes {n} times as large.",
        "The {items} are multiplied by {n}.",
        "With hard work {name} gets to {n} times that many.",
        "{name} trades every one of the {items} for {n} new ones.",
        "A magic trick turns each of them into {n}.",
        "For each of the {items} the shop returns {n}.",
        "A machine makes {n} {items} out of every single one.",
        "Their number grows by a factor of {n}.",
        "Soon the pile is {n} times its old size.",
    ),
    "divide": (
        "Then {name} shares them equally among {n} people and keeps one share.",
        "They are packed evenly in {n} bags and {name} keeps one bag.",
        "The {items} are divided by {n}.",
        "{name} splits the {items} into {n} equal piles and keeps one pile.",
        "Only one of every {n} {items} survives the rain.",
        "{name} keeps just one out of each group of {n}.",
        "Their number shrinks by a factor of {n}.",
        "Every {n} {items} are swapped for a single better one.",
        "A storm leaves one part in {n} of the {items}.",
        "Glue joins every {n} of them into one.",
    ),
}
QUESTIONS = (
    "How many {items} does {name} have now?",
    "How many {items} are there in the end?",
    "What is the final number of {items}?",
    "How many {items} remain with {name}?",
)


@dataclass(frozen=True)
class Equation:
    """A start value and the steps applied to it, all results being positive integers."""

    start: int
    steps: tuple[tuple[Operation, int], ...]

    def value(self) -> int:
        """The number that a correct program prints."""
        total = self.start
        for operation, operand in self.steps:
            total = _apply(total, operation, operand)
        return total

    def key(self) -> str:
        """The canonical text that decides the split."""
        return f"{self.start}" + "".join(f"{SYMBOL[op]}{n}" for op, n in self.steps)


def _apply(total: int, operation: Operation, operand: int) -> int:
    match operation:
        case "add":
            return total + operand
        case "subtract":
            return total - operand
        case "multiply":
            return total * operand
        case "divide":
            return total // operand


def split_of(equation: Equation) -> Literal["train", "heldout"]:
    """The split an equation belongs to: a pure function of it, so splits can't overlap."""
    digest = hashlib.sha256(equation.key().encode()).digest()
    return "heldout" if digest[0] % HELDOUT_SHARE == 0 else "train"


def sample_equation(rng: random.Random, num_steps: int) -> Equation:
    """A random equation with `num_steps` steps whose every intermediate value is in [1, 999]."""
    start = total = rng.randint(3, 60)
    steps: list[tuple[Operation, int]] = []
    while len(steps) < num_steps:
        operation: Operation = rng.choice(
            ("add", "add", "subtract", "subtract", "multiply", "divide")
        )
        operand = rng.randint(2, 40) if operation in ("add", "subtract") else rng.randint(2, 6)
        if operation == "subtract" and operand >= total:
            continue
        if operation == "multiply" and total * operand > 999:
            continue
        if operation == "divide" and (total % operand or total == operand):
            if rng.random() < 0.9:
                continue
            operation = "add"
        total = _apply(total, operation, operand)
        steps.append((operation, operand))
    return Equation(start, tuple(steps))


def render(equation: Equation, rng: random.Random, *, tail_share: float | None = None) -> str:
    """The question in English: one start sentence, one sentence per step, one question.

    Args:
        equation: What the question asks for.
        rng: Chooses names and phrasings.
        tail_share: Probability of a phrasing outside of the textbook ones; None: all equally often.
    """
    words = {"name": rng.choice(NAMES), "items": rng.choice(ITEMS)}
    parts = [rng.choice(STARTS).format(n=equation.start, **words)]
    for operation, operand in equation.steps:
        phrases = PHRASES[operation]
        if tail_share is not None:
            tail = rng.random() < tail_share
            phrases = phrases[TEXTBOOK:] if tail else phrases[:TEXTBOOK]
        parts.append(rng.choice(phrases).format(n=operand, **words))
    parts.append(rng.choice(QUESTIONS).format(**words))
    return " ".join(parts)


def program_for(equation: Equation) -> str:
    """A program that prints the answer; only `labelled` and `solved` hand it out."""
    lines = [f"x = {equation.start}"]
    lines += [f"x = x {SYMBOL[operation]} {operand}" for operation, operand in equation.steps]
    return "\n".join([*lines, "print(x)"])


class WordProblems:
    """The `word_problems` environment: programs as answers, printed numbers as references."""

    name = "word_problems"
    answer_format: AnswerFormat = "program"

    def problems(
        self,
        split: str,
        num: int | None = None,
        seed: int = 0,
        difficulties: Sequence[int] | None = None,
    ) -> list[Problem]:
        """`num` distinct problems (100 for None), cycling over difficulties (1, 2, 3 for None).

        A difficulty whose equations are used up (of one step there are some thousands) drops out of
        the cycle.

        Raises:
            UnknownNameError: The split is neither `train` nor `heldout`.
            OptionError: A difficulty is below 1, `num` is negative, or there are fewer problems.
        """
        rows = self._draw(split, num, seed, difficulties, tail_share=None)
        return [_problem(equation, question, split) for equation, question in rows]

    def solved(
        self,
        split: str,
        num: int | None = None,
        seed: int = 0,
        difficulties: Sequence[int] | None = None,
    ) -> list[tuple[Problem, str]]:
        """The same as `problems`, each with a program that prints the answer."""
        rows = self._draw(split, num, seed, difficulties, tail_share=None)
        return [(_problem(eq, question, split), program_for(eq)) for eq, question in rows]

    def labelled(
        self, num: int, seed: int, difficulties: Sequence[int], tail_share: float
    ) -> list[tuple[Problem, str]]:
        """`num` train problems, each with a program: the seed model's only source of programs.

        Args:
            num: How many rows.
            seed: Decides the rows; independent of the rows of `problems`.
            difficulties: Step counts to cycle over.
            tail_share: Probability in [0, 1] that a step is worded by a phrasing outside of the
                first `TEXTBOOK` ones: small values leave most of the English to be learned.
        """
        rows = self._draw("train", num, seed, difficulties, tail_share=tail_share)
        return [(_problem(eq, question, "train"), program_for(eq)) for eq, question in rows]

    def parse_answer(self, text: str) -> str | None:
        """The number that a program printed: its output, if that is one number."""
        text = text.strip()
        return text if _NUMBER.fullmatch(text) else None

    def canonical(self, answer: str) -> str | None:
        """The number without decoration: `12.0` and `12` are one answer."""
        return canonical_answer(answer)

    def solve(self, problem: str) -> str | None:
        """The answer to any problem that is worded as these are; None for another text."""
        from tasks.environments.word_problem_reader import read_equation

        equation = read_equation(problem)
        return None if equation is None else str(equation.value())

    def _draw(
        self,
        split: str,
        num: int | None,
        seed: int,
        difficulties: Sequence[int] | None,
        tail_share: float | None,
    ) -> list[tuple[Equation, str]]:
        check_split(split)
        levels = check_difficulties(difficulties, default=(1, 2, 3))
        num = check_num(num, default=100)
        rng = random.Random(f"word_problems:{split}:{seed}:{tail_share}")
        rows: list[tuple[Equation, str]] = []
        seen: set[str] = set()
        asked, tries = list(levels), 0
        while len(rows) < num:
            place = len(rows) % len(levels)
            equation = sample_equation(rng, levels[place])
            if split_of(equation) == split and equation.key() not in seen:
                seen.add(equation.key())
                rows.append((equation, render(equation, rng, tail_share=tail_share)))
                tries = 0
            elif (tries := tries + 1) == _MAX_TRIES:
                del levels[place]
                tries = 0
                if not levels:
                    raise OptionError(
                        f"num={num} but there are {len(rows)} {split} problems of the difficulties "
                        f"{asked}; ask for fewer, or for harder ones"
                    )
        return rows


def _problem(equation: Equation, question: str, split: str) -> Problem:
    return Problem(
        id=problem_id("word_problems", question),
        messages=[{"role": "user", "content": question}],
        reference=str(equation.value()),
        difficulty=len(equation.steps),
        split=split,
    )
