"""Skills that answer: a program, a plan, a program after a hint or under principles."""

from __future__ import annotations

import random

from tasks.ask.template import Template
from tasks.environments.word_problems import Operation
from tasks.seed_models.skills.material import exercise
from tasks.seed_models.skills.skill import Row, Skill

PRINCIPLES = (
    "Be helpful: answer what is asked, completely.",
    "Be honest: do not claim what you do not know.",
    "Be harmless: refuse what hurts people.",
    "Be concise: write nothing that is not needed.",
    "Be right: check every step and every number.",
    "Be clear: keep the form that is asked for.",
)
STEP_WORDS: dict[Operation, str] = {
    "add": "Add {}.",
    "subtract": "Subtract {}.",
    "multiply": "Multiply by {}.",
    "divide": "Divide by {}.",
}


def some_principles(rng: random.Random) -> list[str]:
    """One to three principles."""
    return rng.sample(PRINCIPLES, rng.randint(1, 3))


def _answer(rng: random.Random) -> tuple[Row, str]:
    known = exercise(rng)
    return {"messages": known.messages}, known.program


def _principled(rng: random.Random) -> tuple[Row, str]:
    known = exercise(rng)
    return {"messages": known.messages, "principles": some_principles(rng)}, known.program


def _rationalize(rng: random.Random) -> tuple[Row, str]:
    known = exercise(rng)
    return {"messages": known.messages, "reference": known.reference}, known.program


def _plan(rng: random.Random) -> tuple[Row, str]:
    known = exercise(rng)
    steps = [STEP_WORDS[operation].format(n) for operation, n in known.equation.steps]
    lines = [f"Start with {known.equation.start}.", *steps, "Print the result."]
    text = "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))
    return {"problem": known.problem}, text


SKILLS = (
    Skill("answer", Template.load("as_is"), _answer, share=1.5),
    Skill("with_principles", Template.load("with_principles"), _principled, share=0.4),
    Skill("rationalize", Template.load("rationalize"), _rationalize, share=0.5),
    Skill("plan", Template.load("plan"), _plan, share=0.4),
)
