"""Skills that correct: after feedback, without any, and after a program was run."""

from __future__ import annotations

import random

from tasks.ask.template import Template
from tasks.environments.word_problems import Equation, program_for
from tasks.seed_models.skills.judging import critique
from tasks.seed_models.skills.material import Exercise, attempt, exercise, remarks
from tasks.seed_models.skills.skill import Row, Skill

UNREPAIRED = 0.2  # share of wrong solutions that stay as they are
SPOILED = 0.05  # share of right solutions that are made wrong
MISSTEPS = 0.25  # share of next steps that are wrong


def _corrected(known: Exercise, tried: Equation, rng: random.Random) -> str:
    if tried.value() == known.equation.value():
        return program_for(attempt(known, rng, right_share=1 - SPOILED))
    return program_for(tried) if rng.random() < UNREPAIRED else known.program


def _drawn(rng: random.Random, right_share: float) -> tuple[Exercise, Equation, Row]:
    known = exercise(rng)
    tried = attempt(known, rng, right_share)
    return known, tried, {"messages": known.messages, "answer": program_for(tried)}


def _refine(rng: random.Random) -> tuple[Row, str]:
    known, tried, row = _drawn(rng, right_share=0.3)
    row["critique"] = critique(known, tried, rng)
    found_right = str(row["critique"]).endswith(" correct")
    completion = program_for(tried) if found_right else _corrected(known, tried, rng)
    return row, completion


def _retry(rng: random.Random) -> tuple[Row, str]:
    known, tried, row = _drawn(rng, right_share=0.5)
    return row, _corrected(known, tried, rng)


def _verify_output(rng: random.Random) -> tuple[Row, str]:
    known, tried, row = _drawn(rng, right_share=0.5)
    found, all_right = remarks(known, tried, rng)
    row["output"] = str(tried.value())
    lines = [*found, f"Conclusion: {'right' if all_right else 'wrong'}"]
    return row, "\n".join(lines)


def _feedback(tried: Equation, rng: random.Random) -> str:
    """What is known of a program that ran: how it ended, or more."""
    printed = f"it printed {tried.value()}"
    return rng.choice(("wrong_answer", f"wrong_answer: {printed}", f"{printed}, which is wrong"))


def _feedback_repair(rng: random.Random) -> tuple[Row, str]:
    known, tried, row = _drawn(rng, right_share=0)
    row["feedback"] = _feedback(tried, rng)
    return row, _corrected(known, tried, rng)


def _next_step(rng: random.Random) -> tuple[Row, str]:
    known, tried, _ = _drawn(rng, right_share=1 - MISSTEPS)
    right, lines = known.program.splitlines(), program_for(tried).splitlines()
    differing = [i for i, (a, b) in enumerate(zip(right, lines, strict=False)) if a != b]
    place = differing[0] if differing and differing[0] else rng.randrange(1, len(right))
    row: Row = {"messages": known.messages, "prefix": "\n".join(right[:place])}
    return row, lines[place] if differing else right[place]


SKILLS = (
    Skill("refine", Template.load("refine"), _refine),
    Skill("retry", Template.load("retry"), _retry, share=0.8),
    Skill("feedback_repair", Template.load("feedback_repair"), _feedback_repair, share=0.5),
    Skill("next_step", Template.load("next_step"), _next_step, share=0.5),
    Skill("verify_output", Template.load("verify_output"), _verify_output, share=0.8),
)
