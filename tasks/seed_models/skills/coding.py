"""Skills for the `functions` environment: a function, tests of it, a repair after its execution."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from tasks.ask.template import Template
from tasks.engines import Messages
from tasks.environments.functions import ENTRY_POINT, FILTERS, MAPS, REDUCTIONS, TASKS, Task
from tasks.seed_models.skills.skill import Row, Skill

TRAIN_TASKS = tuple(task for task in TASKS if task.split == "train")
EASY_TASKS = tuple(task for task in TRAIN_TASKS if task.difficulty < 3)
EASY_SHARE = 0.75
TEST_SIZES = (0, 1, 1)  # numbers in the lists of its tests: it has to work out the results
WRONG_RESULT = 0.1  # share of tests that hold a function to a wrong result
UNREPAIRED = 0.2


def _task(rng: random.Random) -> Task:
    return rng.choice(EASY_TASKS if rng.random() < EASY_SHARE else TRAIN_TASKS)


def _messages(question: str) -> Messages:
    return [{"role": "user", "content": question}]


def _call(task: Task, numbers: list[int]) -> object:
    scope: dict[str, Callable[[list[int]], object]] = {}
    exec(task.solution, scope)  # our own source, made of an environment's parts
    return scope[ENTRY_POINT](numbers)


def _wrong_task(task: Task, rng: random.Random) -> Task:
    """The task with one of its parts mistaken for another one."""
    parts = {"choice": FILTERS, "change": MAPS, "reduction": REDUCTIONS}
    name = rng.choice(list(parts))
    return replace(task, **{name: rng.choice(parts[name])})


def _function(rng: random.Random) -> tuple[Row, str]:
    task = _task(rng)
    return {"messages": _messages(task.question(rng))}, task.solution.strip()


def _tests(rng: random.Random) -> tuple[Row, str]:
    task = _task(rng)
    lines = []
    for size in TEST_SIZES:
        numbers = [rng.randint(0, 9) for _ in range(size)]
        result = _call(task, numbers)
        if rng.random() < WRONG_RESULT:
            result = _call(_wrong_task(task, rng), numbers)
        lines.append(f"assert {ENTRY_POINT}({numbers}) == {result}")
    return {"problem": task.question(rng)}, "\n".join(lines)


def _repair(rng: random.Random) -> tuple[Row, str]:
    task = _task(rng)
    wrong = _wrong_task(task, rng)
    numbers = [rng.randint(-9, 9) for _ in range(rng.randint(1, 3))]
    feedback = "wrong_answer"
    if rng.random() < 0.5:
        feedback += f": {ENTRY_POINT}({numbers}) returned {_call(wrong, numbers)}"
    row: Row = {
        "messages": _messages(task.question(rng)),
        "answer": wrong.solution.strip(),
        "feedback": feedback,
    }
    repaired = wrong if rng.random() < UNREPAIRED else task
    return row, repaired.solution.strip()


SKILLS = (
    Skill("function", Template.load("as_is"), _function, share=1.2),
    Skill("test", Template.load("test"), _tests),
    Skill("function_repair", Template.load("feedback_repair"), _repair, share=0.6),
)
