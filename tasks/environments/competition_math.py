"""MATH: 12,500 competition problems with worked solutions (Hendrycks et al. 2021, 2103.03874)."""

from __future__ import annotations

import re
from pathlib import Path

from tasks.environments.jsonl import Jsonl
from tasks.environments.records import Record, split_file
from tasks.errors import SourceError

TEMPLATE = "{question}\n\nThink step by step. Put the final answer in \\boxed{}."
_LEVEL = re.compile(r"Level (\d)")


class CompetitionMath(Jsonl):
    """The `math` environment: answers in boxes, compared by value.

    A problem's difficulty is its level, 1 to 5 (None for the few that have none); the reference is
    what the worked solution has in its last box, and the solution itself is not handed out.

    Args:
        path: A folder with train and test files (jsonl, parquet, ...) of the columns `problem`,
            `solution` and `level`.
        template: The user message, with `{question}` where the question goes.
        system: A system message put before every question.

    Raises:
        SourceError: The folder lacks a file, or one can't be opened.
        UnknownNameError: The rows have no such columns.
        DataFormatError: No row of a file is readable.
    """

    name = "math"

    def __init__(
        self, path: str | Path, *, template: str = TEMPLATE, system: str | None = None
    ) -> None:
        folder = Path(path).expanduser()
        files = {part: split_file(folder, part) for part in ("train", "test")}
        for part, file in files.items():
            if file is None:
                raise SourceError(
                    f"{folder}: no file {part}.jsonl (or .parquet, .csv, .json); "
                    "math needs a folder with train and test files"
                )
        super().__init__(
            str(files["train"]),
            question="problem",
            reference="solution",
            difficulty="level",
            answer_kind="math",
            template=template,
            system=system,
            heldout_path=str(files["test"]),
        )

    def _difficulty(self, row: Record) -> int | None:
        found = _LEVEL.fullmatch(str(row.get("level")))
        return int(found[1]) if found else None
