"""Tables of self-training runs: schemas, atomic commits, lineage, SQL.

Rows live in Parquet files, partitioned by run and round; everything else can be rebuilt from them.
This room knows nothing of models, sandboxes or flows, and can be used alone.
"""

from storage.errors import (
    NotAWarehouseError,
    PartitionError,
    QueryError,
    RowError,
    SchemaVersionError,
    UnknownTableError,
    WarehouseFullError,
    WarehouseNotFoundError,
)
from storage.ids import content_id
from storage.schemas import SCHEMA_VERSION, TABLES, TRAINING_TABLES
from storage.warehouse import Part, Warehouse

__all__ = [
    "SCHEMA_VERSION",
    "TABLES",
    "TRAINING_TABLES",
    "NotAWarehouseError",
    "Part",
    "PartitionError",
    "QueryError",
    "RowError",
    "SchemaVersionError",
    "UnknownTableError",
    "Warehouse",
    "WarehouseFullError",
    "WarehouseNotFoundError",
    "content_id",
]
