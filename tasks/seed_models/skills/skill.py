"""A skill: a template, and rows that show how it is answered."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tasks.ask.template import Template
from tasks.engines import Messages

Row = dict[str, object]
_BETWEEN = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\n")  # a column, a tag of Jinja, a line's end

Lesson = tuple[Messages, str]  # what is asked, what is to be said


@dataclass(frozen=True)
class Skill:
    """One thing that a seed model is taught.

    Attributes:
        name: Its name in reports.
        template: What is asked.
        draw: Draws one row: the template's variables, and the completion.
        share: How often it is drawn, relative to the other skills.
    """

    name: str
    template: Template
    draw: Callable[[random.Random], tuple[Row, str]]
    share: float = 1.0

    def lesson(self, rng: random.Random) -> Lesson:
        """One row as the messages that a recipe would ask, and the completion."""
        row, completion = self.draw(rng)
        return self.template.render(row), completion


def lessons(skills: Sequence[Skill], num: int, seed: int) -> list[Lesson]:
    """About `num` lessons, shuffled; every skill has its share and a generator of its own.

    Args:
        skills: What is taught.
        num: How many lessons in all, rounded per skill.
        seed: Decides every lesson.
    """
    total = sum(skill.share for skill in skills)
    found: list[Lesson] = []
    for skill in skills:
        rng = random.Random(f"{skill.name}:{seed}")
        found += [skill.lesson(rng) for _ in range(round(num * skill.share / total))]
    random.Random(seed).shuffle(found)
    return found


def fixed_texts(skills: Sequence[Skill], *, min_length: int = 8) -> list[str]:
    """The texts that every prompt of a skill has: lines of its template, or parts between columns.

    A tokenizer that takes each as one token makes prompts three times shorter.

    Args:
        skills: What is taught.
        min_length: Fewest characters of a text that is worth a token.
    """
    found = {
        text
        for skill in skills
        for message in skill.template.messages
        for text in _BETWEEN.split((message.content or "").strip())
    }
    return sorted(text for text in found if len(text) >= min_length)
