"""Whether models, and the rows that they were trained on, are those that were recorded."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from storage import Warehouse
from storage.verify import Problem, check_tables
from tasks.data_mix import snapshot_hash
from tasks.errors import ModelFolderError, WeightsChangedError
from tasks.models import check_weights, recorded_models


def verify(warehouse: Warehouse) -> Iterator[Problem]:
    """Yields everything that is wrong with a warehouse: tables, models, frozen training rows.

    Args:
        warehouse: The warehouse; every row and every weight of it is read.
    """
    yield from check_tables(warehouse)
    yield from check_models(warehouse)
    yield from check_snapshots(warehouse)


def check_models(warehouse: Warehouse) -> Iterator[Problem]:
    """Yields models whose folder is gone, damaged, or holds other weights than were recorded.

    Args:
        warehouse: The warehouse.
    """
    for model in recorded_models(warehouse):
        try:
            check_weights(model)
        except (ModelFolderError, WeightsChangedError) as error:
            yield Problem("weights", model.id, str(error))


def check_snapshots(warehouse: Warehouse) -> Iterator[Problem]:
    """Yields frozen training rows that are gone, or are not those that their hash names.

    Args:
        warehouse: The warehouse.
    """
    with warehouse.connect() as con:
        rows = con.execute(
            "SELECT snapshot_hash, min(id) FROM models WHERE snapshot_hash IS NOT NULL GROUP BY 1 "
            "ORDER BY 1"
        ).fetchall()
    for digest, model in rows:
        path = warehouse.fetch(warehouse.root / "snapshots" / f"{digest}.parquet")
        where = f"{path} ({model} was trained on it)"
        if not path.is_file():
            yield Problem("training rows", where, "the file is missing")
            continue
        try:
            found = snapshot_hash(pq.read_table(path))
        except (OSError, pa.ArrowException) as error:
            detail = f"it cannot be read: {str(error).splitlines()[0]}"
            yield Problem("training rows", where, detail)
            continue
        if found != digest:
            yield Problem("training rows", where, f"its rows have the hash {found}")
