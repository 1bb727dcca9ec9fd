"""Digit tasks on which length generalization is easiest to watch: copy, reverse, addition.

Source: Lee et al., "Self-Improving Transformers Overcome Easy-to-Hard and Length Generalization
Challenges", ICML 2025, arXiv 2502.01612: a model trained on strings of up to 10 symbols labels ever
longer ones for itself. The difficulty of a problem is its number of digits (of each operand).
"""

from __future__ import annotations

import hashlib
import random
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, get_args

from tasks.environments.base import AnswerFormat, Problem, problem_id
from tasks.environments.generated import check_difficulties, check_num, check_split
from tasks.errors import OptionError

HELDOUT_SHARE = 8  # one problem in eight is held out
FEW = 1000  # a length with up to this many problems has train problems only

Direction = Literal["reverse", "forward"]


class DigitTask(ABC):
    """An environment of prompts of digits whose answer is a function of the prompt."""

    name: str
    answer_format: AnswerFormat = "text"
    form = re.compile(r"[0-9]+")

    def problems(
        self,
        split: str,
        num: int | None = None,
        seed: int = 0,
        difficulties: Sequence[int] | None = None,
    ) -> list[Problem]:
        """`num` distinct problems (100 for None), cycling over lengths (4 to 10 for None).

        A length whose problems are used up (there are ten strings of one digit) drops out of the
        cycle.

        Raises:
            UnknownNameError: The split is neither `train` nor `heldout`.
            OptionError: A length is below 1, `num` is negative, or the lengths have fewer problems.
        """
        check_split(split)
        num = check_num(num, default=100)
        rng = random.Random(f"{self.name}:{split}:{seed}")
        left = {n: self._num(n, split) for n in check_difficulties(difficulties, range(4, 11))}
        found: dict[str, int] = {}
        while len(found) < num:
            lengths = [length for length in left if left[length] > 0]
            if not lengths:
                raise OptionError(
                    f"num={num} but there are {len(found)} {split} problems of the lengths "
                    f"{sorted(left)}; ask for fewer, or for longer ones"
                )
            for length in lengths[: num - len(found)]:
                found[self._new_prompt(rng, length, split, found)] = length
                left[length] -= 1
        return [self._problem(prompt, length, split) for prompt, length in found.items()]

    def solved(
        self,
        split: str,
        num: int | None = None,
        seed: int = 0,
        difficulties: Sequence[int] | None = None,
    ) -> list[tuple[Problem, str]]:
        """The same as `problems`, each with its answer, which is all of a completion."""
        found = self.problems(split, num, seed, difficulties)
        return [(problem, problem.reference or "") for problem in found]

    def parse_answer(self, text: str) -> str | None:
        """The completion without surrounding space; None where nothing is left."""
        return text.strip() or None

    def canonical(self, answer: str) -> str | None:
        """The digits alone; a leading zero counts."""
        return answer.strip() or None

    def solve(self, problem: str) -> str | None:
        """The answer to any prompt of this form, also a self-made one; None for another text."""
        return self.answer(problem) if self.form.fullmatch(problem) else None

    @abstractmethod
    def answer(self, prompt: str) -> str:
        """The right answer to a prompt."""

    @abstractmethod
    def _draw(self, rng: random.Random, length: int) -> str:
        """A prompt of a length, any with equal probability."""

    @abstractmethod
    def _num_prompts(self, length: int) -> int:
        """How many prompts of a length there are."""

    def split_of(self, prompt: str, length: int) -> str:
        """The split of a prompt: a pure function of it, so splits can't overlap."""
        digest = hashlib.sha256(f"{self.name}:{prompt}".encode()).digest()
        is_heldout = self._num_prompts(length) > FEW and digest[0] % HELDOUT_SHARE == 0
        return "heldout" if is_heldout else "train"

    def _num(self, length: int, split: str) -> int:
        """A lower bound of a split's prompts: exact where there are few, plenty for the others."""
        total = self._num_prompts(length)
        if total <= FEW:
            return total if split == "train" else 0
        return total // (2 * HELDOUT_SHARE)

    def _new_prompt(
        self, rng: random.Random, length: int, split: str, known: dict[str, int]
    ) -> str:
        while True:
            prompt = self._draw(rng, length)
            if prompt not in known and self.split_of(prompt, length) == split:
                return prompt

    def _problem(self, prompt: str, length: int, split: str) -> Problem:
        return Problem(
            id=problem_id(self.name, prompt),
            messages=[{"role": "user", "content": prompt}],
            reference=self.answer(prompt),
            difficulty=length,
            split=split,
        )


class CopyTask(DigitTask):
    """The `copy` environment: the answer is the prompt's string of digits."""

    name = "copy"

    def answer(self, prompt: str) -> str:
        """The prompt."""
        return prompt

    def _draw(self, rng: random.Random, length: int) -> str:
        return "".join(rng.choice("0123456789") for _ in range(length))

    def _num_prompts(self, length: int) -> int:
        return int(10**length)


class ReverseTask(CopyTask):
    """The `reverse` environment: the answer is the prompt's string of digits, last digit first."""

    name = "reverse"

    def answer(self, prompt: str) -> str:
        """The prompt from its end to its start."""
        return prompt[::-1]


class AdditionTask(DigitTask):
    """The `addition` environment: two numbers of equally many digits, the first never zero.

    Args:
        direction: `reverse` writes every number with its last digit first and fills the sum with
            zeros to one digit more than the operands have; `forward` writes it as people do. The
            forms are those of the paper's reverse and forward addition (`lib/data_formats.py`).

    Raises:
        OptionError: The direction is neither.
    """

    name = "addition"
    form = re.compile(r"[0-9]+\+[0-9]+=")

    def __init__(self, direction: Direction = "reverse") -> None:
        if direction not in get_args(Direction):
            raise OptionError(
                f"direction={direction!r}: there are {', '.join(get_args(Direction))}"
            )
        self.direction = direction

    def answer(self, prompt: str) -> str:
        """The sum of the prompt's numbers."""
        left, right = prompt.removesuffix("=").split("+")
        if self.direction == "forward":
            return str(int(left) + int(right))
        total = str(int(left[::-1]) + int(right[::-1]))[::-1]
        return total.ljust(max(len(left), len(right)) + 1, "0")

    def _draw(self, rng: random.Random, length: int) -> str:
        numbers = [str(rng.randrange(10 ** (length - 1), 10**length)) for _ in range(2)]
        if self.direction == "reverse":
            numbers = [number[::-1] for number in numbers]
        return "+".join(numbers) + "="

    def _num_prompts(self, length: int) -> int:
        return int((9 * 10 ** (length - 1)) ** 2)
