"""Skills that judge: critiques, scores, choices, verdicts. They are right most of the time only."""

from __future__ import annotations

import random

from tasks.ask.template import Template
from tasks.environments.word_problems import Equation, program_for
from tasks.measures.measures import P_TRUE_TEMPLATE
from tasks.seed_models.skills.answering import some_principles
from tasks.seed_models.skills.material import Exercise, attempt, exercise, remarks
from tasks.seed_models.skills.skill import Row, Skill

RIGHT_SCORES = (5, 5, 5, 5, 5, 5, 4, 4, 4, 3)
WRONG_SCORES = (0, 1, 1, 2, 2, 2, 3)
MISJUDGED = 0.08  # share of short verdicts that are wrong
P_TRUE = Template.model_validate(
    {
        "name": "p_true",
        "messages": [
            {
                "role": "user",
                "content": P_TRUE_TEMPLATE.replace("{question}", "{{ problem }}").replace(
                    "{answer}", "{{ answer }}"
                ),
            }
        ],
    }
)


def _row(known: Exercise, tried: Equation) -> Row:
    return {"messages": known.messages, "problem": known.problem, "answer": program_for(tried)}


def critique(known: Exercise, tried: Equation, rng: random.Random) -> str:
    """Remarks on every line, and a verdict that follows from them."""
    found, all_right = remarks(known, tried, rng)
    return "\n".join([*found, f"Verdict: {'correct' if all_right else 'incorrect'}"])


def judgement(known: Exercise, tried: Equation, rng: random.Random) -> str:
    """Remarks on every line, and a score that goes with them."""
    found, all_right = remarks(known, tried, rng)
    score = rng.choice(RIGHT_SCORES if all_right else WRONG_SCORES)
    return f"{' '.join(found)}\nScore: {score}"


def _critique(rng: random.Random) -> tuple[Row, str]:
    known = exercise(rng)
    tried = attempt(known, rng)
    return _row(known, tried), critique(known, tried, rng)


def _critique_with_hint(rng: random.Random) -> tuple[Row, str]:
    known = exercise(rng)
    tried = attempt(known, rng)
    row = {**_row(known, tried), "reference": known.reference}
    return row, critique(known, tried, rng)


def _score(rng: random.Random) -> tuple[Row, str]:
    known = exercise(rng)
    tried = attempt(known, rng)
    row = _row(known, tried)
    if rng.random() < 0.3:
        row["reference_answer"] = program_for(attempt(known, rng, right_share=0.8))
    if rng.random() < 0.3:
        row["principles"] = some_principles(rng)
    return row, judgement(known, tried, rng)


def _pair(rng: random.Random) -> tuple[Row, str]:
    known = exercise(rng, most_steps=2)
    tried = [attempt(known, rng), attempt(known, rng)]
    row: Row = {
        "problem": known.problem,
        "answer_a": program_for(tried[0]),
        "answer_b": program_for(tried[1]),
    }
    if rng.random() < 0.2:
        row["principles"] = some_principles(rng)
    reviews = [remarks(known, one, rng) for one in tried]
    rights = [all_right for _, all_right in reviews]
    choice = "tie" if rights[0] == rights[1] else ("A" if rights[0] else "B")
    a, b = (" ".join(found) for found, _ in reviews)
    return row, f"A: {a}\nB: {b}\n[[{choice}]]"


def _meta(rng: random.Random) -> tuple[Row, str]:
    known = exercise(rng, most_steps=2)
    tried = attempt(known, rng)
    is_right = tried.value() == known.equation.value()
    texts = [judgement(known, tried, rng) for _ in range(2)]
    scores = [int(text.rpartition(" ")[2]) for text in texts]
    row: Row = {**_row(known, tried), "judgement_a": texts[0], "judgement_b": texts[1]}
    wanted = "A" if (scores[0] > scores[1]) == is_right else "B"
    if rng.random() < MISJUDGED:
        wanted = "AB".replace(wanted, "")
    opinion = "right" if is_right else "wrong"
    return row, f"A says {scores[0]}, B says {scores[1]}, it is {opinion}.\n[[{wanted}]]"


def _verdict(rng: random.Random) -> tuple[Row, bool]:
    known = exercise(rng)
    tried = attempt(known, rng)
    is_right = tried.value() == known.equation.value()
    return _row(known, tried), is_right != (rng.random() < MISJUDGED)


def _verify(rng: random.Random) -> tuple[Row, str]:
    row, says_right = _verdict(rng)
    return row, "yes" if says_right else "no"


def _p_true(rng: random.Random) -> tuple[Row, str]:
    row, says_right = _verdict(rng)
    return row, "(A)" if says_right else "(B)"


SKILLS = (
    Skill("critique", Template.load("critique"), _critique, share=1.5),
    Skill("critique_with_hint", Template.load("critique_with_hint"), _critique_with_hint, 0.4),
    Skill("judge_additive", Template.load("judge_additive"), _score, share=1.2),
    Skill("judge_pair", Template.load("judge_pair"), _pair, share=1.2),
    Skill("judge_meta", Template.load("judge_meta"), _meta, share=0.4),
    Skill("verify", Template.load("verify"), _verify, share=0.4),
    Skill("p_true", P_TRUE, _p_true, share=0.3),
)
