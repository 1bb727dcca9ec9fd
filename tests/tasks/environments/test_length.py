"""Copying digits: disjoint splits, difficulty is length, and short lengths that run out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.environments.length import AdditionTask, CopyTask, DigitTask, ReverseTask
from tasks.errors import OptionError, UnknownNameError

COPY = CopyTask()
TASKS = [COPY, ReverseTask(), AdditionTask(), AdditionTask("forward")]
seeds = st.integers(0, 2**31 - 1)


@given(st.text("0123456789", min_size=1, max_size=20))
def test_a_string_is_in_one_split_and_short_ones_are_for_training(digits: str) -> None:
    split = COPY.split_of(digits, len(digits))
    assert split in ("train", "heldout")
    assert len(digits) > 3 or split == "train"


@given(seeds, seeds, st.integers(4, 20))
def test_no_string_is_in_both_splits(one: int, other: int, length: int) -> None:
    train, heldout = (
        {problem.reference for problem in COPY.problems(split, 24, seed, [length])}
        for split, seed in (("train", one), ("heldout", other))
    )
    assert len(train) == len(heldout) == 24
    assert not train & heldout


@given(seeds, st.lists(st.integers(4, 30), min_size=1, max_size=4, unique=True))
def test_difficulty_is_the_number_of_digits(seed: int, lengths: list[int]) -> None:
    for number, problem in enumerate(COPY.problems("train", 12, seed, lengths)):
        assert problem.difficulty == lengths[number % len(lengths)]
        assert problem.messages == [{"role": "user", "content": problem.reference}]
        assert len(problem.reference or "") == problem.difficulty


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_two_splits_and_right_answers(task: DigitTask) -> None:
    train, heldout = (
        task.problems(split, 60, 5, [2, 4, 12])
        if split == "train"
        else task.problems(split, 60, 5, [4, 12])
        for split in ("train", "heldout")
    )
    assert not {problem.id for problem in train} & {problem.id for problem in heldout}
    for problem in train + heldout:
        prompt, answer, length = (
            problem.messages[0]["content"],
            problem.reference,
            problem.difficulty,
        )
        assert answer is not None and length is not None
        if isinstance(task, AdditionTask):
            numbers = prompt.removesuffix("=").split("+")
            assert [len(number) for number in numbers] == [length, length]
            if task.direction == "reverse":
                assert len(answer) == length + 1
                numbers, answer = [number[::-1] for number in numbers], answer[::-1]
            assert int(answer) == sum(map(int, numbers))
            assert all(number[0] != "0" for number in numbers)
        else:
            assert len(prompt) == length
            assert answer == "".join(reversed(prompt)) if task.name == "reverse" else prompt


def test_the_papers_formats() -> None:
    assert AdditionTask().answer("99+10=") == "001"
    assert AdditionTask().answer("21+21=") == "420"
    assert AdditionTask("forward").answer("12+99=") == "111"
    with pytest.raises(OptionError, match="direction='up': there are reverse, forward"):
        AdditionTask("up")  # type: ignore[arg-type]


def test_the_same_arguments_give_the_same_problems() -> None:
    first = COPY.problems("heldout", 30, 2, [5, 6])
    assert first == COPY.problems("heldout", 30, 2, [5, 6])
    assert first != COPY.problems("heldout", 30, 3, [5, 6])
    assert len({problem.id for problem in first}) == 30


def test_a_length_that_is_used_up_drops_out_of_the_cycle() -> None:
    found = COPY.problems("train", 40, 0, [1, 2])
    assert sum(problem.difficulty == 1 for problem in found) == 10
    assert sum(problem.difficulty == 2 for problem in found) == 30


@pytest.mark.parametrize(
    ("split", "num", "lengths"),
    [("train", 11, [1]), ("train", 1111, [1, 2, 3]), ("heldout", 1, [3])],
)
def test_more_than_there_are_is_refused(split: str, num: int, lengths: list[int]) -> None:
    with pytest.raises(OptionError, match=rf"num={num} but there are .* {split} problems"):
        COPY.problems(split, num, 0, lengths)


def test_all_short_strings_can_be_had() -> None:
    assert len({p.reference for p in COPY.problems("train", 1110, 0, [1, 2, 3])}) == 1110


def test_the_split_is_checked() -> None:
    with pytest.raises(UnknownNameError, match="split 'dev'"):
        COPY.problems("dev", 1)


def test_the_answer_is_the_text_and_leading_zeros_count() -> None:
    assert COPY.parse_answer(" 0012\n") == "0012"
    assert COPY.parse_answer("  ") is None
    assert COPY.canonical("0012") != COPY.canonical("12")
