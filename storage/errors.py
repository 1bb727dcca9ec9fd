"""Errors of the storage room: what was given, what was expected, what to do next."""

from __future__ import annotations


class WarehouseNotFoundError(FileNotFoundError):
    """There is no warehouse at the given path."""


class NotAWarehouseError(ValueError):
    """The folder holds other things, or its selfloom.json cannot be read."""


class SchemaVersionError(ValueError):
    """The warehouse was written with another version of the table schemas."""


class UnknownTableError(KeyError):
    """There is no table of this name."""

    def __str__(self) -> str:
        """Returns the message itself; KeyError would show its repr, in quotes."""
        return str(self.args[0]) if self.args else ""


class RowError(ValueError):
    """Rows do not fit the schema of their table: names table, row index and field."""


class PartitionError(ValueError):
    """A run, round or part name cannot become a folder or file name."""


class WarehouseFullError(OSError):
    """The disk, quota or file-size limit was reached; nothing of the commit is visible."""


class QueryError(ValueError):
    """A query could not run, or its output could not be written."""


class JournalBusyError(RuntimeError):
    """Another process is writing the same journal."""


class SnapshotNotFoundError(FileNotFoundError):
    """There is no frozen training table of this name."""


class ExportError(ValueError):
    """There is nothing to export, or nowhere to write it."""


class StoreError(OSError):
    """An object store can't be reached, or does not let us in."""


class MissingPackageError(ImportError):
    """A package that the object store needs is not installed."""
