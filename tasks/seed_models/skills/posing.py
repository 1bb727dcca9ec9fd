"""Skills that pose problems: new ones, other wordings, easier ones, and those of a solution."""

from __future__ import annotations

import random
import re

from tasks.ask.template import Template
from tasks.environments.word_problems import ITEMS, NAMES, render
from tasks.seed_models.skills.material import KNOWN_TAIL, exercise
from tasks.seed_models.skills.skill import Row, Skill


def _question(rng: random.Random) -> tuple[Row, str]:
    examples = [exercise(rng, most_steps=2).problem for _ in range(2)]
    return {"examples": examples}, exercise(rng, most_steps=2).problem


def _rephrase(rng: random.Random) -> tuple[Row, str]:
    known = exercise(rng)
    reworded = render(known.equation, rng, tail_share=KNOWN_TAIL)
    for words in (NAMES, ITEMS):  # it is still about the same person and the same things
        old, new = (_word(text, words) for text in (reworded, known.problem))
        reworded = re.sub(rf"\b{old}\b", new, reworded)
    return {"problem": known.problem}, reworded


def _word(text: str, words: tuple[str, ...]) -> str:
    return next(word for word in words if re.search(rf"\b{word}\b", text))


def _easier(rng: random.Random) -> tuple[Row, str]:
    known = exercise(rng)
    while len(known.equation.steps) == 1:
        known = exercise(rng)
    # Its sentences are a start, one for every step, and the question: the last step goes.
    sentences = known.problem.replace("? ", "?\n").replace(". ", ".\n").splitlines()
    return {"problem": known.problem}, " ".join([*sentences[:-2], sentences[-1]])


def _back_translate(rng: random.Random) -> tuple[Row, str]:
    known = exercise(rng)
    return {"answer": known.program}, known.problem


SKILLS = (
    Skill("question", Template.load("question"), _question),
    Skill("rephrase", Template.load("rephrase"), _rephrase, share=0.7),
    Skill("easier", Template.load("easier"), _easier, share=0.5),
    Skill("back_translate", Template.load("back_translate"), _back_translate, share=0.3),
)
