"""Tables of self-training runs: schemas, atomic commits, lineage, SQL.

Rows live in Parquet files, partitioned by run and round; everything else can be rebuilt from them.
This room knows nothing of models, sandboxes or flows, and can be used alone.
"""

from storage.compare import Difference, diff_tables, snapshot_hash
from storage.errors import (
    JournalBusyError,
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
from storage.journal import Journal
from storage.partitions import Part
from storage.schemas import SCHEMA_VERSION, TABLES, TRAINING_TABLES
from storage.sql import QueryResult, run_sql
from storage.warehouse import Warehouse

__all__ = [
    "SCHEMA_VERSION",
    "TABLES",
    "TRAINING_TABLES",
    "Difference",
    "Journal",
    "JournalBusyError",
    "NotAWarehouseError",
    "Part",
    "PartitionError",
    "QueryError",
    "QueryResult",
    "RowError",
    "SchemaVersionError",
    "UnknownTableError",
    "Warehouse",
    "WarehouseFullError",
    "WarehouseNotFoundError",
    "content_id",
    "diff_tables",
    "run_sql",
    "snapshot_hash",
]
