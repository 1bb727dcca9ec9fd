"""Rows from wherever a user keeps them: jsonl, json, csv, parquet, a folder, a dataset repository.

A row that can't be read is kept out, counted and named by its number; a source that can't be
opened at all is an error.
"""

from __future__ import annotations

import csv
import gzip
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

from tasks.errors import DataFormatError, SourceError, UnknownNameError

Record = dict[str, object]
LOCAL_SUFFIXES = (".jsonl", ".ndjson", ".jsonl.gz", ".json", ".csv", ".tsv", ".parquet")
KEPT_BAD_ROWS = 100  # all bad rows are counted, this many are kept to show

logger = logging.getLogger("selfloom.records")


class BadRow(NamedTuple):
    """A row that was kept out: its 1-based number in the source, and why."""

    number: int
    reason: str


@dataclass
class BadRows:
    """The rows of one source that were kept out: all counted, the first hundred kept."""

    source: str
    count: int = 0
    first: list[BadRow] = field(default_factory=list)

    def add(self, number: int, reason: str) -> None:
        """Count a bad row and keep it if it is among the first."""
        self.count += 1
        if len(self.first) < KEPT_BAD_ROWS:
            self.first.append(BadRow(number, reason))

    def describe(self, limit: int = 5) -> str:
        """One line: how many rows were kept out, and the first `limit` of them with reasons."""
        shown = "; ".join(f"row {number}: {reason}" for number, reason in self.first[:limit])
        more = f"; and {self.count - limit} more" if self.count > limit else ""
        return f"{self.source}: {self.count} bad rows kept out: {shown}{more}"

    def log(self) -> None:
        """Warn once about all of them, if there are any."""
        if self.count:
            logger.warning("%s", self.describe())


def iter_records(
    source: str | Path, bad: BadRows, *, split: str | None = None, config: str | None = None
) -> Iterator[tuple[int, Record]]:
    """Yield (row number from 1, row) for every readable row of a source, in order.

    Args:
        source: A local file (jsonl, json, csv, tsv, parquet), or a folder or repository id that
            `datasets.load_dataset` reads.
        bad: Collects the rows that are kept out.
        split: The split to load from a folder or repository.
        config: The configuration (subset) to load from a repository.

    Raises:
        SourceError: The source does not exist or can't be opened.
        DataFormatError: The file's form is unknown, or it is not what its name says.
    """
    path = Path(source).expanduser()
    name = path.name.lower()
    if not path.is_file():
        yield from enumerate(_dataset_rows(str(source), path, split, config), start=1)
        return
    try:
        if name.endswith((".jsonl", ".ndjson", ".jsonl.gz")):
            yield from _jsonl_rows(path, bad)
        elif name.endswith(".json"):
            yield from _json_rows(path, bad)
        elif name.endswith((".csv", ".tsv")):
            yield from _csv_rows(path, bad, "\t" if name.endswith(".tsv") else ",")
        elif name.endswith(".parquet"):
            yield from _parquet_rows(path)
        else:
            raise DataFormatError(
                f"{path}: unknown kind of file; its name should end in {', '.join(LOCAL_SUFFIXES)}"
            )
    except OSError as error:
        raise SourceError(
            f"{path}: can't be read: {error}; check the file and its rights"
        ) from error


def split_file(folder: Path, *names: str) -> Path | None:
    """The data file in `folder` that is called one of `names`, in that order, or None."""
    for name in names:
        for suffix in LOCAL_SUFFIXES:
            if (folder / f"{name}{suffix}").is_file():
                return folder / f"{name}{suffix}"
    return None


def check_columns(source: str, wanted: Iterable[str], rows: Sequence[Record]) -> None:
    """Check that every wanted column is in at least one row.

    Raises:
        UnknownNameError: A column is in none of the rows; the message lists those there are.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    unknown = [column for column in wanted if column not in columns]
    if unknown:
        raise UnknownNameError(
            f"{source}: no column {', '.join(map(repr, unknown))}; "
            f"the columns are {', '.join(map(repr, columns))}"
        )


def _jsonl_rows(path: Path, bad: BadRows) -> Iterator[tuple[int, Record]]:
    with _open_bytes(path) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                bad.add(number, f"not UTF-8: {error.reason} at byte {error.start}")
            except (ValueError, RecursionError) as error:
                bad.add(number, f"not JSON: {error}")
            else:
                if isinstance(row, dict):
                    yield number, row
                else:
                    bad.add(number, f"a JSON {type(row).__name__}, expected an object")


def _open_bytes(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.name.endswith(".gz") else path.open("rb")  # type: ignore[return-value]


def _json_rows(path: Path, bad: BadRows) -> Iterator[tuple[int, Record]]:
    try:
        rows = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataFormatError(
            f"{path}: not JSON: {error}; for one object per line name the file .jsonl"
        ) from error
    if isinstance(rows, dict) and isinstance(rows.get("data"), list):
        rows = rows["data"]
    if not isinstance(rows, list):
        raise DataFormatError(f"{path}: expected a JSON list of objects (or one under 'data')")
    for number, row in enumerate(rows, start=1):
        if isinstance(row, dict):
            yield number, row
        else:
            bad.add(number, f"a JSON {type(row).__name__}, expected an object")


def _csv_rows(path: Path, bad: BadRows, delimiter: str) -> Iterator[tuple[int, Record]]:
    with path.open(encoding="utf-8-sig", newline="", errors="surrogateescape") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(header):
                    bad.add(reader.line_num, f"{len(cells)} fields, expected {len(header)}")
                elif any("\udc80" <= c <= "\udcff" for cell in cells for c in cell):
                    bad.add(reader.line_num, "not UTF-8")
                else:
                    yield reader.line_num, dict(zip(header, cells, strict=True))
        except csv.Error as error:
            raise DataFormatError(f"{path}: line {reader.line_num}: not CSV: {error}") from error


def _parquet_rows(path: Path) -> Iterator[tuple[int, Record]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1000):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except pa.ArrowInvalid as error:
        raise DataFormatError(f"{path}: not a Parquet file: {error}") from error


def _dataset_rows(
    source: str, path: Path, split: str | None, config: str | None
) -> Iterator[Record]:
    is_path = path.is_absolute() or source.startswith(".") or source.count("/") > 1
    if not path.exists() and (is_path or path.suffix in LOCAL_SUFFIXES):
        raise SourceError(f"{source}: no such file; the working folder is {Path.cwd()}")
    import datasets

    try:
        loaded = datasets.load_dataset(source, config, split=split or "train")
    except (
        Exception
    ) as error:  # load_dataset raises a dozen unrelated classes of its own and others'
        raise SourceError(
            f"{source}: neither a local file nor a dataset that load_dataset can read "
            f"(split={split or 'train'!r}, config={config!r}): {type(error).__name__}: {error}"
        ) from error
    for row in loaded:
        yield dict(row)
