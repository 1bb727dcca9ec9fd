"""A file with results of earlier runs, which several processes and threads may share."""

import dataclasses
import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox.errors import SandboxCacheError
from sandbox.programs import CaseResult, Execution, Verdict

_APPLICATION_ID = 0x534C5243
_SCHEMA = 1
_BUSY_TIMEOUT_S = 60.0


def pack_execution(execution: Execution) -> bytes:
    """Return an execution as JSON."""
    return json.dumps(dataclasses.asdict(execution), separators=(",", ":")).encode()


def unpack_execution(data: bytes) -> Execution:
    """Return the execution that `pack_execution` wrote.

    Raises:
        ValueError: It did not write this.
    """
    try:
        values: dict[str, Any] = json.loads(data)
        results = tuple(
            CaseResult(**{**result, "verdict": Verdict(result["verdict"])})
            for result in values["results"]
        )
        values |= {"verdict": Verdict(values["verdict"]), "flags": tuple(values["flags"])}
        return Execution(**{**values, "results": results})
    except (KeyError, TypeError) as error:
        raise ValueError(f"no execution: {error}") from error


def _checked(key: bytes, packed: bytes) -> bytes:
    """Return a digest that shows whether a row is still what was written."""
    return hashlib.sha256(key + packed).digest()[:16]


class ResultCache:
    """Executions by key, in one SQLite file in write-ahead mode.

    A process that is killed at any moment leaves a sound file. Not for network file systems.

    Args:
        path: The file; made when it is missing, together with `-wal` and `-shm` beside it.

    Raises:
        SandboxCacheError: It is no such file, or a damaged one, or cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        with self._explained():
            self._database = sqlite3.connect(
                self.path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        try:
            with self._explained():
                self._prepare()
        except BaseException:
            self._database.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        with self._lock, self._explained():
            return int(self._value("SELECT count(*) FROM executions"))

    def close(self) -> None:
        """Close the file; may be repeated."""
        with self._lock:
            self._database.close()

    def get(self, key: bytes) -> Execution | None:
        """Return the execution that was put under a key, None when there is none.

        Raises:
            SandboxCacheError: The file is damaged, or the row is.
        """
        with self._lock, self._explained():
            row = self._database.execute(
                "SELECT packed, checked FROM executions WHERE key = ?", (key,)
            ).fetchone()
        if row is None:
            return None
        packed, checked = row
        try:
            if _checked(key, packed) != checked:
                raise ValueError("a row is not what was written")
            return unpack_execution(packed)
        except (TypeError, ValueError) as error:
            raise self._damaged(error) from error

    def put(self, key: bytes, execution: Execution) -> None:
        """Keep an execution under a key; an earlier one under it stays.

        Raises:
            SandboxCacheError: The file cannot be written, or is damaged.
        """
        packed = pack_execution(execution)
        with self._lock, self._explained():
            self._database.execute(
                "INSERT OR IGNORE INTO executions (key, packed, checked) VALUES (?, ?, ?)",
                (key, packed, _checked(key, packed)),
            )

    def _value(self, query: str) -> Any:
        return self._database.execute(query).fetchone()[0]

    def _prepare(self) -> None:
        found = self._value("PRAGMA application_id"), self._value("PRAGMA user_version")
        if found != (_APPLICATION_ID, _SCHEMA):
            if found != (0, 0) or self._value("SELECT count(*) FROM sqlite_schema"):
                raise SandboxCacheError(
                    f"{self.path} is a database, but no cache of this version; name another file, "
                    "or delete it if it is a cache of an older one"
                )
            self._create()
        # Enough for a sound file after a crash of this process, and no waiting for the disk.
        self._database.execute("PRAGMA synchronous = NORMAL")

    def _create(self) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        # One transaction, which processes that start at once make one after the other.
        self._database.execute("BEGIN IMMEDIATE")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS executions ("
            "key BLOB PRIMARY KEY, packed BLOB NOT NULL, checked BLOB NOT NULL) WITHOUT ROWID"
        )
        self._database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        self._database.execute(f"PRAGMA user_version = {_SCHEMA}")
        self._database.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, sqlite3.ProgrammingError) as error:
            raise SandboxCacheError(
                f"the cache {self.path} cannot be used: {error}; it has to lie in a folder of a "
                "local disk that can be written and has room"
            ) from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> SandboxCacheError:
        return SandboxCacheError(
            f"the cache {self.path} is damaged or no cache ({error}); delete it, and {self.path}"
            f"-wal and {self.path}-shm if they are there: what it held will be run again"
        )
