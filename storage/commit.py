"""Atomic commits: a reader sees a whole file or none, whatever happens to the writer.

Files are written in a staging folder of the warehouse that no glob matches, fsynced, and renamed
into place; in an object store they are uploaded from there. A lock on its staging folder shows that
the writer lives: the kernel drops it however the writer ends, so what a killed writer left is found
and swept.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import WarehouseFullError
from storage.places import AnyPath, upload

STAGING_FOLDER = "tmp"
"""Folder of unfinished files, on the file system of the tables so that a rename is atomic."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

# Small enough that a lookup by id decodes little, large enough for zstd and for scans.
_ROWS_PER_GROUP = 65_536
# Where texts are long: what a merge keeps in memory.
_BYTES_PER_GROUP = 256 * 2**20


@contextmanager
def staging(root: Path) -> Iterator[Path]:
    """Yields an empty folder of this writer; it is gone afterwards.

    Args:
        root: Folder of the warehouse.
    """
    folder, lock = _claim(root / STAGING_FOLDER)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _claim(parent: Path) -> tuple[Path, int]:
    """Makes and locks a folder; a sweeper may take it between the two steps, then tries again."""
    while True:
        parent.mkdir(parents=True, exist_ok=True)
        folder = parent / f"{os.getpid()}-{secrets.token_hex(6)}"
        lock = -1
        try:
            folder.mkdir()
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.stat(folder).st_ino == os.fstat(lock).st_ino:
                return folder, lock
        except FileNotFoundError:
            pass
        except BaseException:
            if lock >= 0:
                os.close(lock)
            raise
        if lock >= 0:
            os.close(lock)


def spill_folder(root: Path) -> Path | None:
    """Returns a new path for what one DuckDB connection spills to disk, or None if read-only.

    DuckDB names its spill files alike in every process, so no two connections may share a folder.
    The folders of a process lie under one locked folder, which is deleted when the process ends,
    or swept later if it was killed.

    Args:
        root: Folder of the warehouse.
    """
    key = (os.getpid(), root)
    if key not in _spill_folders:
        try:
            # The lock stays open on purpose: the kernel drops it with the process.
            folder, _ = _claim(root / STAGING_FOLDER)
        except OSError:
            return None
        _spill_folders[key] = folder
        atexit.register(_remove_own, key)
    return _spill_folders[key] / secrets.token_hex(6)


_spill_folders: dict[tuple[int, Path], Path] = {}


def _remove_own(key: tuple[int, Path]) -> None:
    # A forked child inherits the registration, not the folder.
    if key[0] == os.getpid():
        shutil.rmtree(_spill_folders.pop(key), ignore_errors=True)


def sweep(root: Path) -> int:
    """Deletes what writers that no longer live left behind, and returns the number of folders.

    Args:
        root: Folder of the warehouse.
    """
    parent = root / STAGING_FOLDER
    swept = 0
    for folder in sorted(parent.iterdir()) if parent.is_dir() else []:
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            # Its writer lives, or the file system has no locks: then nothing is ever swept.
            continue
        else:
            shutil.rmtree(folder, ignore_errors=True)
            swept += 1
        finally:
            os.close(lock)
    return swept


def publish(
    root: Path, target: AnyPath, write: Callable[[Path], None], *, replace: bool = True
) -> AnyPath:
    """Makes `target` appear whole, or leaves everything as it was.

    Args:
        root: Local folder of the warehouse; on the same file system as a local target.
        target: Path to create or replace.
        write: Called with the path of a new file, which it has to write.
        replace: False where the first of several writers of the same content has to win, because
            readers may have its file open.

    Returns:
        The target.

    Raises:
        WarehouseFullError: If the disk, a quota or a file-size limit was reached.
    """
    with full_disk_named(target), staging(root) as folder:
        unfinished = folder / "unfinished"
        if isinstance(target, Path):
            if replace or not target.exists():
                _finish(unfinished, target, write)
        else:
            write(unfinished)
            upload(unfinished, target, replace=replace)
    return target


def replace_beside(target: Path, write: Callable[[Path], None]) -> None:
    """Makes a file outside a warehouse appear whole, by way of a hidden file beside it.

    Args:
        target: Path to create or replace.
        write: Called with the path of a new file, which it has to write.

    Raises:
        WarehouseFullError: If the disk, a quota or a file-size limit was reached.
    """
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        with full_disk_named(target):
            _finish(unfinished, target, write)
    finally:
        unfinished.unlink(missing_ok=True)


def _finish(unfinished: Path, target: Path, write: Callable[[Path], None]) -> None:
    write(unfinished)
    fsync(unfinished)
    make_folder(target.parent)
    os.replace(unfinished, target)
    fsync(target.parent)


@contextmanager
def full_disk_named(target: AnyPath) -> Iterator[None]:
    """Turns the errors of a full disk into one that says what to do.

    Args:
        target: What was to be written.

    Raises:
        WarehouseFullError: If the disk, a quota or a file-size limit was reached.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise WarehouseFullError(
            error.errno,
            f"{os.strerror(error.errno)} while writing {target}; nothing of it was committed and "
            f"earlier files are intact. {_free(target)}Make room and run the same command again",
        ) from error


def publish_parquet(root: Path, target: AnyPath, table: pa.Table) -> AnyPath:
    """Commits a table as one zstd-compressed Parquet file.

    Args:
        root: Folder of the warehouse.
        target: Path of the file.
        table: Its rows.

    Returns:
        The target.

    Raises:
        WarehouseFullError: If the disk, a quota or a file-size limit was reached.
    """
    return publish_tables(root, target, table.schema, [table])


def publish_tables(
    root: Path,
    target: AnyPath,
    schema: pa.Schema,
    tables: Iterable[pa.Table],
    metadata: Mapping[str, str] | None = None,
    *,
    replace: bool = True,
) -> AnyPath:
    """Commits tables, one after another, as one zstd-compressed Parquet file.

    Args:
        root: Folder of the warehouse.
        target: Path of the file.
        schema: Schema of every table.
        tables: The rows; no more than a row group of them is kept in memory.
        metadata: What the file says about itself.
        replace: As for `publish`.

    Returns:
        The target.

    Raises:
        WarehouseFullError: If the disk, a quota or a file-size limit was reached.
    """

    def write(path: Path) -> None:
        # An open Python file keeps the errno of a failed write, which Arrow's own sink drops.
        with (
            open(path, "wb") as sink,
            pq.ParquetWriter(sink, schema, compression="zstd") as writer,
        ):
            for group in _row_groups(tables):
                writer.write_table(group, row_group_size=_ROWS_PER_GROUP)
            if metadata:
                writer.add_key_value_metadata(dict(metadata))

    return publish(root, target, write, replace=replace)


def _row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yields tables of about a row group each, none without rows.

    A file without rows must not have an empty row group either: datasets 5.2 takes the rows of
    the first one as its batch size, and fails on 0.
    """
    waiting: list[pa.Table] = []
    num_rows, num_bytes = 0, 0
    for table in tables:
        if not table.num_rows:
            continue
        waiting.append(table)
        num_rows, num_bytes = num_rows + table.num_rows, num_bytes + table.nbytes
        if num_rows >= _ROWS_PER_GROUP or num_bytes >= _BYTES_PER_GROUP:
            yield pa.concat_tables(waiting)
            waiting, num_rows, num_bytes = [], 0, 0
    if waiting:
        yield pa.concat_tables(waiting)


def publish_text(root: Path, target: AnyPath, text: str, *, replace: bool = True) -> AnyPath:
    """Commits a text file in UTF-8.

    Args:
        root: Folder of the warehouse.
        target: Path of the file.
        text: Its content.
        replace: As for `publish`.

    Returns:
        The target.

    Raises:
        WarehouseFullError: If the disk, a quota or a file-size limit was reached.
    """

    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8")

    return publish(root, target, write, replace=replace)


def make_folder(folder: Path) -> None:
    """Makes a folder so that it outlives a power cut: each new entry's parent is fsynced.

    Args:
        folder: The folder; it may exist.
    """
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        fsync(new.parent)


def fsync(path: Path) -> None:
    """Makes a file's content, or a folder's entries, outlive a power cut.

    Args:
        path: The file or folder.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _free(path: AnyPath) -> str:
    if not isinstance(path, Path):
        return ""
    while not path.is_dir() and path != path.parent:
        path = path.parent
    try:
        usage = shutil.disk_usage(path)
    except OSError:
        return ""
    return f"{usage.free / 2**20:.0f} of {usage.total / 2**20:.0f} MiB are free there. "
