"""GSM8K: 8,792 grade-school word problems with worked solutions (Cobbe et al. 2021, 2110.14168)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tasks.checks.answers import (
    MARKER_RULES,
    RULES_WITH_FALLBACK,
    canonical_answer,
    extract_answer,
)
from tasks.environments.base import AnswerFormat, Problem, ProblemSet, problem_id, prompt_key
from tasks.environments.jsonl import required_text
from tasks.environments.records import (
    BadRow,
    BadRows,
    Record,
    check_columns,
    iter_records,
    split_file,
)
from tasks.errors import DataFormatError, OptionError, SourceError

TEMPLATE = (
    "{question}\n\nThink step by step. Write the final answer on the last line as: #### <number>"
)
SPLIT_FILES = {"train": "train", "heldout": "test"}


class GSM8K:
    """The `gsm8k` environment: `train` is the training file, `heldout` the test file.

    A problem's difficulty is the number of calculator annotations (`<<48/2=24>>`) in its worked
    solution, at least 1; the solution itself is handed out by `solved` only.

    Args:
        path: A folder with train and test files (jsonl, parquet, ...), or a dataset repository.
        template: The user message, with `{question}` where the question goes.
        system: A system message put before every question.
        guess_last_number: Take the last number of a completion where no marker names an answer.
        config: The configuration to load where `path` is a repository.

    Attributes:
        bad_rows: The first rows that were kept out, with number and reason.
        num_bad_rows: How many were.

    Raises:
        SourceError: The source can't be opened or the folder lacks a file.
        UnknownNameError: The rows have no `question` or `answer` column.
        DataFormatError: No row of a split is readable.
    """

    name = "gsm8k"
    answer_format: AnswerFormat = "text"

    def __init__(
        self,
        path: str | Path = "openai/gsm8k",
        *,
        template: str = TEMPLATE,
        system: str | None = None,
        guess_last_number: bool = False,
        config: str = "main",
    ) -> None:
        if "{question}" not in template:
            raise OptionError(f"template={template!r}; it needs {{question}} for the question")
        self.rules = RULES_WITH_FALLBACK if guess_last_number else MARKER_RULES
        self.question_template, self._system = template, system
        self.num_bad_rows = 0
        self.bad_rows: list[BadRow] = []
        self._solutions: dict[str, str] = {}
        problems = self._read(path, config, "train") + self._read(path, config, "heldout")
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

    def solved(
        self,
        split: str,
        num: int | None = None,
        seed: int = 0,
        difficulties: Sequence[int] | None = None,
    ) -> list[tuple[Problem, str]]:
        """The same as `problems`, each with its worked solution as the file has it."""
        found = self.problems(split, num, seed, difficulties)
        return [(problem, self._solutions[problem.id]) for problem in found]

    def parse_answer(self, text: str) -> str | None:
        """The raw answer behind the last `####`, `A:`, box or "The answer is"."""
        found = extract_answer(text, kind="number", rules=self.rules)
        return None if found is None else found.answer

    def canonical(self, answer: str) -> str | None:
        """The canonical form of :func:`tasks.checks.answers.canonical_answer`."""
        return canonical_answer(answer)

    def _read(self, path: str | Path, config: str, part: str) -> list[Problem]:
        source: str | Path = path
        folder = Path(path).expanduser()
        if folder.is_dir():
            file = split_file(folder, SPLIT_FILES[part])
            if file is None:
                raise SourceError(
                    f"{folder}: no file {SPLIT_FILES[part]}.jsonl (or .parquet, .csv, .json); "
                    "gsm8k needs a folder with train and test files"
                )
            source = file
        elif folder.is_file():
            raise SourceError(f"{folder}: is a file; gsm8k needs the folder with train and test")
        bad = BadRows(str(source))
        rows = list(iter_records(source, bad, split=SPLIT_FILES[part], config=config))
        if rows:
            check_columns(str(source), ("question", "answer"), [row for _, row in rows])
        problems: list[Problem] = []
        for number, row in rows:
            try:
                problems.append(self._problem(row, number, part))
            except DataFormatError as error:
                bad.add(number, str(error))
        bad.log()
        self.num_bad_rows += bad.count
        self.bad_rows += bad.first
        if not problems:
            reason = bad.describe() if bad.count else f"{source}: no rows"
            raise DataFormatError(f"nothing to read: {reason}")
        return problems

    def _problem(self, row: Record, number: int, part: str) -> Problem:
        solution = required_text(row, "answer")
        reference = extract_answer(solution, kind="number", rules=("hash", "answer_line"))
        if reference is None:
            raise DataFormatError("column 'answer' has no final answer behind ####")
        question = required_text(row, "question")
        messages = [
            {"role": "user", "content": self.question_template.replace("{question}", question)}
        ]
        if self._system is not None:
            messages.insert(0, {"role": "system", "content": self._system})
        id = problem_id(self.name, prompt_key(messages))
        self._solutions.setdefault(id, solution)  # of a prompt that comes twice the first counts
        return Problem(
            id=id,
            messages=messages,
            reference=canonical_answer(reference.answer),
            difficulty=max(1, solution.count("<<")),
            split=part,
            metadata={"row": number},
        )
