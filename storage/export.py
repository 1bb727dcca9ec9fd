"""Writes rows as a dataset folder that `datasets.load_dataset` reads, with a card."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from storage.catalog import quoted
from storage.compare import table_hash
from storage.errors import ExportError
from storage.export_card import CARD, CardFields, Config, collect_origin, write_card
from storage.places import AnyPath, first_use, place_of, upload
from storage.rows import schema_of
from storage.schemas import TRAINING_TABLES
from storage.snapshots import find_snapshot
from storage.warehouse import Warehouse

TEST_SHARE_STEPS = 1_000_000
_BATCH_ROWS = 2_048
_BYTES_PER_GROUP = 64 * 2**20
_BYTES_PER_FILE = 512 * 2**20  # before compression
# Splits that `datasets` knows by other names, or cannot spell.
_SPLIT_NAMES = {"heldout": "test", "evaluate": "test", "imported": "train"}


class ExportReport(NamedTuple):
    """What an export wrote."""

    folder: AnyPath
    configs: tuple[Config, ...]


@dataclass(frozen=True)
class ExportSpec:
    """What to export.

    Attributes:
        run: Only rows of this run; None for all runs.
        rounds: Only rows of these rounds; None for all rounds.
        tables: Tables to export; those without rows are left out.
        model: A model or a hash: instead of `tables`, the frozen table that it was trained on.
        test_share: Share of the prompts whose training rows become the split 'test', in [0, 1);
            which ones depends on the prompt alone.
    """

    run: str | None = None
    rounds: Sequence[int] | None = None
    tables: Sequence[str] = TRAINING_TABLES
    model: str | None = None
    test_share: float = 0.0


@dataclass(frozen=True)
class _Source:
    """One table of the export."""

    table: str
    schema: pa.Schema
    sql: str
    split: str
    order: str


def export_dataset(
    warehouse: Warehouse, folder: str | Path, spec: ExportSpec, card: CardFields
) -> ExportReport:
    """Writes a dataset folder: `<table>/<split>-*.parquet`, README.md, selfloom.json.

    The folder appears whole or not at all; in an object store file by file, the card last. The
    same rows give the same files, whatever parts of the warehouse they lie in.

    Args:
        warehouse: Warehouse with the rows.
        folder: Folder to create, or its URL in an object store; must be free or empty.
        spec: What to export.
        card: What only the user knows about the dataset.

    Raises:
        ExportError: If the folder is not free, a share is out of range, or there are no rows.
        UnknownTableError: If there is no such table.
        SnapshotNotFoundError: If the model was trained on no frozen table.
        MissingPackageError: If a package for the object store is missing.
        StoreError: If the object store can't be used: address, credentials, bucket.
    """
    target = place_of(folder)
    with first_use(target):
        is_free = not target.exists() or (target.is_dir() and not any(target.iterdir()))
    if not is_free:
        raise ExportError(f"{target} is not free; give a new or empty folder")
    if not 0 <= spec.test_share < 1:
        raise ExportError(f"test_share={spec.test_share}; expected a share from 0 to below 1")
    with _unfinished(target) as unfinished:
        with warehouse.connect() as connection:
            configs = []
            for source in _sources(warehouse, spec):
                config = _export_table(connection, source, unfinished)
                if config is not None:
                    digest = _content_hash(warehouse, spec, source)
                    configs.append(config._replace(content_hash=digest))
            if not configs:
                raise ExportError(
                    f"no rows in {', '.join(spec.tables)} for run {spec.run or '(any)'} and rounds "
                    f"{spec.rounds or '(any)'}; FROM rounds_overview counts the rows there are"
                )
            run, rounds = _rounds(warehouse, connection, spec)
            origin = collect_origin(connection, warehouse.place, run, rounds)
        write_card(unfinished, card, configs, origin)
        _finish(unfinished, target)
    return ExportReport(target, tuple(configs))


@contextmanager
def _unfinished(target: AnyPath) -> Iterator[Path]:
    """Yields an empty local folder, beside the target if that is local; it is gone afterwards."""
    if isinstance(target, Path):
        target.parent.mkdir(parents=True, exist_ok=True)
    parent = target.parent if isinstance(target, Path) else Path(tempfile.gettempdir())
    folder = parent / f".{target.name}.{secrets.token_hex(6)}.tmp"
    try:
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _finish(unfinished: Path, target: AnyPath) -> None:
    if not isinstance(target, Path):
        files = [path for path in unfinished.rglob("*") if path.is_file()]
        with first_use(target):
            for path in sorted(files, key=lambda path: (path.name == CARD, path)):
                upload(path, target / path.relative_to(unfinished).as_posix())
        return
    if target.is_dir():
        target.rmdir()
    os.replace(unfinished, target)


def _sources(warehouse: Warehouse, spec: ExportSpec) -> Iterator[_Source]:
    if spec.model is not None:
        snapshot = find_snapshot(warehouse, spec.model)
        schema = pq.read_schema(snapshot.path).remove_metadata()
        path = quoted(str(snapshot.path))
        sql = f"FROM read_parquet({path}, file_row_number = true)"
        yield _Source(snapshot.table, schema, sql, _split(snapshot.table, spec), "file_row_number")
        return
    chosen = ["true"]
    if spec.run is not None:
        chosen.append(f"run = {quoted(spec.run)}")
    if spec.rounds is not None:
        chosen.append(f"round IN ({', '.join(str(int(number)) for number in spec.rounds)})")
    for table in dict.fromkeys(spec.tables):
        schema = schema_of(table)
        sql = f"FROM {table} WHERE {' AND '.join(chosen)}"
        yield _Source(table, schema, sql, _split(table, spec), "run, round, id")


def _split(table: str, spec: ExportSpec) -> str:
    """Returns an SQL expression for the split of a row."""
    if table == "prompts":
        return '"split"'
    if table == "samples":
        return "purpose"
    if table in TRAINING_TABLES and spec.test_share:
        limit = round(spec.test_share * TEST_SHARE_STEPS)
        coin = f"md5_number_lower(prompt_id) % {TEST_SHARE_STEPS}"
        return f"CASE WHEN {coin} < {limit} THEN 'test' ELSE 'train' END"
    return "'train'"


def _export_table(
    connection: duckdb.DuckDBPyConnection, source: _Source, folder: Path
) -> Config | None:
    found = connection.execute(f"SELECT DISTINCT {source.split} FROM ({source.sql})").fetchall()
    values: dict[str, list[str]] = {}
    for (value,) in sorted(found):
        values.setdefault(_split_name(value), []).append(quoted(value))
    rows = {}
    for split in sorted(values, key=lambda name: (name != "train", name)):
        query = (
            f"SELECT * FROM ({source.sql}) WHERE {source.split} IN ({', '.join(values[split])}) "
            f"ORDER BY {source.order}"
        )
        reader = connection.sql(query).to_arrow_reader(_BATCH_ROWS)
        rows[split] = _write_files(reader, source.schema, folder / source.table, split)
    return Config(source.table, rows, "") if rows else None


def _split_name(value: str) -> str:
    """Returns a name that `datasets` takes: letters, digits, '_' and '.'."""
    return _SPLIT_NAMES.get(value) or re.sub(r"[^A-Za-z0-9_.]+", "_", value).strip(".") or "train"


def _write_files(reader: pa.RecordBatchReader, schema: pa.Schema, folder: Path, split: str) -> int:
    """Writes rows as files of about the same size and returns their number."""
    folder.mkdir(exist_ok=True)
    paths: list[Path] = []
    num_rows = size = 0
    writer: pq.ParquetWriter | None = None
    try:
        for group in _groups(reader, schema):
            if writer is None or size + group.nbytes > _BYTES_PER_FILE:
                if writer is not None:
                    writer.close()
                paths.append(folder / f"{split}-{len(paths):05d}.unfinished")
                writer, size = pq.ParquetWriter(paths[-1], schema, compression="zstd"), 0
            writer.write_table(group, row_group_size=max(1, group.num_rows))
            num_rows += group.num_rows
            size += group.nbytes
    finally:
        if writer is not None:
            writer.close()
    for number, path in enumerate(paths):
        path.rename(folder / f"{split}-{number:05d}-of-{len(paths):05d}.parquet")
    return num_rows


def _groups(reader: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yields the rows as tables of the schema, each about as large as a row group should be."""
    pending: list[pa.Table] = []
    for batch in reader:
        # One copy per column; the slices of a table would count the whole buffers as their size.
        columns = [batch.column(field.name).cast(field.type) for field in schema]
        pending.append(pa.table(columns, schema=schema))
        if sum(table.nbytes for table in pending) >= _BYTES_PER_GROUP:
            yield pa.concat_tables(pending)
            pending = []
    if pending:
        yield pa.concat_tables(pending)


def _rounds(
    warehouse: Warehouse, connection: duckdb.DuckDBPyConnection, spec: ExportSpec
) -> tuple[str | None, Sequence[int] | None]:
    """Returns the run and rounds that the rows come from, None for all."""
    if spec.model is None:
        return spec.run, spec.rounds
    path = quoted(str(find_snapshot(warehouse, spec.model).path))
    query = f"SELECT DISTINCT run, round FROM read_parquet({path}) ORDER BY ALL"
    found = connection.execute(query).fetchall()
    return found[0][0], [number for _, number in found]


def _content_hash(warehouse: Warehouse, spec: ExportSpec, source: _Source) -> str:
    if spec.model is not None:
        return find_snapshot(warehouse, spec.model).hash
    return table_hash(warehouse, source.table, run=spec.run, rounds=spec.rounds)
