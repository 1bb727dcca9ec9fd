"""What an environment is: a source of problems with an answer parser and a canonical form."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from tasks.errors import OptionError, UnknownNameError

AnswerFormat = Literal["program", "function", "text"]
Message = dict[str, str]
Metadata = dict[str, str | int | float | bool | None]

SPLITS = ("train", "heldout")


@dataclass(frozen=True)
class Problem:
    """One problem: what the policy is asked, and what is known about it.

    Attributes:
        id: Derived from the environment and the prompt: the same problem has the same id in every
            round and every run.
        messages: The chat messages that the policy sees, ending with a user message.
        reference: The canonical reference answer, or None where none is known. It is for
            evaluation and monitoring; only a recipe that declares labels may train on it.
        difficulty: A positive step count or level, or None where the source has none.
        split: `train` or `heldout`.
        metadata: Anything else worth keeping, as flat JSON values.
    """

    id: str
    messages: list[Message]
    reference: str | None
    difficulty: int | None
    split: str
    metadata: Metadata = field(default_factory=dict)


class Environment(Protocol):
    """A source of problems, a parser of answers and their canonical form."""

    @property
    def name(self) -> str:
        """The registered name, written into `prompts.environment`."""

    @property
    def answer_format(self) -> AnswerFormat:
        """Where the answer is.

        `program`: a completion is a program that prints it. `function`: it is a function, judged
        by hidden tests, which are the problem's reference (`HiddenTests`). `text`: the completion
        contains it.
        """

    def problems(
        self,
        split: str,
        num: int | None = None,
        seed: int = 0,
        difficulties: Sequence[int] | None = None,
    ) -> list[Problem]:
        """`num` distinct problems of a split; the same arguments give the same problems."""

    def parse_answer(self, text: str) -> str | None:
        """The raw answer in a completion, or in the output of a program; None if there is none."""

    def canonical(self, answer: str) -> str | None:
        """The form under which equal answers are equal texts; None for an empty answer."""


@runtime_checkable
class WithSolutions(Protocol):
    """An environment that also knows how its problems are solved, not only their answers."""

    def solved(
        self,
        split: str,
        num: int | None = None,
        seed: int = 0,
        difficulties: Sequence[int] | None = None,
    ) -> list[tuple[Problem, str]]:
        """The same as `problems`, each with a completion that solves it."""


@runtime_checkable
class Solver(Protocol):
    """An environment that can work out problems which it did not pose."""

    def solve(self, problem: str) -> str | None:
        """The right answer to a problem's text; None where it is no problem of this kind."""


def wrapping(environment: Environment) -> dict[str, str]:
    """What an environment puts before and behind every question: question_head, question_tail.

    An environment that puts something there has it as `question_template`, with `{question}`.
    """
    template = str(getattr(environment, "question_template", "{question}"))
    head, _, tail = template.partition("{question}")
    return {"question_head": head, "question_tail": tail}


def problem_id(environment: str, *parts: str | int) -> str:
    """A stable id for the problem that `parts` identify within an environment.

    Example:
        >>> problem_id("gsm8k", "How many?") == problem_id("gsm8k", "How many?")
        True
    """
    text = "\x1f".join([environment, *(str(part) for part in parts)])
    return f"prompt-{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def prompt_key(messages: Sequence[Message]) -> str:
    """The text under which two prompts count as the same: case and spacing do not matter."""
    return "\x1e".join(
        f"{message['role']}\x1f{' '.join(message['content'].split()).casefold()}"
        for message in messages
    )


def hash_fraction(*parts: str | int) -> float:
    """A number in [0, 1) that depends on nothing but `parts`: a reproducible coin."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


class ProblemSet:
    """The problems of a finite source, in two splits that share no prompt.

    Args:
        source: What the problems were read from; named in messages.
        problems: All problems, each with its split. A prompt that comes twice counts once, and
            one that is in both splits stays in `heldout` only.

    Attributes:
        num_repeated: How many problems were left out because their prompt came before.
    """

    def __init__(self, source: str, problems: Iterable[Problem]) -> None:
        self.source = source
        by_key: dict[str, Problem] = {}
        self.num_repeated = 0
        for problem in problems:
            key = prompt_key(problem.messages)
            known = by_key.get(key)
            self.num_repeated += known is not None
            if known is None or (known.split == "train" and problem.split == "heldout"):
                by_key[key] = problem
        self._splits: dict[str, list[Problem]] = {split: [] for split in SPLITS}
        for problem in by_key.values():
            self._splits[problem.split].append(problem)

    def choose(
        self, split: str, num: int | None, seed: int, difficulties: Sequence[int] | None
    ) -> list[Problem]:
        """`num` problems of a split (all of them for None), in an order that `seed` decides.

        Raises:
            UnknownNameError: The split is neither `train` nor `heldout`.
            OptionError: The split holds fewer than `num` problems of these difficulties.
        """
        if split not in self._splits:
            raise UnknownNameError(f"split {split!r}: there are {', '.join(SPLITS)}")
        pool = self._splits[split]
        if difficulties is not None:
            pool = [problem for problem in pool if problem.difficulty in set(difficulties)]
        if num is not None and (num < 0 or num > len(pool)):
            wanted = "" if difficulties is None else f" of difficulties {sorted(set(difficulties))}"
            raise OptionError(
                f"num={num} but {self.source} has {len(pool)} {split} problems{wanted}; "
                f"set num to at most {len(pool)} or leave it out for all of them"
            )
        return sorted(pool, key=lambda problem: hash_fraction(seed, problem.id))[:num]
