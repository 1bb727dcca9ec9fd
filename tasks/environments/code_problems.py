"""HumanEval (Chen et al. 2021, 2107.03374) and MBPP (Austin et al. 2021, 2108.07732)."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.checks.execution import extract_program
from tasks.checks.function_tests import HiddenTests
from tasks.environments.base import (
    AnswerFormat,
    Problem,
    ProblemSet,
    hash_fraction,
    problem_id,
    prompt_key,
)
from tasks.environments.functions import code_form
from tasks.environments.jsonl import required_text
from tasks.environments.records import BadRow, BadRows, Record, iter_records
from tasks.errors import DataFormatError, OptionError


class _CodeProblems:
    """Problems of a file whose answers are functions judged by test code."""

    name: str
    answer_format: AnswerFormat = "function"

    def __init__(self, path: str | Path, heldout_share: float) -> None:
        if not 0 <= heldout_share <= 1:
            raise OptionError(f"heldout_share={heldout_share}; it must be in [0, 1]")
        self._heldout_share = heldout_share
        bad = BadRows(str(path))
        self._set = ProblemSet(str(path), self._read(path, bad))
        bad.log()
        self.bad_rows: list[BadRow] = bad.first
        self.num_bad_rows = bad.count

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
        """The program in a completion; None where there is nothing."""
        return extract_program(text).strip("\n") or None

    def canonical(self, answer: str) -> str | None:
        """The function up to names, comments and layout; its text where it is no Python."""
        return code_form(answer)

    def _read(self, path: str | Path, bad: BadRows) -> Iterator[Problem]:
        good = 0
        for number, row in iter_records(path, bad, split="test"):
            try:
                question, tests = self._parts(row)
            except DataFormatError as error:
                bad.add(number, str(error))
                continue
            good += 1
            messages = [{"role": "user", "content": question}]
            yield Problem(
                id=problem_id(self.name, prompt_key(messages)),
                messages=messages,
                reference=tests.to_json(),
                difficulty=None,
                split=self._split(row, prompt_key(messages)),
                metadata={"task_id": str(row.get("task_id"))},
            )
        if not good:
            raise DataFormatError(f"nothing to read: {bad.describe() if bad.count else 'no rows'}")

    def _parts(self, row: Record) -> tuple[str, HiddenTests]:
        raise NotImplementedError

    def _split(self, row: Record, key: str) -> str:
        return "heldout" if hash_fraction("heldout", key) < self._heldout_share else "train"


class HumanEval(_CodeProblems):
    """The `humaneval` environment: complete a function from its signature and docstring.

    Args:
        path: The published file, or one of its columns (`prompt`, `entry_point`, `test`).
        template: The user message, with `{prompt}` where the function's beginning goes.
        heldout_share: The share of problems that are held out. All of them by default: HumanEval
            is there to measure with.

    Raises:
        SourceError: The file can't be opened.
        DataFormatError: No row of it is readable.
    """

    name = "humaneval"

    def __init__(
        self,
        path: str | Path,
        *,
        template: str = "Complete this Python function.\n```python\n{prompt}```",
        heldout_share: float = 1.0,
    ) -> None:
        if "{prompt}" not in template:
            raise OptionError(f"template={template!r}; it needs {{prompt}} for the function")
        self._template = template
        super().__init__(path, heldout_share)

    def _parts(self, row: Record) -> tuple[str, HiddenTests]:
        prompt, name, test = (required_text(row, c) for c in ("prompt", "entry_point", "test"))
        tests = HiddenTests(name, tests=(test,), prelude=prompt)
        return self._template.replace("{prompt}", prompt), tests


class MBPP(_CodeProblems):
    """The `mbpp` environment: write a function from a sentence and its first test.

    Args:
        path: The published file, or one of its columns (`text` or `prompt`, `test_list`,
            `test_setup_code` or `test_imports`, `task_id`).
        template: The user message, with `{text}` and `{test}` where the sentence and a test go.

    `task_id` 11 to 510 is the paper's test split and held out; all others are for training.

    Raises:
        SourceError: The file can't be opened.
        DataFormatError: No row of it is readable.
    """

    name = "mbpp"

    def __init__(
        self,
        path: str | Path,
        *,
        template: str = "{text} Your code should pass this test:\n{test}",
    ) -> None:
        if "{text}" not in template:
            raise OptionError(f"template={template!r}; it needs {{text}} for the task")
        self._template = template
        super().__init__(path, 0.0)

    def _parts(self, row: Record) -> tuple[str, HiddenTests]:
        text = required_text(row, "text" if "text" in row else "prompt")
        tests = row.get("test_list")
        if not isinstance(tests, list) or not tests:
            raise DataFormatError("column 'test_list' is empty or no list of tests")
        setup = row.get("test_setup_code") or row.get("test_imports") or ""
        prelude = "\n".join(map(str, setup)) if isinstance(setup, list) else str(setup)
        prelude = prelude and f"{prelude}\n"
        hidden = HiddenTests(_tested(str(tests[0])), tests=tuple(map(str, tests)), prelude=prelude)
        question = self._template.replace("{text}", text).replace("{test}", str(tests[0]))
        return question, hidden

    def _split(self, row: Record, key: str) -> str:
        try:
            return "heldout" if 11 <= int(str(row.get("task_id"))) <= 510 else "train"
        except ValueError:
            raise DataFormatError(f"column 'task_id' is {row.get('task_id')!r}") from None


def _tested(test: str) -> str:
    """The name of the function that a test calls, behind those of Python such as `set`."""
    try:
        calls = [node for node in ast.walk(ast.parse(test)) if isinstance(node, ast.Call)]
    except SyntaxError as error:
        raise DataFormatError(f"test {test!r} is no Python: {error}") from error
    names = [call.func.id for call in calls if isinstance(call.func, ast.Name)]
    own = [name for name in names if not hasattr(builtins, name)]
    if not own:
        raise DataFormatError(f"test {test!r} calls no function")
    return own[0]
