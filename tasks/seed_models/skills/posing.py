"""Skills that pose problems: new ones, other wordings, easier ones, and those of a solution."""

from __future__ import annotations

import random

from tasks.ask.template import Template
from tasks.environments.word_problems import render
from tasks.seed_models.skills.material import KNOWN_TAIL, exercise
from tasks.seed_models.skills.skill import Row, Skill


def _question(rng: random.Random) -> tuple[Row, str]:
    examples = [exercise(rng).problem for _ in range(rng.randint(2, 3))]
    return {"examples": examples}, exercise(rng).problem


def _rephrase(rng: random.Random) -> tuple[Row, str]:
    known = exercise(rng)
    return {"problem": known.problem}, render(known.equation, rng, tail_share=KNOWN_TAIL)


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
    Skill("back_translate", Template.load("back_translate"), _back_translate, share=0.5),
)
