"""Word problems: disjoint splits, sound numbers, and programs that print the reference."""

import os
import random
import re
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import Program, SandboxUnavailableError, Verdict, open_sandbox
from tasks.environments.word_problems import (
    PHRASES,
    SYMBOL,
    TEXTBOOK,
    Equation,
    Operation,
    WordProblems,
    program_for,
    render,
    sample_equation,
    split_of,
)
from tasks.errors import OptionError, UnknownNameError

WORDS = WordProblems()
seeds = st.integers(0, 2**31 - 1)
steps = st.integers(1, 6)


@given(seeds, steps)
def test_values_stay_positive_small_and_whole(seed: int, num_steps: int) -> None:
    equation = sample_equation(random.Random(seed), num_steps)
    assert len(equation.steps) == num_steps
    for done in range(num_steps + 1):
        value = Equation(equation.start, equation.steps[:done]).value()
        assert 1 <= value <= 999
        if done < num_steps and equation.steps[done][0] == "divide":
            assert value % equation.steps[done][1] == 0


@given(seeds, steps)
def test_a_split_follows_the_equation_whatever_its_wording(seed: int, num_steps: int) -> None:
    rng = random.Random(seed)
    equation = sample_equation(rng, num_steps)
    same = Equation(equation.start, tuple(equation.steps))
    assert split_of(equation) == split_of(same)
    questions = [render(equation, rng, tail_share=share) for share in (None, 0.0, 1.0)]
    numbers = [str(equation.start), *(str(operand) for _, operand in equation.steps)]
    assert all(re.findall(r"\d+", question) == numbers for question in questions)


@given(st.lists(seeds, min_size=2, max_size=2), st.lists(steps, min_size=1, max_size=3))
def test_no_equation_is_in_both_splits(pair: list[int], levels: list[int]) -> None:
    train, heldout = (
        {equation.key() for equation, _ in WORDS._draw(split, 24, seed, levels, None)}
        for split, seed in zip(("train", "heldout"), pair, strict=True)
    )
    assert len(train) == len(heldout) == 24
    assert not train & heldout


@given(seeds, st.lists(steps, min_size=1, max_size=4))
def test_difficulty_is_the_number_of_steps(seed: int, levels: list[int]) -> None:
    for number, problem in enumerate(WORDS.problems("train", 12, seed, levels)):
        assert problem.difficulty == levels[number % len(levels)]
        (message,) = problem.messages
        assert len(re.findall(r"\d+", message["content"])) == problem.difficulty + 1


def test_the_same_arguments_give_the_same_problems() -> None:
    first = WORDS.problems("heldout", 40, 3, [1, 2])
    assert first == WORDS.problems("heldout", 40, 3, [1, 2])
    assert first[:15] == WORDS.problems("heldout", 15, 3, [1, 2])
    assert first != WORDS.problems("heldout", 40, 4, [1, 2])
    assert {problem.split for problem in first} == {"heldout"}
    assert len({problem.id for problem in first}) == 40


def test_the_defaults_are_a_hundred_problems_of_three_levels() -> None:
    found = WORDS.problems("train")
    assert [problem.difficulty for problem in found[:4]] == [1, 2, 3, 1]
    assert len(found) == 100


def test_no_label_reaches_a_problem_of_a_round() -> None:
    for problem in WORDS.problems("train", 30, 0):
        assert problem.metadata == {}
        assert "print" not in problem.messages[0]["content"]


def test_labelled_rows_use_textbook_phrasings_unless_asked() -> None:
    def textbook(operation: Operation) -> list[str]:
        return [re.sub(r"\{\w+\}", r"[\\w ]+?", p) for p in PHRASES[operation][:TEXTBOOK]]

    for problem, program in WORDS.labelled(40, 0, [1], tail_share=0.0):
        symbol = program.splitlines()[1].split()[3]
        operation = next(name for name, known in SYMBOL.items() if known == symbol)
        question = problem.messages[0]["content"]
        assert any(re.search(pattern, question) for pattern in textbook(operation)), question
    assert WORDS.labelled(9, 0, [1], 0.0) != WORDS.labelled(9, 0, [1], 1.0)


@pytest.mark.sandbox
def test_labelled_programs_print_the_reference_in_the_sandbox() -> None:
    rows = WORDS.labelled(60, 5, [1, 2, 3, 4], tail_share=0.3)
    assert all(problem.split == "train" for problem, _ in rows)
    try:
        opened = open_sandbox("auto", workers=2)
    except SandboxUnavailableError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    with opened as box:
        runs = list(box.run(Program(problem.id, source) for problem, source in rows))
    for (problem, _), execution in zip(rows, runs, strict=True):
        assert execution.verdict is Verdict.ACCEPTED
        answer = WORDS.parse_answer(execution.stdout)
        assert answer is not None and WORDS.canonical(answer) == problem.reference


@given(seeds, steps)
def test_a_program_is_its_equation(seed: int, num_steps: int) -> None:
    equation = sample_equation(random.Random(seed), num_steps)
    lines = program_for(equation).splitlines()
    total = int(lines[0].removeprefix("x = "))
    for line in lines[1:-1]:
        symbol, operand = line.removeprefix("x = x ").split()
        operation = next(name for name, known in SYMBOL.items() if known == symbol)
        total = Equation(total, ((operation, int(operand)),)).value()
    assert (total, lines[-1]) == (equation.value(), "print(x)")


@pytest.mark.parametrize(
    ("text", "answer"),
    [("12\n", "12"), (" -3 ", "-3"), ("12 apples", None), ("1\n2", None), ("", None), ("x", None)],
)
def test_an_output_is_an_answer_when_it_is_one_number(text: str, answer: str | None) -> None:
    assert WORDS.parse_answer(text) == answer


def test_equal_numbers_are_one_answer() -> None:
    assert {WORDS.canonical(text) for text in ("12", "12.0", "+12")} == {"12"}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("dev", 3, 0, None), UnknownNameError, "split 'dev': there are train, heldout"),
        (("train", -1, 0, None), OptionError, "num=-1"),
        (("train", 3, 0, []), OptionError, r"difficulties=\[\]"),
        (("train", 3, 0, [0, 1]), OptionError, r"difficulties=\[0, 1\]"),
    ],
)
def test_impossible_requests_are_refused(
    arguments: tuple[str, int, int, Sequence[int] | None], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        WORDS.problems(*arguments)


def test_a_difficulty_that_is_used_up_drops_out_of_the_cycle() -> None:
    found = WORDS.problems("train", 12_000, 0, [1, 2])
    levels = Counter(problem.difficulty for problem in found)
    assert len({problem.id for problem in found}) == 12_000 == levels.total()
    assert 3_000 < levels[1] < 4_000 < levels[2]
    with pytest.raises(OptionError, match=rf"there are {levels[1]} train problems .* \[1\]"):
        WORDS.problems("train", 5_000, 0, [1])
