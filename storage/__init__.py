"""Tables of self-training runs: schemas, atomic commits, lineage, SQL.

Rows live in Parquet files, partitioned by run and round; everything else can be rebuilt from them.
This room knows nothing of models, sandboxes or flows, and can be used alone.
"""

from storage.compare import (
    Difference,
    TableCount,
    count_differences,
    diff_tables,
    table_hash,
)
from storage.errors import (
    ExportError,
    JournalBusyError,
    MissingPackageError,
    NotAWarehouseError,
    PartitionError,
    QueryError,
    RowError,
    SchemaVersionError,
    SnapshotNotFoundError,
    StoreError,
    UnknownTableError,
    WarehouseFullError,
    WarehouseNotFoundError,
)
from storage.export import ExportReport, ExportSpec, export_dataset
from storage.export_card import CardFields
from storage.hub import check_token, push_to_hub
from storage.ids import content_id
from storage.journal import Journal
from storage.partitions import Part
from storage.schemas import SCHEMA_VERSION, TABLES, TRAINING_TABLES
from storage.snapshots import Snapshot, find_snapshot
from storage.sql import QueryResult, run_sql
from storage.training_diff import RoundRef, TrainingDiff, diff_training
from storage.warehouse import Warehouse

__all__ = [
    "SCHEMA_VERSION",
    "TABLES",
    "TRAINING_TABLES",
    "CardFields",
    "Difference",
    "ExportError",
    "ExportReport",
    "ExportSpec",
    "Journal",
    "JournalBusyError",
    "MissingPackageError",
    "NotAWarehouseError",
    "Part",
    "PartitionError",
    "QueryError",
    "QueryResult",
    "RoundRef",
    "RowError",
    "SchemaVersionError",
    "Snapshot",
    "SnapshotNotFoundError",
    "StoreError",
    "TableCount",
    "TrainingDiff",
    "UnknownTableError",
    "Warehouse",
    "WarehouseFullError",
    "WarehouseNotFoundError",
    "check_token",
    "content_id",
    "count_differences",
    "diff_tables",
    "diff_training",
    "export_dataset",
    "find_snapshot",
    "push_to_hub",
    "run_sql",
    "table_hash",
]
