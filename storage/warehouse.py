"""The warehouse: a folder with all tables and models, read and written one whole part at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from storage import catalog, places, shards
from storage.commit import publish_parquet, publish_tables, publish_text, sweep
from storage.errors import WarehouseNotFoundError
from storage.journal import Journal
from storage.marker import MARKER, check_empty, check_marker, marker_text
from storage.partitions import Part, checked, checked_round, partition_keys, walk
from storage.places import AnyPath, first_use, has_file, place_of, read_rows, working_folder
from storage.rows import Rows, schema_of, to_arrow

_log = logging.getLogger(__name__)


class Warehouse:
    """All tables and models of some runs, in one folder.

    Layout: `tables/<table>/run=<run>/round=<n>/<part>.parquet`, `models/<model id>/`,
    `selfloom.json` with the schema version, `selfloom.duckdb` with views over the tables, and
    `pending/`, `tmp/` and `scratch/` for unfinished work.
    """

    def __init__(self, root: Path, place: AnyPath | None = None) -> None:
        """Wraps what `open` has checked; call `open` instead.

        Args:
            root: Local folder: all of a local warehouse; the working folder of one in an object
                store, with the models in use, scratch files and journals.
            place: Where the tables are; None for the same folder.
        """
        self.root = root
        self.place: AnyPath = root if place is None else place

    @classmethod
    def open(cls, path: str | Path, *, create: bool = True) -> Warehouse:
        """Opens a warehouse, by default creating it in a new or empty folder or bucket.

        Sweeps what killed writers left, and renews the catalog if it is missing, of other
        definitions, or made before the folder was moved.

        Args:
            path: Folder of the warehouse, or URL in an object store: "s3://bucket/folder", with
                credentials and endpoint from the environment (AWS_…) or ~/.aws.
            create: Whether to create it; False for commands that only read.

        Raises:
            WarehouseNotFoundError: If there is none and `create` is False.
            NotAWarehouseError: If the folder holds other things.
            SchemaVersionError: If it was written with another version of the schemas.
            WarehouseFullError: If the disk is too full to create it.
            MissingPackageError: If a package for the object store is missing.
            StoreError: If the object store can't be used: address, credentials, or
                no bucket to create it in.
        """
        place = place_of(path)
        root, marker = working_folder(place), place / MARKER
        with first_use(place):
            is_new = not has_file(marker)
            if is_new and not create:
                raise WarehouseNotFoundError(
                    f"no warehouse at {place}: expected a folder with {MARKER}; check the path, or "
                    "create one by running a round"
                )
            if is_new:
                check_empty(place)
        if is_new:
            root.mkdir(parents=True, exist_ok=True)
        with first_use(place):
            if is_new:
                publish_text(root, marker, marker_text(), replace=False)
            check_marker(marker)
        try:
            sweep(root)
            catalog.write_schema_files(root, place)
            catalog.refresh(root, place)
        except OSError as error:
            # Nothing of this is needed to read what is committed, so a full or read-only disk
            # must not stop a reader; a writer fails at its first write.
            _log.warning("the catalog of %s was not renewed: %s", place, error)
        return cls(root, place)

    @property
    def uri(self) -> str:
        """What `open` takes to open it again, from any folder."""
        return str(self.place)

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

    def keep(self, path: Path) -> None:
        """Copies a file or folder of the working folder to where the tables are, if elsewhere.

        Args:
            path: Somewhere in `root`, finished.
        """
        places.keep(self.root, self.place, path)

    def fetch(self, path: Path) -> Path:
        """Returns a file or folder of the working folder, copied from where the tables are.

        Args:
            path: Somewhere in `root`; what is there already is not copied.
        """
        return places.fetch(self.root, self.place, path)

    def table_dir(self, table: str) -> AnyPath:
        """Returns the folder of a table.

        Raises:
            UnknownTableError: If there is no such table.
        """
        schema_of(table)
        return self.place / "tables" / table

    def scratch_dir(self, run: str, round: int) -> Path:
        """Returns an existing folder for a round's working files, which are never the truth.

        Raises:
            PartitionError: If the run or round cannot be a folder name.
        """
        folder = self.root / "scratch" / checked("run", run) / str(checked_round(round))
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def part_path(self, table: str, *, run: str, round: int, part: str) -> AnyPath:
        """Returns the path that a part has once it is committed.

        Raises:
            UnknownTableError: If there is no such table.
            PartitionError: If the run, round or part cannot be a name.
        """
        folder = self._partition(table, run, round)
        return folder / f"{checked('part', part)}.parquet"

    def write(self, table: str, rows: Rows, *, run: str, round: int, part: str) -> AnyPath:
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

    def write_all(
        self, table: str, pieces: Iterable[Rows], *, run: str, round: int, part: str
    ) -> AnyPath:
        """Commits rows that do not fit into memory as one part: a reader sees all or none.

        Args:
            table: Name of the table.
            pieces: The rows, piece by piece, each as for `write`; no pieces make an empty part.
            run: Name of the run.
            round: Number of the round.
            part: Name of the part; a part of the same name is replaced.

        Returns:
            The path of the committed file.

        Raises:
            UnknownTableError: If there is no such table.
            PartitionError: If the run, round or part cannot be a name.
            RowError: If a row does not fit the schema, or repeats an id of its piece; nothing is
                written.
            WarehouseFullError: If the disk is full; nothing is written.
        """
        target = self.part_path(table, run=run, round=round, part=part)
        tables = (to_arrow(table, rows, run=run, round=round) for rows in pieces)
        return publish_tables(self.root, target, schema_of(table), tables)

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
        checked("part", part)
        schema_of(table)
        return Journal(self._journal_path(table, run, round, part), identity)

    def write_shard(self, table: str, rows: Rows, *, run: str, round: int, part: str) -> AnyPath:
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
        for name in names:
            # Left by a crash between the commit of a shard and the end of its journal.
            journal = self._journal_path(table, run, round, name)
            if journal.exists() and shards.is_sealed(folder, name):
                journal.unlink()

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
        paths = [own.path for own in self.parts(table, run=run, round=round)]
        return read_rows(paths, schema, names)

    def part_bytes(self, table: str, *, run: str, round: int, part: str) -> int:
        """Returns the compressed bytes of a part's rows, 0 if it is not committed.

        Raises:
            UnknownTableError: If there is no such table.
            PartitionError: If the run, round or part cannot be a name.
        """
        folder, pending = self._partition(table, run, round), self._pending(table, run, round)
        place = shards.find(folder, pending, checked("part", part))
        return 0 if place is None else place.num_bytes()

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Returns an in-memory DuckDB connection with all views and macros of the catalog."""
        return catalog.connect(self.root, self.place)

    def refresh_catalog(self) -> bool:
        """Renews `selfloom.duckdb` if it is missing, outdated or was moved.

        Returns:
            Whether it was renewed.

        Raises:
            WarehouseFullError: If the disk is full.
        """
        return catalog.refresh(self.root, self.place)

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

    def _partition(self, table: str, run: str, round: int) -> AnyPath:
        return self.table_dir(table) / partition_keys(run, round)

    def _pending_dir(self, table: str) -> AnyPath:
        schema_of(table)
        return self.place / shards.PENDING_FOLDER / table

    def _pending(self, table: str, run: str, round: int) -> AnyPath:
        return self._pending_dir(table) / partition_keys(run, round)

    def _journal_path(self, table: str, run: str, round: int, part: str) -> Path:
        # Always local: an object store cannot append.
        folder = self.root / shards.PENDING_FOLDER / table / partition_keys(run, round)
        return folder / f"{part}.journal"
