"""Columns as the schemas of the tables write them: a type, what it holds, and what may be in it."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

# Parquet's own name for list items, so that a schema read back is the same one.
_ITEM: Final = "element"

MESSAGES: Final = pa.list_(
    pa.field(_ITEM, pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())]))
)
"""Chat messages, TRL's conversational format."""

STRING = pa.string()
INT = pa.int32()
LONG = pa.int64()
DOUBLE = pa.float64()
BOOL = pa.bool_()
STRINGS = pa.list_(pa.field(_ITEM, pa.string()))


def column(
    name: str,
    kind: pa.DataType,
    doc: str,
    *,
    null: bool = False,
    measured: bool = False,
    values: str = "",
    json: bool = False,
) -> pa.Field:
    """Returns a column with its metadata, see `storage.schemas`."""
    metadata = {"doc": doc}
    if measured:
        metadata["measured"] = "true"
    if values:
        metadata["values"] = values
    if json:
        metadata["format"] = "json"
    return pa.field(name, kind, nullable=null, metadata=metadata)


def table(doc: str, id_doc: str, *columns: pa.Field) -> pa.Schema:
    """Returns the schema of a table: the three keys, then its own columns."""
    keys = [
        column("id", STRING, id_doc),
        column("run", STRING, "Run that wrote the row; also the first partition key."),
        column("round", INT, "Round of the run, 0 for what came before it; second key."),
    ]
    return pa.schema([*keys, *columns], metadata={"doc": doc})


def status(of: str) -> list[pa.Field]:
    """Returns the two columns that tell an outage from a result."""
    return [
        column(
            "status",
            STRING,
            f"'error' where {of} failed for reasons of ours; never a score of 0.",
            values="ok|error",
        ),
        column("error", STRING, "What went wrong, null when status is 'ok'.", null=True),
    ]


def sources(*columns: pa.Field) -> list[pa.Field]:
    """Returns columns of a training row, and those that lead to what it was made of."""
    return [
        *columns,
        column("sample_ids", STRINGS, "Samples whose text is in the row; voters: see vote_ids."),
        column("score_ids", STRINGS, "Every score that decided about the row."),
        column("vote_ids", STRINGS, "Every vote that decided about the row."),
    ]
