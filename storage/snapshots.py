"""Frozen training tables: `snapshots/<hash>.parquet`, which `models.snapshot_hash` names."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from storage.errors import SnapshotNotFoundError
from storage.warehouse import Warehouse

_MIN_PREFIX = 6
_SHOWN = 5


class Snapshot(NamedTuple):
    """The rows that a model was trained on, in the order in which it saw them."""

    table: str
    """Table of the rows: examples, pairs or labels."""
    hash: str
    path: Path
    """Its file on this machine, copied from the object store if it has to be."""


def find_snapshot(warehouse: Warehouse, name: str) -> Snapshot:
    """Returns the snapshot that a model was trained on, or that a hash names.

    Args:
        warehouse: Warehouse that holds it.
        name: Id of a model, or at least six digits of a snapshot's hash.

    Raises:
        SnapshotNotFoundError: If there is none, or several begin like this.
    """
    folder = warehouse.place / "snapshots"
    with warehouse.connect() as connection:
        rows = connection.execute(
            "SELECT DISTINCT snapshot_hash FROM models WHERE id = ?", [name]
        ).fetchall()
    hashes = [own for (own,) in rows if own is not None]
    if rows and not hashes:
        raise SnapshotNotFoundError(
            f"model {name!r} was trained on nothing here: its row has no snapshot_hash; name a "
            "model that a round trained"
        )
    there = sorted(path.stem for path in folder.glob("*.parquet"))
    if not rows and len(name) >= _MIN_PREFIX:
        hashes = [own for own in there if own.startswith(name)]
    if len(hashes) != 1 or hashes[0] not in there:
        problem = "is missing" if hashes else "is neither a model nor the start of a hash"
        problem = "is ambiguous" if len(hashes) > 1 else problem
        known = f"{', '.join(there[:_SHOWN])}{', …' if len(there) > _SHOWN else ''}"
        raise SnapshotNotFoundError(
            f"snapshot {name!r} {problem}; {folder} has {known or 'none'}; "
            "SELECT id, snapshot_hash FROM models lists those of models"
        )
    path = warehouse.fetch(warehouse.root / "snapshots" / f"{hashes[0]}.parquet")
    names = pq.read_schema(path).names
    table = "pairs" if "chosen" in names else "labels" if "label" in names else "examples"
    return Snapshot(table, hashes[0], path)
