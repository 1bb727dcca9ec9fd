"""Seeded small programming tasks: write a function over a list of numbers, judged by hidden tests.

A task chooses numbers (the even ones, those above 4), changes them (squared, plus 3) and reduces
them (sum, largest, count). The difficulty is how many of the three it has. Train and held-out tasks
are disjoint by construction: the split is a function of what is to be computed, not of the wording.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from tasks.checks.execution import extract_program
from tasks.checks.function_tests import HiddenTests
from tasks.environments.base import AnswerFormat, Problem, hash_fraction, problem_id
from tasks.environments.generated import check_difficulties, check_num, check_split
from tasks.errors import OptionError

HELDOUT_SHARE = 1 / 8
NUM_CASES = 8
ENTRY_POINT = "f"


@dataclass(frozen=True)
class Part:
    """One part of a task.

    Attributes:
        phrases: Ways to ask for it.
        code: Its Python source over `x` (a number) or, for a reduction, over `{}` (the numbers).
    """

    phrases: tuple[str, ...]
    code: str


def _with_numbers(phrases: tuple[str, ...], code: str) -> list[Part]:
    return [
        Part(tuple(phrase.format(k=k) for phrase in phrases), code.format(k=k))
        for k in range(2, 10)
    ]


ALL, UNCHANGED = Part(("numbers",), ""), Part(("",), "x")
FILTERS = [
    Part(("even numbers", "numbers that are even"), "x % 2 == 0"),
    Part(("odd numbers", "numbers that are odd"), "x % 2 == 1"),
    Part(("positive numbers", "numbers above zero"), "x > 0"),
    Part(("negative numbers", "numbers below zero"), "x < 0"),
    *_with_numbers(("numbers above {k}", "numbers greater than {k}"), "x > {k}"),
    *_with_numbers(("numbers below {k}", "numbers less than {k}"), "x < {k}"),
    *_with_numbers(("multiples of {k}", "numbers that {k} divides"), "x % {k} == 0"),
]
MAPS = [
    Part((", each squared", ", every one of them squared"), "x * x"),
    Part((", each negated", ", every one with its sign changed"), "-x"),
    Part((", each without its sign", ", every one made positive"), "abs(x)"),
    *_with_numbers((", each plus {k}", ", {k} added to every one"), "x + {k}"),
    *_with_numbers((", each minus {k}", ", {k} taken from every one"), "x - {k}"),
    *_with_numbers((", each times {k}", ", every one multiplied by {k}"), "x * {k}"),
]
LISTED = Part(("the list of the",), "[{}]")
REDUCTIONS = [
    Part(("the sum of the", "the total of the"), "sum({})"),
    Part(("the number of the", "the count of the"), "len([{}])"),
    Part(("the largest (0 if there is none) of the",), "max(({}), default=0)"),
    Part(("the smallest (0 if there is none) of the",), "min(({}), default=0)"),
    Part(("the sorted list of the",), "sorted({})"),
    Part(("the set, as a sorted list, of the",), "sorted(set({}))"),
]


@dataclass(frozen=True)
class Task:
    """What is to be computed: a choice, a change and a reduction."""

    choice: Part
    change: Part
    reduction: Part

    @property
    def difficulty(self) -> int:
        """1 to 3: how many of the parts do something."""
        parts = (self.choice is not ALL, self.change is not UNCHANGED, self.reduction is not LISTED)
        return sum(parts)

    @property
    def solution(self) -> str:
        """A function that does it."""
        condition = f" if {self.choice.code}" if self.choice.code else ""
        numbers = f"{self.change.code} for x in xs{condition}"
        return f"def {ENTRY_POINT}(xs):\n    return {self.reduction.code.format(numbers)}\n"

    @property
    def split(self) -> str:
        """`train` or `heldout`: a function of the task alone."""
        is_heldout = hash_fraction("functions", self.solution) < HELDOUT_SHARE
        return "heldout" if is_heldout else "train"

    def question(self, rng: random.Random) -> str:
        """One of the ways to ask for it."""
        reduced, chosen, changed = (
            rng.choice(part.phrases) for part in (self.reduction, self.choice, self.change)
        )
        asked = f"{reduced} {chosen} in xs{changed}"
        return f"Write a Python function {ENTRY_POINT}(xs) that returns {asked}."

    def hidden_tests(self) -> HiddenTests:
        """Calls with their right results: always the empty list, and seeded ones."""
        rng = random.Random(f"functions:{self.solution}")
        lists = [[], *([rng.randint(-12, 20) for _ in range(rng.randint(1, 9))] for _ in range(7))]
        scope: dict[str, Callable[[list[int]], object]] = {}
        exec(self.solution, scope)  # our own source, made of the parts above
        return HiddenTests(ENTRY_POINT, tuple(([xs], scope[ENTRY_POINT](xs)) for xs in lists))


TASKS = [
    Task(*parts)
    for parts in product([ALL, *FILTERS], [UNCHANGED, *MAPS], [LISTED, *REDUCTIONS])
    if parts[1:] != (UNCHANGED, LISTED) or parts[0] is not ALL
]


class Functions:
    """The `functions` environment: the answer is a function `f(xs)` that passes hidden tests."""

    name = "functions"
    answer_format: AnswerFormat = "function"

    def problems(
        self,
        split: str,
        num: int | None = None,
        seed: int = 0,
        difficulties: Sequence[int] | None = None,
    ) -> list[Problem]:
        """`num` problems (100 for None) of distinct tasks, cycling over difficulties (1 to 3).

        Raises:
            UnknownNameError: The split is neither `train` nor `heldout`.
            OptionError: A difficulty is outside 1 to 3, or they have fewer tasks.
        """
        return [problem for problem, _ in self.labelled(split, num, seed, difficulties)]

    def labelled(
        self,
        split: str,
        num: int | None = None,
        seed: int = 0,
        difficulties: Sequence[int] | None = None,
    ) -> list[tuple[Problem, str]]:
        """The same problems, each with a function that is right: a seed model's first lessons."""
        check_split(split)
        num = check_num(num, default=100)
        levels = check_difficulties(difficulties, (1, 2, 3))
        rng = random.Random(f"functions:{split}:{seed}")
        pools = {
            level: [task for task in TASKS if task.difficulty == level and task.split == split]
            for level in levels
        }
        total = sum(map(len, pools.values()))
        if num > total:
            raise OptionError(
                f"num={num} but there are {total} {split} tasks of the difficulties {levels}; "
                "difficulties are 1 to 3"
            )
        for pool in pools.values():
            rng.shuffle(pool)
        tasks: list[Task] = []
        while len(tasks) < num:
            tasks += [pool.pop() for pool in pools.values() if pool]
        return [(self._problem(task, rng), task.solution) for task in tasks[:num]]

    def solved(
        self,
        split: str,
        num: int | None = None,
        seed: int = 0,
        difficulties: Sequence[int] | None = None,
    ) -> list[tuple[Problem, str]]:
        """The same as `problems`, each with a function that is right."""
        return self.labelled(split, num, seed, difficulties)

    def parse_answer(self, text: str) -> str | None:
        """The program in a completion; None where there is nothing."""
        return extract_program(text).strip() or None

    def canonical(self, answer: str) -> str | None:
        """The function up to names, comments and layout; its text where it is no Python."""
        return code_form(answer)

    def _problem(self, task: Task, rng: random.Random) -> Problem:
        question = task.question(rng)
        return Problem(
            id=problem_id(self.name, question),
            messages=[{"role": "user", "content": question}],
            reference=task.hidden_tests().to_json(),
            difficulty=task.difficulty,
            split=task.split,
        )


def code_form(program: str) -> str:
    """Under which programs that differ in names, comments and layout are one answer."""
    from tasks.dedup.skeletons import code_skeleton

    return code_skeleton(program) or program.strip()
