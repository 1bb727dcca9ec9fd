"""The warehouse: a folder with all tables and models, read and written one whole part at a time."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as pads

from storage import catalog, shards
from storage.commit import STAGING_FOLDER, publish_parquet, publish_text, sweep
from storage.errors import (
    NotAWarehouseError,
    SchemaVersionError,
    WarehouseNotFoundError,
)
from storage.journal import Journal
from storage.partitions import Part, checked, checked_round, partition_keys, walk
from storage.rows import Rows, schema_of, to_arrow
from storage.schemas import SCHEMA_VERSION

MARKER = "selfloom.json"
"""File that makes a folder a warehouse."""

_log = logging.getLogger(__name__)
_FORMAT = "selfloom-warehouse"


class Warehouse:
    """All tables and models of some runs, in one folder.

    Layout: `tables/<table>/run=<run>/round=<n>/<part>.parquet`, `models/<model id>/`,
    `selfloom.json` with the schema version, `selfloom.duckdb` with views over the tables, and
    `pending/`, `tmp/` and `scratch/` for unfinished work.
    """

    def __init__(self, root: Path) -> None:
        """Wraps a folder that `open` has checked; call `open` instead."""
        self.root = root

    @classmethod
    def open(cls, path: str | Path, *, create: bool = True) -> Warehouse:
        """Opens a warehouse, by default creating it in a new or empty folder.

        Sweeps what killed writers left, and renews the catalog if it is missing, of other
        definitions, or made before the folder was moved.

        Args:
            path: Folder of the warehouse.
            create: Whether to create it; False for commands that only read.

        Raises:
            WarehouseNotFoundError: If there is none and `create` is False.
            NotAWarehouseError: If the folder holds other things.
            SchemaVersionError: If it was written with another version of the schemas.
            WarehouseFullError: If the disk is too full to create it.
        """
        root = Path(path).expanduser().resolve()
        marker = root / MARKER
        if not marker.is_file():
            if not create:
                raise WarehouseNotFoundError(
                    f"no warehouse at {root}: expected a folder with {MARKER}; check the path, or "
                    "create one by running a round"
                )
            _check_empty(root)
            root.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"format": _FORMAT, "schema_version": SCHEMA_VERSION}, indent=2)
            publish_text(root, marker, text + "\n")
        _check_marker(marker)
        try:
            sweep(root)
            catalog.write_schema_files(root)
            catalog.refresh(root)
        except OSError as error:
            # Nothing of this is needed to read what is committed, so a full or read-only disk
            # must not stop a reader; a writer fails at its first write.
            _log.warning("the catalog of %s was not renewed: %s", root, error)
        return cls(root)

    @property
    def models_dir(self) -> Path:
        """Folder of the models that were trained here."""
        return self.root / "models"

    def model_path(self, model_id: str) -> Path:
        """Returns the folder of a model, whether it exists or not.

        Raises:
            PartitionError: If the id cannot be a folder name.
        """
        return self.models_dir / checked("model id", model_id)

    def table_dir(self, table: str) -> Path:
        """Returns the folder of a table.

        Raises:
            UnknownTableError: If there is no such table.
        """
        schema_of(table)
        return self.root / "tables" / table

    def scratch_dir(self, run: str, round: int) -> Path:
        """Returns an existing folder for a round's working files, which are never the truth.

        Raises:
            PartitionError: If the run or round cannot be a folder name.
        """
        folder = self.root / "scratch" / checked("run", run) / str(checked_round(round))
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def part_path(self, table: str, *, run: str, round: int, part: str) -> Path:
        """Returns the path that a part has once it is committed.

        Raises:
            UnknownTableError: If there is no such table.
            PartitionError: If the run, round or part cannot be a name.
        """
        folder = self._partition(table, run, round)
        return folder / f"{checked('part', part)}.parquet"

    def write(self, table: str, rows: Rows, *, run: str, round: int, part: str) -> Path:
        """Commits rows as one part; a part of the same name is replaced.

        Args:
            table: Name of the table.
            rows: One mapping per row, or an Arrow table. `run` and `round` are filled in, and null
                for nullable columns that are left out. No rows make an empty part, which `has`
                sees.
            run: Name of the run: letters, digits, '.', '_', '-'.
            round: Number of the round, from 0.
            part: Name of the part, e.g. "program-0003"; same characters as the run.

        Returns:
            The path of the committed file.

        Raises:
            UnknownTableError: If there is no such table.
            PartitionError: If the run, round or part cannot be a name.
            RowError: If a row does not fit the schema; nothing is written.
            WarehouseFullError: If the disk is full; nothing is written.
        """
        target = self.part_path(table, run=run, round=round, part=part)
        return publish_parquet(self.root, target, to_arrow(table, rows, run=run, round=round))

    def has(self, table: str, *, run: str, round: int, part: str) -> bool:
        """Returns whether a part is committed, by `write` or by `write_shard`.

        Raises:
            UnknownTableError: If there is no such table.
            PartitionError: If the run, round or part cannot be a name.
        """
        name = checked("part", part)
        return shards.has(
            self._partition(table, run, round), self._pending(table, run, round), name
        )

    def journal(self, table: str, *, run: str, round: int, part: str, identity: str) -> Journal:
        """Opens the journal of a part that is being made, with the groups that it has already.

        Args:
            table: Name of the table.
            run: Name of the run.
            round: Number of the round.
            part: Name of the part that the groups will become.
            identity: What the groups follow from; groups of another identity are dropped.

        Raises:
            UnknownTableError: If there is no such table.
            PartitionError: If the run, round or part cannot be a name.
            JournalBusyError: If another process is writing it.
            WarehouseFullError: If the disk is full.
        """
        folder = self._pending(table, run, round)
        return Journal(folder / f"{checked('part', part)}.journal", identity)

    def write_shard(self, table: str, rows: Rows, *, run: str, round: int, part: str) -> Path:
        """Commits rows as a shard: `has` and `read` with its name find it, no view does.

        Args:
            table: Name of the table.
            rows: As for `write`.
            run: Name of the run.
            round: Number of the round.
            part: Name of the shard, a stem and a number, e.g. "sample-0003".

        Returns:
            The path of the committed file, until `seal` moves its rows into the table.

        Raises:
            UnknownTableError: If there is no such table.
            PartitionError: If the run, round or part cannot be a name.
            RowError: If a row does not fit the schema; nothing is written.
            WarehouseFullError: If the disk is full; nothing is written.
        """
        target = self._pending(table, run, round) / f"{checked('part', part)}.parquet"
        return publish_parquet(self.root, target, to_arrow(table, rows, run=run, round=round))

    def seal(self, table: str, parts: Sequence[str], *, run: str, round: int) -> None:
        """Moves shards into the table as one file: a reader sees all of their rows or none.

        Afterwards `has` and `read` still know the shards by their names. Doing it again does
        nothing; after a crash it does what is left.

        Args:
            table: Name of the table.
            parts: Names of the shards, in order; those that were never written are left out.
            run: Name of the run.
            round: Number of the round.

        Raises:
            UnknownTableError: If there is no such table.
            PartitionError: If the run, round or a part cannot be a name.
            WarehouseFullError: If the disk is full; the shards are intact.
        """
        names = [checked("part", part) for part in parts]
        folder, pending = self._partition(table, run, round), self._pending(table, run, round)
        shards.seal(self.root, folder, pending, names, schema_of(table))

    def parts(self, table: str, *, run: str | None = None, round: int | None = None) -> list[Part]:
        """Returns the committed parts, ordered by run, round and name.

        Args:
            table: Name of the table.
            run: Only parts of this run; None for all runs.
            round: Only parts of this round; None for all rounds.

        Raises:
            UnknownTableError: If there is no such table.
            PartitionError: If the run or round cannot be a name.
        """
        if run is not None:
            checked("run", run)
        if round is not None:
            checked_round(round)
        found = [
            part
            for part in walk(self.table_dir(table))
            if run in (None, part.run) and round in (None, part.round)
        ]
        return sorted(found)

    def read(
        self,
        table: str,
        *,
        run: str | None = None,
        round: int | None = None,
        part: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Returns the rows of committed parts, in the order of the parts and of writing.

        Shards that are not sealed are found by the name of their part only.

        Args:
            table: Name of the table.
            run: Only rows of this run; None for all runs.
            round: Only rows of this round; None for all rounds.
            part: Only rows of the parts of this name; None for all parts.
            columns: Only these columns, in this order; None for all.

        Returns:
            One row per row; no rows, with the table's schema, where nothing is committed.

        Raises:
            UnknownTableError: If there is no such table.
            PartitionError: If the run or round cannot be a name.
        """
        schema = schema_of(table)
        names = list(schema.names if columns is None else columns)
        if part is not None:
            places = self._places(table, run, round, checked("part", part))
            found = [place.read(schema, names) for place in places]
            empty = pa.schema([schema.field(name) for name in names]).empty_table()
            return pa.concat_tables(found) if found else empty
        paths = [str(own.path) for own in self.parts(table, run=run, round=round)]
        # The explicit schema gives null for columns that are younger than the file.
        return pads.dataset(paths, schema=schema, format="parquet").to_table(columns=names)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Returns an in-memory DuckDB connection with all views and macros of the catalog."""
        return catalog.connect(self.root)

    def refresh_catalog(self) -> bool:
        """Renews `selfloom.duckdb` if it is missing, outdated or was moved.

        Returns:
            Whether it was renewed.

        Raises:
            WarehouseFullError: If the disk is full.
        """
        return catalog.refresh(self.root)

    def _places(
        self, table: str, run: str | None, round: int | None, part: str
    ) -> list[shards.Place]:
        """Returns where the parts of one name are."""
        folders = (self.table_dir(table), self._pending_dir(table))
        keys = {(own.run, own.round) for folder in folders for own in walk(folder)}
        places = [
            shards.find(self._partition(table, *key), self._pending(table, *key), part)
            for key in sorted(keys)
            if run in (None, key[0]) and round in (None, key[1])
        ]
        return [place for place in places if place is not None]

    def _partition(self, table: str, run: str, round: int) -> Path:
        return self.table_dir(table) / partition_keys(run, round)

    def _pending_dir(self, table: str) -> Path:
        schema_of(table)
        return self.root / shards.PENDING_FOLDER / table

    def _pending(self, table: str, run: str, round: int) -> Path:
        return self._pending_dir(table) / partition_keys(run, round)


def _check_empty(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise NotAWarehouseError(f"{root} is a file; expected a folder or a path that is free")
    if not root.is_dir():
        return
    # A crash before the marker was committed leaves the staging folder; mounts have lost+found.
    own = {STAGING_FOLDER, "lost+found"}
    others = sorted(
        entry.name
        for entry in root.iterdir()
        if entry.name not in own and not entry.name.startswith(".")
    )
    if others:
        raise NotAWarehouseError(
            f"{root} has no {MARKER} but holds {', '.join(others[:3])}"
            f"{', …' if len(others) > 3 else ''}; expected a warehouse or an empty folder, give "
            "another path"
        )


def _check_marker(marker: Path) -> None:
    try:
        content = json.loads(marker.read_text(encoding="utf-8"))
        kind, version = content["format"], content["schema_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise NotAWarehouseError(
            f"{marker} cannot be read ({error!r}); expected "
            f'{{"format": "{_FORMAT}", "schema_version": {SCHEMA_VERSION}}}'
        ) from error
    if kind != _FORMAT:
        raise NotAWarehouseError(f"{marker} says format {kind!r}; expected {_FORMAT!r}")
    if version != SCHEMA_VERSION:
        age = "newer" if isinstance(version, int) and version > SCHEMA_VERSION else "other"
        raise SchemaVersionError(
            f"the warehouse {marker.parent} has schema version {version!r}; this selfloom reads "
            f"version {SCHEMA_VERSION}. Use the {age} selfloom that wrote it, or another warehouse "
            "folder; nothing was changed"
        )
