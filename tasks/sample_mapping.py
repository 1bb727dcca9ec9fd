"""Which columns of somebody else's file are prompts, completions, references and models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tasks.checks.answers import AnswerKind
from tasks.environments.base import Message
from tasks.environments.jsonl import parse_messages, reference_answer, required_text
from tasks.environments.records import BadRows, Record, iter_records
from tasks.errors import DataFormatError, OptionError, UnknownNameError

ROWS_TO_GUESS_FROM = 100
PROMPT_NAMES = ("prompt", "question", "problem", "instruction", "input", "messages")
COMPLETION_NAMES = (
    "completion", "completions", "response", "responses", "solution", "solutions",
    "samples", "output", "outputs", "generation", "generations",
)  # fmt: skip
REFERENCE_NAMES = ("reference", "ground_truth", "gold", "target", "expected", "answer")
MODEL_NAMES = ("model", "policy", "generator", "source")
VERDICT_NAMES = ("is_correct", "correct")


@dataclass(frozen=True)
class SampleMapping:
    """Where in a row the prompt, the completions and what is known about them are.

    A column `a.b` is the key `b` of the object in column `a`.

    Attributes:
        prompt: The column with the prompt: a text, or chat messages.
        completions: The columns with completions, each a text or a list of texts. Several columns
            mean several samples of the row's prompt, e.g. one per model.
        reference: The column with the reference answer: bare, or a worked solution with a marker.
        model: The column that names the model. Without it the model is the name of the
            completion's column (of the object, for `a.b`).
        verdict: A column that says whether a completion is right (true/false), to compare with;
            for a completion `a.b` first looked for beside it, in `a`.
        answer_kind: `number` drops units behind numbers; `text` keeps the answer as it is.
        guess_last_number: Take the last number of a completion where no marker names an answer.
        environment: The name of the environment that the prompts are filed under.
    """

    prompt: str
    completions: tuple[str, ...]
    reference: str | None = None
    model: str | None = None
    verdict: str | None = None
    answer_kind: AnswerKind = "number"
    guess_last_number: bool = False
    environment: str = "imported"

    def __post_init__(self) -> None:
        """Check what can be checked without a file."""
        if not self.completions:
            raise OptionError("completions=(); name at least one column with completions")

    def check(self, source: str, rows: Sequence[Record]) -> None:
        """Check that every mapped column is in one of the rows.

        Raises:
            UnknownNameError: One is in none; the message lists those there are.
        """
        wanted = [self.prompt, *self.completions]
        wanted += [column for column in (self.reference, self.model) if column is not None]
        unknown = [c for c in wanted if all(lookup(row, c) is None for row in rows)]
        if self.verdict is not None and all(
            self.verdict_of(row, c) is None for row in rows for c in self.completions
        ):
            unknown.append(self.verdict)
        if unknown:
            raise UnknownNameError(
                f"{source}: no column {', '.join(map(repr, unknown))}; "
                f"the columns are {', '.join(map(repr, column_names(rows)))}"
            )

    def prompt_of(self, row: Record) -> list[Message]:
        """The prompt's messages.

        Raises:
            DataFormatError: The column is empty or neither a text nor messages.
        """
        flat = {self.prompt: lookup(row, self.prompt)}
        if isinstance(flat[self.prompt], list):
            return parse_messages(flat, self.prompt)
        return [{"role": "user", "content": required_text(flat, self.prompt)}]

    def completions_of(self, row: Record, column: str) -> list[str]:
        """The completions in one of the columns, at least one.

        Raises:
            DataFormatError: The column is empty or holds something else than texts.
        """
        value = lookup(row, column)
        texts = value if isinstance(value, list) else [value]
        if not texts:
            raise DataFormatError(f"column {column!r} is empty")
        return [required_text({column: text}, column) for text in texts]

    def reference_of(self, row: Record) -> str | None:
        """The canonical reference answer, or None where there is none."""
        value = None if self.reference is None else lookup(row, self.reference)
        if value is None or value == "":
            return None
        return reference_answer(str(value), self.answer_kind)

    def model_of(self, row: Record, column: str) -> str:
        """The name of the model that wrote the completion in `column`."""
        value = None if self.model is None else lookup(row, self.model)
        return str(value) if value else column.partition(".")[0]

    def verdict_of(self, row: Record, column: str) -> bool | None:
        """What the file says about the completion in `column`: right, wrong, or nothing."""
        if self.verdict is None:
            return None
        beside = f"{column.rpartition('.')[0]}.{self.verdict}"
        value = lookup(row, beside)
        value = lookup(row, self.verdict) if value is None else value
        if isinstance(value, str):
            return {"true": True, "false": False}.get(value.lower())
        return bool(value) if isinstance(value, bool | int) else None


def lookup(row: Record, column: str) -> object:
    """The value of a column, or of a key of the object in a column (`a.b`); None if missing."""
    if column in row:
        return row[column]
    name, _, key = column.partition(".")
    inner = row.get(name)
    return inner.get(key) if key and isinstance(inner, dict) else None


def column_names(rows: Sequence[Record]) -> list[str]:
    """All columns of the rows, and the keys of objects in them as `a.b`."""
    names: dict[str, None] = {}
    for row in rows:
        for name, value in row.items():
            keys = [f"{name}.{key}" for key in value] if isinstance(value, dict) else [name]
            names.update(dict.fromkeys(keys))
    return list(names)


def guess_mapping(source: str | Path) -> SampleMapping:
    """The mapping that the usual names suggest, from the first rows of a file.

    Raises:
        UnknownNameError: No column has a usual name for a prompt or a completion.
        SourceError: The file can't be read.
        DataFormatError: No row of it is readable.

    Example: the columns `question`, `ground_truth` and `m1: {solution, is_correct}` give
    `SampleMapping("question", ("m1.solution",), reference="ground_truth", verdict="is_correct")`.
    """
    bad = BadRows(str(source))
    rows = [row for _, row in islice(iter_records(source, bad), ROWS_TO_GUESS_FROM)]
    if not rows:
        raise DataFormatError(bad.describe() if bad.count else f"{source}: no rows")
    columns = column_names(rows)
    prompt = next(_named(columns, PROMPT_NAMES), None)
    flat = list(islice(_named([c for c in columns if c != prompt], COMPLETION_NAMES), 1))
    wide = [column for column in columns if column.rpartition(".")[2] in COMPLETION_NAMES]
    completions = flat or [column for column in wide if "." in column]
    if prompt is None or not completions:
        what = "prompt" if prompt is None else "completion"
        raise UnknownNameError(
            f"{source}: can't tell which column is the {what}; name it. "
            f"The columns are {', '.join(map(repr, columns))}"
        )
    keys = [column.rpartition(".")[2] for column in columns]
    return SampleMapping(
        prompt,
        tuple(completions),
        reference=next(_named(columns, REFERENCE_NAMES), None),
        model=next(_named(columns, MODEL_NAMES), None),
        verdict=next(_named(keys, VERDICT_NAMES), None),
    )


def _named(columns: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    return (name for name in names if name in columns)
