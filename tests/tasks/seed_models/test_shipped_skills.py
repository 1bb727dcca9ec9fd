"""The shipped `seed:skills` plays its roles: what it says can be read, and is often right.

`benchmarks/seed_skills.py` measures all roles; this holds the floor that recipes need.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tasks.engines import Engine, GenerationRequest, open_engine
from tasks.seed_models import seed_model_path
from tasks.seed_models.skills import SKILLS, Lesson
from tests.tasks.seed_models.test_skills import READERS

pytestmark = pytest.mark.slow
NUM = 60


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine("transformers", seed_model_path("skills")) as engine:
        yield engine


def lessons_of(name: str) -> list[Lesson]:
    (skill,) = [one for one in SKILLS if one.name == name]
    rng = random.Random("held out by the generator's name")
    return [skill.lesson(rng) for _ in range(NUM)]


def said(engine: Engine, lessons: list[Lesson], temperature: float) -> list[str]:
    requests = [
        GenerationRequest(str(i), messages, seed=i, temperature=temperature, max_new_tokens=120)
        for i, (messages, _) in enumerate(lessons)
    ]
    return [found[0].text for found in engine.generate(requests)]


@pytest.mark.parametrize("name", READERS)
def test_what_it_says_can_be_read(engine: Engine, name: str) -> None:
    texts = said(engine, lessons_of(name), temperature=0.7)
    assert sum(READERS[name](text) is not None for text in texts) >= 0.95 * NUM


def test_it_answers_most_problems_and_judges_most_answers(engine: Engine) -> None:
    for name, least in (("answer", 0.6), ("critique", 0.7), ("verify_output", 0.7)):
        lessons = lessons_of(name)
        texts = said(engine, lessons, temperature=0.0)
        if name == "answer":
            found, wanted = texts, [completion for _, completion in lessons]
        else:
            read = READERS[name]
            found = [str(read(text)) for text in texts]
            wanted = [str(read(completion)) for _, completion in lessons]
        right = sum(a == b for a, b in zip(found, wanted, strict=True))
        assert right >= least * NUM, (name, right)
