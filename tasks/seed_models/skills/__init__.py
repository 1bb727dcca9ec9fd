"""What `seed:skills` is taught: one skill for every role that a recipe asks a model to play.

A skill is a template of `tasks/ask/templates` and a function that draws one row for it: the
template's variables and what a model should say. The training prompt is what the template gives, so
recipes that use the templates run on the seed model unchanged. To teach it something else, add a
module with a tuple of `Skill`s and name it here; `selfloom bootstrap skills` trains it again.
"""

from __future__ import annotations

from tasks.seed_models.skills import answering, coding, correcting, judging, posing
from tasks.seed_models.skills.skill import Lesson, Skill, fixed_texts, lessons

SKILLS: tuple[Skill, ...] = (
    *answering.SKILLS,
    *judging.SKILLS,
    *correcting.SKILLS,
    *posing.SKILLS,
    *coding.SKILLS,
)

__all__ = ["SKILLS", "Lesson", "Skill", "fixed_texts", "lessons"]
