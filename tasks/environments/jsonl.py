"""The generic environment: problems from any table, its columns mapped by the user."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.checks.answers import (
    MARKER_RULES,
    RULES_WITH_FALLBACK,
    AnswerKind,
    canonical_answer,
    extract_answer,
)
from tasks.checks.math_answers import MathAnswers
from tasks.environments.base import (
    AnswerFormat,
    Message,
    Problem,
    ProblemSet,
    hash_fraction,
    problem_id,
    prompt_key,
)
from tasks.environments.records import BadRow, BadRows, Record, check_columns, iter_records
from tasks.errors import DataFormatError, OptionError

ROLES = ("system", "user", "assistant", "tool")


class Jsonl:
    """Problems from a file, a folder or a dataset repository, one per row.

    Args:
        path: A jsonl, json, csv, tsv or parquet file, or what `datasets.load_dataset` reads.
        question: The column with the question as text. Not with `messages`.
        messages: The column with chat messages (a list of role and content, or that as JSON). An
            assistant message at the end is the answer of someone else and is left out.
        reference: The column with the reference answer: a bare answer, or a worked solution from
            which it is extracted. A number is taken as it is.
        difficulty: A column with an integer level.
        answer_format: `text`: the completion contains the answer; `program`: it prints it.
        answer_kind: `number` drops units behind numbers; `text` keeps the answer as it is; `math`
            does too, and takes LaTeX, sets and formulas of the same value for the same answer.
        guess_last_number: Take the last number of a completion where no marker names an answer.
        system: A system message put before every question.
        template: The user message, with `{question}` where the question goes.
        heldout_path: Where the held-out problems are; without it `heldout_share` of `path`.
        heldout_share: The share of problems that are held out, in [0, 1]; which ones depends on
            the prompt's text alone.
        split: The split to load where `path` is a folder or repository.
        config: The configuration to load where `path` is a repository.

    Attributes:
        bad_rows: The first rows that were kept out, with number and reason.
        num_bad_rows: How many were.

    Raises:
        OptionError: Options that contradict each other or are out of range.
        UnknownNameError: A mapped column does not exist; the message lists those there are.
        SourceError: The source can't be opened.
        DataFormatError: No row of the source is readable.
    """

    name = "jsonl"

    def __init__(
        self,
        path: str | Path,
        *,
        question: str | None = None,
        messages: str | None = None,
        reference: str | None = None,
        difficulty: str | None = None,
        answer_format: AnswerFormat = "text",
        answer_kind: AnswerKind = "number",
        guess_last_number: bool = False,
        system: str | None = None,
        template: str = "{question}",
        heldout_path: str | Path | None = None,
        heldout_share: float = 0.1,
        split: str | None = None,
        config: str | None = None,
    ) -> None:
        if (question is None) == (messages is None):
            given = "both" if question else "neither"
            raise OptionError(f"jsonl: {given} given; name the column as question= or as messages=")
        if "{question}" not in template:
            raise OptionError(f"template={template!r}; it needs {{question}} for the question")
        if not 0 <= heldout_share <= 1:
            raise OptionError(f"heldout_share={heldout_share}; it must be in [0, 1]")
        check_choice("answer_format", answer_format, ("text", "program"))
        check_choice("answer_kind", answer_kind, ("number", "text", "math"))
        self.answer_format: AnswerFormat = answer_format
        self.answer_kind: AnswerKind = answer_kind
        self._math = MathAnswers() if answer_kind == "math" else None
        self.rules = RULES_WITH_FALLBACK if guess_last_number else MARKER_RULES
        self._columns = {
            "question": question,
            "messages": messages,
            "reference": reference,
            "difficulty": difficulty,
        }
        self._system, self.question_template = system, template
        self._heldout_share = heldout_share if heldout_path is None else 0.0
        self.num_bad_rows = 0
        self.bad_rows: list[BadRow] = []
        problems = list(self._read(path, split, config, "train"))
        if heldout_path is not None:
            problems += self._read(heldout_path, split, config, "heldout")
        self._set = ProblemSet(str(path), problems)

    def problems(
        self,
        split: str,
        num: int | None = None,
        seed: int = 0,
        difficulties: Sequence[int] | None = None,
    ) -> list[Problem]:
        """`num` problems of `train` or `heldout` (None: all), the same for the same arguments.

        Raises:
            UnknownNameError: The split does not exist.
            OptionError: There are fewer than `num` problems.
        """
        return self._set.choose(split, num, seed, difficulties)

    def parse_answer(self, text: str) -> str | None:
        """The raw answer in a completion, or the last line that a program printed."""
        if self.answer_format == "program":
            lines = text.strip().splitlines()
            return lines[-1].strip() or None if lines else None
        found = extract_answer(text, kind=self.answer_kind, rules=self.rules)
        return None if found is None else found.answer

    def canonical(self, answer: str) -> str | None:
        """The canonical form of `canonical_answer`, or of `MathAnswers` for `answer_kind=math`."""
        return canonical_answer(answer) if self._math is None else self._math(answer)

    def _read(
        self, source: str | Path, split: str | None, config: str | None, part: str
    ) -> Iterator[Problem]:
        bad = BadRows(str(source))
        rows = list(iter_records(source, bad, split=split, config=config))
        wanted = [column for column in self._columns.values() if column is not None]
        if rows:
            check_columns(str(source), wanted, [row for _, row in rows])
        good = 0
        for number, row in rows:
            try:
                problem = self._problem(row, number, part)
            except DataFormatError as error:
                bad.add(number, str(error))
                continue
            good += 1
            yield problem
        self.num_bad_rows += bad.count
        self.bad_rows += bad.first
        bad.log()
        if not good:
            reason = bad.describe() if bad.count else f"{source}: no rows"
            raise DataFormatError(f"nothing to read: {reason}")

    def _problem(self, row: Record, number: int, part: str) -> Problem:
        messages = self._messages(row)
        if self._heldout_share and part == "train":
            coin = hash_fraction("heldout", prompt_key(messages))
            part = "heldout" if coin < self._heldout_share else "train"
        return Problem(
            id=problem_id(self.name, prompt_key(messages)),
            messages=messages,
            reference=self._reference(row),
            difficulty=self._difficulty(row),
            split=part,
            metadata={"row": number},
        )

    def _messages(self, row: Record) -> list[Message]:
        column = self._columns["question"]
        if column is not None:
            text = required_text(row, column)
            messages = [
                {"role": "user", "content": self.question_template.replace("{question}", text)}
            ]
        else:
            messages = parse_messages(row, self._columns["messages"] or "")
        if self._system is not None and messages[0]["role"] != "system":
            messages = [{"role": "system", "content": self._system}, *messages]
        return messages

    def _reference(self, row: Record) -> str | None:
        column = self._columns["reference"]
        value = None if column is None else row.get(column)
        if value is None or value == "":
            return None
        return reference_answer(str(value), self.answer_kind)

    def _difficulty(self, row: Record) -> int | None:
        column = self._columns["difficulty"]
        value = None if column is None else row.get(column)
        if value is None or value == "":
            return None
        try:
            return int(str(value))
        except ValueError:
            raise DataFormatError(f"column {column!r} is {value!r}, expected an integer") from None


def check_choice(option: str, value: str, choices: Sequence[str]) -> None:
    """Check that an option has one of its values.

    Raises:
        OptionError: It has another; the message lists them.
    """
    if value not in choices:
        raise OptionError(f"{option}={value!r}; it is one of {', '.join(map(repr, choices))}")


def required_text(row: Record, column: str) -> str:
    """The text in a column that has to be there and not be empty.

    Raises:
        DataFormatError: It is missing, empty, or not a text.
    """
    value = row.get(column)
    if not isinstance(value, str):
        raise DataFormatError(f"column {column!r} is {type(value).__name__}, expected a text")
    if not value.strip():
        raise DataFormatError(f"column {column!r} is empty")
    return value


def reference_answer(text: str, kind: AnswerKind) -> str | None:
    """The reference in a bare answer or in a worked solution with a marked answer.

    It is canonical, but for the kind `math`: its canonical form is worked out when it is compared.
    """
    found = extract_answer(text, kind=kind)
    answer = text if found is None else found.answer
    return answer.strip() or None if kind == "math" else canonical_answer(answer)


def parse_messages(row: Record, column: str) -> list[Message]:
    """Chat messages that end with a user (or tool) message, from a list or its JSON text.

    Raises:
        DataFormatError: The column holds something else.
    """
    value = row.get(column)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise DataFormatError(f"column {column!r} is not JSON: {error}") from None
    if not isinstance(value, list):
        raise DataFormatError(f"column {column!r} is {type(value).__name__}, expected messages")
    messages: list[Message] = []
    for message in value:
        role = message.get("role") if isinstance(message, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        if role not in ROLES or not isinstance(content, str):
            raise DataFormatError(
                f"column {column!r} has a message without a text as content or a role "
                f"of {', '.join(ROLES)}"
            )
        messages.append({"role": str(role), "content": content})
    while messages and messages[-1]["role"] == "assistant":
        messages.pop()
    if not messages or messages[-1]["role"] == "system":
        raise DataFormatError(f"column {column!r} has no user message")
    return messages
