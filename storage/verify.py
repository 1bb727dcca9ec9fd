"""Whether the tables of a warehouse are whole: files, shard counts, ids, links between rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.partitions import Part
from storage.schemas import TABLES, TRAINING_TABLES
from storage.shards import shard_counts
from storage.warehouse import Warehouse

# Column and the table whose ids it holds.
_LINKS = (
    ("samples", "prompt_id", "prompts"),
    ("executions", "sample_id", "samples"),
    ("scores", "sample_id", "samples"),
    ("votes", "prompt_id", "prompts"),
    *((table, "prompt_id", "prompts") for table in TRAINING_TABLES),
    *((table, "sample_ids", "samples") for table in TRAINING_TABLES),
    *((table, "score_ids", "scores") for table in TRAINING_TABLES),
    *((table, "vote_ids", "votes") for table in TRAINING_TABLES),
    ("rounds", "parent_model_id", "models"),
    ("rounds", "child_model_id", "models"),
)


class Problem(NamedTuple):
    """Something that is not as it has to be."""

    check: str
    where: str
    detail: str


def check_tables(warehouse: Warehouse) -> Iterator[Problem]:
    """Yields what is wrong with the tables, reading every row once.

    Ids and links are checked only where every file can be read.

    Args:
        warehouse: The warehouse.
    """
    are_readable = True
    for table in TABLES:
        for part in warehouse.parts(table):
            for problem in _check_file(part):
                are_readable = False
                yield problem
    if not are_readable:
        return
    with warehouse.connect() as con:
        for table in TABLES:
            yield from _check_ids(con, table)
        for table, column, target in _LINKS:
            yield from _check_link(con, table, column, target)


def _check_file(part: Part) -> Iterator[Problem]:
    where = str(part.path)
    try:
        with part.path.open("rb") as source:
            file = pq.ParquetFile(source)
            footer = file.metadata
            wrong = sum(_num_elsewhere(batch, part) for batch in file.iter_batches())
    except (OSError, pa.ArrowException) as error:
        yield Problem("file", where, f"it cannot be read: {str(error).splitlines()[0]}")
        return
    if wrong:
        yield Problem("partition", where, f"{wrong} rows say that they are of another run or round")
    counts = shard_counts(footer)
    if (counts or ".." in part.name) and sum(counts.values()) != footer.num_rows:
        yield Problem(
            "shard counts",
            where,
            f"it has {footer.num_rows} rows, its shards have {sum(counts.values())}: "
            f"{json.dumps(counts)}",
        )


def _num_elsewhere(batch: pa.RecordBatch, part: Part) -> int:
    other_run = pc.not_equal(batch.column("run"), part.run)
    other_round = pc.not_equal(batch.column("round"), part.round)
    elsewhere = pc.or_(pc.fill_null(other_run, True), pc.fill_null(other_round, True))
    return int(pc.sum(elsewhere).as_py() or 0)


def _check_ids(con: duckdb.DuckDBPyConnection, table: str) -> Iterator[Problem]:
    ((num, first),) = con.execute(
        f"SELECT count(*), min(id) FROM (SELECT id FROM {table} GROUP BY id, run, round "
        "HAVING count(*) > 1)"
    ).fetchall()
    if num:
        yield Problem("ids", table, f"{num} ids are there twice in a round, e.g. {first}")


def _check_link(
    con: duckdb.DuckDBPyConnection, table: str, column: str, target: str
) -> Iterator[Problem]:
    is_list = pa.types.is_list(TABLES[table].field(column).type)
    named = f"unnest({column})" if is_list else column
    ((num, first, missing),) = con.execute(
        f"SELECT count(*), min(own.id), arg_min(own.named, own.id) "
        f"FROM (SELECT id, {named} AS named FROM {table}) AS own "
        f"ANTI JOIN {target} ON own.named = {target}.id WHERE own.named IS NOT NULL"
    ).fetchall()
    if num:
        yield Problem(
            "links",
            f"{table}.{column}",
            f"{num} rows name what {target} does not have, e.g. {first} names {missing}",
        )
