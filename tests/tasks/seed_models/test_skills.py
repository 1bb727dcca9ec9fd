"""What the seed model is taught can be read by the parsers that recipes use, and stays in train."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest

from tasks.ask.parsers import ChoiceParser, ListParser, ScoreParser, VerdictParser
from tasks.environments.word_problem_reader import read_equation
from tasks.environments.word_problems import split_of
from tasks.seed_models.bootstrap import build_tokenizer
from tasks.seed_models.skills import SKILLS, Skill, fixed_texts, lessons
from tasks.seed_models.skills.material import attempt, exercise, remarks

BY_NAME = {skill.name: skill for skill in SKILLS}
READERS: dict[str, Callable[[str], object]] = {
    "critique": lambda text: VerdictParser().parse(text).label,
    "critique_with_hint": lambda text: VerdictParser().parse(text).label,
    "judge_additive": lambda text: ScoreParser().parse(text).label,
    "judge_pair": lambda text: ChoiceParser().parse(text).label,
    "judge_meta": lambda text: ChoiceParser(options=("A", "B")).parse(text).label,
    "verify": lambda text: VerdictParser().parse(text).label,
    "verify_output": lambda text: VerdictParser().parse(text).label,
    "plan": lambda text: ListParser().parse(text).value,
}


def drawn(skill: Skill, num: int) -> list[tuple[dict[str, object], str]]:
    rng = random.Random(7)
    return [skill.draw(rng) for _ in range(num)]


def test_names_are_different_and_every_template_gets_what_it_reads() -> None:
    assert len(BY_NAME) == len(SKILLS)
    for skill in SKILLS:
        row, _ = skill.draw(random.Random(1))
        skill.template.check(row)


@pytest.mark.parametrize("name", READERS)
def test_completions_are_read_by_the_parser_of_their_role_and_differ(name: str) -> None:
    found = [READERS[name](text) for _, text in drawn(BY_NAME[name], 200)]
    assert None not in found and len(set(found)) > 1


def test_the_same_seed_gives_the_same_lessons_in_the_shares_that_skills_have() -> None:
    rows = lessons(SKILLS, 500, seed=2)
    assert rows == lessons(SKILLS, 500, seed=2) != lessons(SKILLS, 500, seed=3)
    assert abs(len(rows) - 500) < len(SKILLS)


def test_exercises_are_of_the_train_split_and_attempts_are_wrong_as_often_as_wanted() -> None:
    rng = random.Random(3)
    known = [exercise(rng) for _ in range(300)]
    assert {split_of(one.equation) for one in known} == {"train"}
    wrong = [attempt(one, rng, 0).value() != one.equation.value() for one in known]
    right = [attempt(one, rng, 1) == one.equation for one in known]
    assert all(wrong) and all(right)


def test_remarks_name_every_line_that_differs_unless_they_overlook_it() -> None:
    class Attentive(random.Random):
        def random(self) -> float:
            return 0.99

    rng = random.Random(5)
    for _ in range(50):
        known = exercise(rng)
        tried = attempt(known, rng)
        found, all_right = remarks(known, tried, Attentive())
        assert all_right == (tried == known.equation)
        needed, has = list[str](), list[str]()
        for remark in found:
            said = re.fullmatch(r"Needs (.*), has (.*): (right|wrong)\.", remark)
            assert said is not None and (said[1] == said[2]) == (said[3] == "right")
            needed.append(said[1])
            has.append(said[2])
        for equation, parts in ((known.equation, needed), (tried, has)):
            written = [part for part in parts if part != "nothing"]
            assert "".join(written) == equation.key()


def test_posed_problems_keep_their_equation() -> None:
    for row, text in drawn(BY_NAME["rephrase"], 50):
        assert read_equation(text) == read_equation(str(row["problem"])) is not None
        assert re.findall(r"\d+", str(row["problem"])) == re.findall(r"\d+", text)
    for row, text in drawn(BY_NAME["easier"], 50):
        numbers = re.findall(r"\d+", str(row["problem"]))
        assert numbers[:-1] == re.findall(r"\d+", text) and text.endswith("?")


def test_a_fixed_text_is_one_token_and_a_prompt_comes_back_as_it_was() -> None:
    rows = lessons(SKILLS, 400, seed=1)
    texts = [message["content"] for messages, _ in rows for message in messages]
    phrases = fixed_texts(SKILLS)
    tokenizer = build_tokenizer(texts, 600, phrases)
    for text in texts:
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    for phrase in phrases:
        assert len(tokenizer(phrase)["input_ids"]) == 1
