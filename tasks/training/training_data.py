"""Training rows: read from Parquet, checked, hashed, chosen and encoded."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.errors import DataFormatError, SourceError
from tasks.training.spec import TrainingSpec

_MESSAGE_COLUMNS = {
    "sft": ("prompt", "completion"),
    "dpo": ("prompt", "chosen", "rejected"),
    "kto": ("prompt", "completion"),
}
# Number columns, all optional, with the value that stands for null; None where nothing can.
_NUMBER_COLUMNS: dict[str, dict[str, float | None]] = {
    "sft": {"weight": 1.0},
    "dpo": {
        "weight": 1.0,
        "soft_label": 1.0,
        "chosen_win_rate": None,
        "rejected_win_rate": None,
    },
    "kto": {"weight": 1.0, "label": None},
}


@dataclass(frozen=True)
class TrainingRows:
    """The rows of one run as columns.

    Attributes:
        columns: Message columns (`list[rows]` of messages) and number columns (floats).
        data_hash: SHA-256 over all columns and their order, other columns of the files ignored.
    """

    columns: dict[str, list[Any]]
    data_hash: str

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return len(self.columns["prompt"])


def read_training_rows(
    method: str, files: Sequence[str | Path], needs: Sequence[str] = ()
) -> TrainingRows:
    """The rows of all files, in the order of the files.

    Args:
        method: `sft` (columns prompt, completion), `dpo` (prompt, chosen, rejected) or `kto`
            (prompt, completion, and the boolean label), texts as lists of messages. `weight` and,
            for dpo, `soft_label` are optional and null means 1; `chosen_win_rate` and
            `rejected_win_rate` are optional too.
        files: Parquet files; other columns are ignored.
        needs: Optional number columns that may not be null.

    Raises:
        SourceError: If a file can't be read.
        DataFormatError: If a column is missing, a value is out of range, or there is no row.
    """
    columns: dict[str, list[Any]] = {
        name: [] for name in (*_MESSAGE_COLUMNS[method], *_NUMBER_COLUMNS[method])
    }
    for file in files:
        try:
            # partitioning=None: the folder names of a warehouse are not columns of training.
            table = pq.read_table(str(file), partitioning=None)
        except (OSError, pa.ArrowInvalid) as error:
            raise SourceError(f"training file {str(file)!r} can't be read: {error}") from error
        _append(columns, table, method, str(file))
    if not columns["prompt"]:
        raise DataFormatError(
            f"no training rows in {len(files)} files; the selection kept nothing to train on"
        )
    _check_numbers(columns, method, needs)
    return TrainingRows(columns, _hash(columns))


def needed_rows(num_rows: int, spec: TrainingSpec) -> list[int]:
    """Positions of the rows that a run visits, in file order.

    A run shorter than one pass draws its rows without replacement by the spec's seed, so that
    neither encoding nor the reference model spend time on rows that are never visited.

    Args:
        num_rows: Rows at hand.
        spec: The run.
    """
    wanted = planned_steps(num_rows, spec) * spec.batch_size
    if wanted >= num_rows:
        return list(range(num_rows))
    return sorted(random.Random(spec.seed).sample(range(num_rows), wanted))


def planned_steps(num_rows: int, spec: TrainingSpec) -> int:
    """Optimizer steps of a run; the last batch of a pass may be smaller.

    Args:
        num_rows: Rows at hand.
        spec: The run.
    """
    if spec.steps is not None:
        return spec.steps
    return max(1, math.ceil(spec.epochs * math.ceil(num_rows / spec.batch_size)))


def _append(columns: dict[str, list[Any]], table: pa.Table, method: str, file: str) -> None:
    """Add one file's rows to the columns."""
    missing = [name for name in _MESSAGE_COLUMNS[method] if name not in table.column_names]
    if missing:
        raise DataFormatError(
            f"training file {file!r} has no column {missing[0]!r}; method {method!r} needs "
            f"{', '.join(_MESSAGE_COLUMNS[method])} as lists of messages, and the file has "
            f"{', '.join(table.column_names)}"
        )
    for name in _MESSAGE_COLUMNS[method]:
        rows = table.column(name).to_pylist()
        for position, messages in enumerate(rows):
            if not messages or not all(
                isinstance(message, dict) and isinstance(message.get("content"), str)
                for message in messages
            ):
                raise DataFormatError(
                    f"training file {file!r}, row {position}, column {name!r}: {messages!r}; "
                    "expected a list of messages with role and content"
                )
        columns[name] += [
            [{"role": str(m.get("role")), "content": m["content"]} for m in messages]
            for messages in rows
        ]
    for name, default in _NUMBER_COLUMNS[method].items():
        values = [None] * table.num_rows
        if name in table.column_names:
            values = table.column(name).to_pylist()
        columns[name] += [default if value is None else float(value) for value in values]


def _check_numbers(columns: dict[str, list[Any]], method: str, needs: Sequence[str]) -> None:
    """Refuse weights, labels and probabilities that have no meaning, and lack of needed ones."""
    needed = {*needs, *(["label"] if method == "kto" else [])}
    for name in _NUMBER_COLUMNS[method]:
        highest = math.inf if name == "weight" else 1.0
        for position, value in enumerate(columns[name]):
            if value is None:
                if name in needed:
                    raise DataFormatError(
                        f"training row {position}: {name} is null, and this training needs it; "
                        "take a selection that writes it (for win rates: win_rate_pairs)"
                    )
            elif not 0 <= value <= highest or math.isinf(value):
                raise DataFormatError(
                    f"training row {position}: {name}={value}; expected a finite number "
                    f"from 0 to {'any' if name == 'weight' else '1'}"
                )
    if "chosen_win_rate" in needs:
        # Both say how sure a preference is; a loss that reads one would silently ignore the other.
        for position, value in enumerate(columns["soft_label"]):
            if value != 1:
                raise DataFormatError(
                    f"training row {position}: soft_label={value}, but this loss reads win rates "
                    "instead; leave soft labels out of the selection"
                )


def _hash(columns: dict[str, list[Any]]) -> str:
    """SHA-256 of the rows, independent of how the files were written."""
    digest = hashlib.sha256(json.dumps(list(columns)).encode())
    for row in zip(*columns.values(), strict=True):
        digest.update(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()
