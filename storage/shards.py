"""Shards: parts that are committed one by one, and appear to readers merged into few files.

A stage commits many small parts. Each is whole and durable in `pending/`, where the stage finds
it again after a crash and no view looks. Sealing writes the rows of a run of shards into one file
of the table, in one step: a reader sees all of them or none, and no file that a reader could have
listed is ever moved, replaced or deleted.

A sealed file is named after what it holds, as in `sample-0000..0135.parquet`, and says in its
metadata how many rows each shard has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from storage.commit import publish_tables
from storage.places import AnyPath, read_metadata, read_rows

PENDING_FOLDER = "pending"
"""Folder of shards and journals that are not in the tables yet."""

_COUNTS = "selfloom.shards"
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d+)")
_SEALED = re.compile(r"(?P<stem>.+)-(?P<first>\d+)\.\.(?P<last>\d+)")


class Place(NamedTuple):
    """Where the rows of a part are: all of a file, or a slice of a sealed one."""

    path: AnyPath
    first: int = 0
    num_rows: int | None = None

    def read(self, schema: pa.Schema, columns: Sequence[str]) -> pa.Table:
        """Returns the rows of the part, with these columns in this order."""
        found = read_rows([self.path], schema, columns)
        return found if self.num_rows is None else found.slice(self.first, self.num_rows)

    def num_bytes(self) -> int:
        """Returns the compressed bytes of the rows, without the file's schema and statistics.

        Of a slice it is its share of the file.
        """
        footer = read_metadata(self.path)
        groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
        size: int = sum(
            group.column(number).total_compressed_size
            for group in groups
            for number in range(group.num_columns)
        )
        if self.num_rows is None:
            return size
        return int(size * self.num_rows / max(1, footer.num_rows))


def find(folder: AnyPath, pending: AnyPath, part: str) -> Place | None:
    """Returns where a part is, None if it is not committed.

    Args:
        folder: Partition of the table.
        pending: The same partition's shards.
        part: Name of the part.
    """
    # Pending before sealed: a shard leaves the first after it is in the second.
    for own in (folder, pending):
        path = own / f"{part}.parquet"
        if path.is_file():
            return Place(path)
    for path in _covering(folder, part):
        counts = shard_counts(read_metadata(path))
        if part in counts:
            before = list(counts)[: list(counts).index(part)]
            return Place(path, sum(counts[name] for name in before), counts[part])
    return None


def shard_counts(footer: pq.FileMetaData) -> dict[str, int]:
    """Returns how many rows each shard of a sealed file has, in order; none for another file.

    Args:
        footer: The file's.
    """
    counts: dict[str, int] = json.loads((footer.metadata or {}).get(_COUNTS.encode(), "{}"))
    return counts


def has(folder: AnyPath, pending: AnyPath, part: str) -> bool:
    """Returns whether a part is committed, in the table or as a shard.

    Args:
        folder: Partition of the table.
        pending: The same partition's shards.
        part: Name of the part.
    """
    name = f"{part}.parquet"
    return (folder / name).is_file() or (pending / name).is_file() or any(_covering(folder, part))


def seal(
    root: Path, folder: AnyPath, pending: AnyPath, parts: Sequence[str], schema: pa.Schema
) -> None:
    """Moves shards into the table: as one file, or several where their numbers have gaps.

    Doing it again, or after a crash at any point, does what is left to do.

    Args:
        root: Local folder of the warehouse.
        folder: Partition of the table.
        pending: The same partition's shards.
        parts: Their names, e.g. "sample-0000"; those that are not there are left out.
        schema: The table's.
    """
    found = [part for part in parts if (pending / f"{part}.parquet").is_file()]
    fresh = [part for part in found if not is_sealed(folder, part)]
    for members in _consecutive(fresh):
        _merge(root, folder, [pending / f"{part}.parquet" for part in members], schema)
    for part in found:
        (pending / f"{part}.parquet").unlink(missing_ok=True)


def _merge(root: Path, folder: AnyPath, paths: Sequence[AnyPath], schema: pa.Schema) -> None:
    last = "" if len(paths) == 1 else f"..{paths[-1].stem.rpartition('-')[2]}"
    counts = {path.stem: read_metadata(path).num_rows for path in paths}
    publish_tables(
        root,
        folder / f"{paths[0].stem}{last}.parquet",
        schema,
        (read_rows([path], schema, schema.names) for path in paths),
        {_COUNTS: json.dumps(counts)},
        # Where two processes seal the same shards, readers keep the file that they have opened.
        replace=False,
    )


def _consecutive(parts: Iterable[str]) -> Iterator[list[str]]:
    """Yields runs of parts of one stem whose numbers follow one another.

    Example:
        >>> list(_consecutive(["a-08", "a-09", "a-10", "a-12", "b-13", "c"]))
        [['a-08', 'a-09', 'a-10'], ['a-12'], ['b-13'], ['c']]
    """
    members: list[str] = []
    expected = None
    for part in parts:
        match = _SHARD.fullmatch(part)
        own = (match["stem"], int(match["number"])) if match else None
        if members and (own is None or own != expected):
            yield members
            members = []
        members.append(part)
        expected = (own[0], own[1] + 1) if own else None
    if members:
        yield members


def _covering(folder: AnyPath, part: str) -> Iterator[AnyPath]:
    """Yields the sealed files whose name says that they hold a part."""
    wanted = _SHARD.fullmatch(part)
    if wanted is None:
        return
    for path in folder.glob(f"{wanted['stem']}-*..*.parquet"):
        match = _SEALED.fullmatch(path.stem)
        if match is None or match["stem"] != wanted["stem"]:
            continue
        if int(match["first"]) <= int(wanted["number"]) <= int(match["last"]):
            yield path


def is_sealed(folder: AnyPath, part: str) -> bool:
    """Returns whether a part's rows are in the table.

    Args:
        folder: Partition of the table.
        part: Name of the part.
    """
    return (folder / f"{part}.parquet").is_file() or any(_covering(folder, part))
