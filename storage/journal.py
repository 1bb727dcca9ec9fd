"""A journal: groups of rows that survive a crash from the moment they are appended.

Writing a Parquet file per prompt would cost more than generating the prompt's samples, and a file
per shard loses the shard. So groups are appended to one file while a shard is being made: `append`
hands the group to the kernel at once, which a killed process survives, and a thread makes all that
came in meanwhile durable together, which a power cut survives.

The file is a sequence of frames: length and CRC-32 of the payload, then the payload in JSON. The
first frame says what the rows are of; each other one is a group. What a crash left half written
ends the file: it is cut off when the journal is opened again.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import struct
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from storage.commit import fsync, full_disk_named, make_folder
from storage.errors import JournalBusyError

Group: TypeAlias = Sequence[Mapping[str, object]]
"""Rows that belong together; values are JSON values."""

SYNC_INTERVAL_S = 0.05
"""How long a power cut can reach back, beside the time of one fsync."""

_log = logging.getLogger(__name__)
_FORMAT = "selfloom-journal-1"
_HEAD = struct.Struct("<II")
# A process that was killed a moment ago holds its lock until the kernel has closed its files.
_LOCK_WAIT_S = 10.0
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}


class Journal:
    """The finished groups of one unfinished part; use it in a `with` statement.

    Attributes:
        groups: Every group that is safe, by its name: those found and those appended since.
    """

    def __init__(self, path: Path, identity: str, *, sync_interval_s: float | None = None) -> None:
        """Opens or creates a journal, with the groups that an earlier process left in it.

        Args:
            path: The file.
            identity: What the groups follow from (weights, settings, seed). Groups of another
                identity are dropped: they are no part of this work.
            sync_interval_s: Seconds between two fsyncs; None for SYNC_INTERVAL_S.

        Raises:
            JournalBusyError: If another process has it open.
            WarehouseFullError: If the disk is full.
        """
        self.path = path
        self.groups: dict[str, Group] = {}
        self._interval_s = SYNC_INTERVAL_S if sync_interval_s is None else sync_interval_s
        self._failure: OSError | None = None
        self._dirty, self._closing = threading.Event(), threading.Event()
        self._file = _locked(path)
        try:
            self._end = self._recover(identity)
        except BaseException:
            os.close(self._file)
            raise
        self._thread = threading.Thread(target=self._sync_often, name="journal", daemon=True)
        self._thread.start()

    def append(self, name: str, rows: Group) -> None:
        """Adds a group; from here on a killed process does not lose it.

        Args:
            name: Name of the group, e.g. the prompt's id.
            rows: Its rows, as `Warehouse.write` takes them, of JSON values.

        Raises:
            ValueError: If there is a group of that name.
            WarehouseFullError: If the disk is full; the groups before are safe.
        """
        if name in self.groups:
            raise ValueError(f"group {name!r} is in {self.path} already; a group is written once")
        self._raise_failure()
        self._write(_frame([name, rows]))
        self.groups[name] = rows
        self._dirty.set()

    def remove(self) -> None:
        """Deletes the journal, once its rows are committed elsewhere."""
        self._stop()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Makes all groups durable and lets go of the file, for the next process to go on."""
        if self._stop() and self.path.exists():
            os.fsync(self._file)
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._raise_failure()

    def __enter__(self) -> Self:
        """The journal itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _recover(self, identity: str) -> int:
        """Reads what is whole, cuts off the rest, and returns the length of the file."""
        expected = {"format": _FORMAT, "identity": identity}
        content = _read(self._file)
        frames = list(_frames(content))
        end = frames[-1][1] if frames else 0
        if frames and frames[0][0] != expected:
            _log.warning("%s is of other settings or weights: its groups are dropped", self.path)
            frames, end = [], 0
        for payload, _ in frames[1:]:
            name, rows = payload
            self.groups[name] = rows
        if end < len(content):
            if end:
                _log.info("%s: %d bytes were half written", self.path, len(content) - end)
            os.ftruncate(self._file, end)
        self._end = end
        if end == 0:
            self._write(_frame(expected))
            with full_disk_named(self.path):
                os.fsync(self._file)
                fsync(self.path.parent)
        return self._end

    def _write(self, frame: bytes) -> None:
        """Appends a frame whole, or leaves the file as it was."""
        with full_disk_named(self.path):
            rest = memoryview(frame)
            try:
                while rest:
                    rest = rest[os.write(self._file, rest) :]
            except OSError:
                os.ftruncate(self._file, self._end)
                raise
        self._end += len(frame)

    def _sync_often(self) -> None:
        """Group commit: one fsync for all that came in during an interval."""
        while not self._closing.is_set():
            self._dirty.wait()
            self._closing.wait(self._interval_s)
            if self._closing.is_set():
                return
            self._dirty.clear()
            try:
                os.fsync(self._file)
            except OSError as error:
                # Its pages may be lost and marked clean, so that no later fsync would say so.
                self._failure = error
                return

    def _stop(self) -> bool:
        """Ends the thread; returns whether it was running."""
        if self._closing.is_set():
            return False
        self._closing.set()
        self._dirty.set()
        self._thread.join()
        return True

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            with full_disk_named(self.path):
                raise failure


def _frame(payload: object) -> bytes:
    # ASCII escapes keep lone surrogates; floats are written so that they read back the same.
    text = json.dumps(payload, separators=(",", ":")).encode("ascii")
    return _HEAD.pack(len(text), zlib.crc32(text)) + text


def _frames(content: bytes) -> Iterator[tuple[Any, int]]:
    """Yields (payload, where its frame ends) up to the first frame that is not whole."""
    start = 0
    while start + _HEAD.size <= len(content):
        length, checksum = _HEAD.unpack_from(content, start)
        end = start + _HEAD.size + length
        text = content[start + _HEAD.size : end]
        # Blocks that a power cut left as zeros have length 0, and the checksum of no bytes is 0.
        if length == 0 or len(text) < length or zlib.crc32(text) != checksum:
            return
        yield json.loads(text), end
        start = end


def _read(file: int) -> bytes:
    with os.fdopen(os.dup(file), "rb") as source:
        source.seek(0)
        return source.read()


def _locked(path: Path) -> int:
    """Returns a descriptor of the file, locked; waits a little for a process that is ending."""
    deadline = time.monotonic() + _LOCK_WAIT_S
    while True:
        make_folder(path.parent)
        with full_disk_named(path):
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            if _try_lock(file) and _is_same(path, file):
                return file
            if time.monotonic() > deadline:
                raise JournalBusyError(
                    f"{path} is being written by another process; wait for it or end it, then run "
                    "the same command again"
                )
        except BaseException:
            os.close(file)
            raise
        os.close(file)
        time.sleep(0.02)


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        # On a file system without locks, one process per run is for the user to see to.
        return error.errno in _NO_LOCKS
    return True


def _is_same(path: Path, file: int) -> bool:
    """Whether the path still names the file: its last owner may have removed it meanwhile."""
    try:
        return os.stat(path).st_ino == os.fstat(file).st_ino
    except FileNotFoundError:
        return False
