"""Partitions of a table: which names they can have, and which committed files they hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from storage.errors import PartitionError
from storage.places import AnyPath

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Part(NamedTuple):
    """One committed file of a table."""

    run: str
    round: int
    name: str
    path: AnyPath


def walk(folder: AnyPath) -> Iterator[Part]:
    """Yields the committed files under the folder of a table.

    Args:
        folder: The folder, which may be missing.
    """
    for path in folder.glob("run=*/round=*/*.parquet"):
        run = path.parent.parent.name.removeprefix("run=")
        number = path.parent.name.removeprefix("round=")
        # Leaves out the schema file, whose run is no valid name, and what others put there.
        if _NAME.fullmatch(run) and number.isdecimal() and number == str(int(number)):
            yield Part(run, int(number), path.stem, path)


def partition_keys(run: str, round: int) -> str:
    """Returns the folder of a partition, relative to its table's.

    Raises:
        PartitionError: If the run or round cannot be a folder name.

    Example:
        >>> partition_keys("demo", 3)
        'run=demo/round=3'
    """
    return f"run={checked('run', run)}/round={checked_round(round)}"


def checked(what: str, name: str) -> str:
    """Returns a name that can be a file's or folder's.

    Args:
        what: What it names, for the message.
        name: The name.

    Raises:
        PartitionError: If it cannot.
    """
    if not _NAME.fullmatch(name):
        raise PartitionError(
            f"{what} {name!r}: expected 1 to 100 letters, digits, '.', '_' or '-', the first a "
            "letter or digit"
        )
    return name


def checked_round(round: int) -> int:
    """Returns a number that can be a round's.

    Raises:
        PartitionError: If it cannot.
    """
    if isinstance(round, bool) or not isinstance(round, int) or not 0 <= round < 2**31:
        raise PartitionError(f"round {round!r}: expected an integer from 0 on")
    return round
