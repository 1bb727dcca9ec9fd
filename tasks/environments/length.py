"""Copying a string of digits: the task on which length generalization is easiest to watch.

Source: Lee et al., "Self-Improving Transformers Overcome Easy-to-Hard and Length Generalization
Challenges", ICML 2025, arXiv 2502.01612: a model trained on copying up to 10 symbols labels ever
longer strings for itself. The difficulty of a problem is its number of digits.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

from tasks.environments.base import AnswerFormat, Problem, problem_id
from tasks.environments.generated import check_difficulties, check_num, check_split
from tasks.errors import OptionError

HELDOUT_SHARE = 8  # one string in eight is held out


SHORT = 3  # strings up to this length are few: all of them are train problems


def split_of(digits: str) -> str:
    """The split a string belongs to: a pure function of it, so splits can't overlap."""
    digest = hashlib.sha256(f"copy:{digits}".encode()).digest()
    return "heldout" if len(digits) > SHORT and digest[0] % HELDOUT_SHARE == 0 else "train"


class CopyTask:
    """The `copy` environment: the answer is the prompt's string of digits."""

    name = "copy"
    answer_format: AnswerFormat = "text"

    def problems(
        self,
        split: str,
        num: int | None = None,
        seed: int = 0,
        difficulties: Sequence[int] | None = None,
    ) -> list[Problem]:
        """`num` distinct problems (100 for None), cycling over lengths (4 to 10 for None).

        A length whose strings are used up (there are ten of one digit) drops out of the cycle.

        Raises:
            UnknownNameError: The split is neither `train` nor `heldout`.
            OptionError: A length is below 1, `num` is negative, or the lengths have fewer strings.
        """
        check_split(split)
        num = check_num(num, default=100)
        rng = random.Random(f"copy:{split}:{seed}")
        left = {n: _num_strings(n, split) for n in check_difficulties(difficulties, range(4, 11))}
        strings: dict[str, None] = {}
        while len(strings) < num:
            lengths = [length for length in left if left[length] > 0]
            if not lengths:
                raise OptionError(
                    f"num={num} but there are {len(strings)} {split} strings of the lengths "
                    f"{sorted(left)}; ask for fewer, or for longer strings"
                )
            for length in lengths[: num - len(strings)]:
                digits = _new_string(rng, length, split, strings)
                strings[digits] = None
                left[length] -= 1
        return [_problem(digits, split) for digits in strings]

    def parse_answer(self, text: str) -> str | None:
        """The completion without surrounding space; None where nothing is left."""
        return text.strip() or None

    def canonical(self, answer: str) -> str | None:
        """The digits alone; a leading zero counts."""
        return answer.strip() or None


def _num_strings(length: int, split: str) -> int:
    """A lower bound of the strings there are: exact for short ones, plenty for the others."""
    if length <= SHORT:
        return int(10**length) if split == "train" else 0
    return int(10**length) // (2 * HELDOUT_SHARE)


def _new_string(rng: random.Random, length: int, split: str, known: dict[str, None]) -> str:
    while True:
        digits = "".join(rng.choice("0123456789") for _ in range(length))
        if digits not in known and split_of(digits) == split:
            return digits


def _problem(digits: str, split: str) -> Problem:
    return Problem(
        id=problem_id("copy", digits),
        messages=[{"role": "user", "content": digits}],
        reference=digits,
        difficulty=len(digits),
        split=split,
    )
