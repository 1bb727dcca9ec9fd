"""What an import knows of the prompts so far, on disk, so that memory does not grow with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class KnownPrompt:
    """A prompt that was seen before: its reference, and how many samples it has."""

    reference: str | None
    num_samples: int


class PromptLedger:
    """Prompts by id; those of the current shard are in memory, the others in a SQLite file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._current: dict[str, KnownPrompt] = {}
        self._connection.execute(
            "CREATE TABLE prompts (id TEXT PRIMARY KEY, reference TEXT, num_samples INTEGER) "
            "WITHOUT ROWID"
        )

    def find(self, prompt_id: str) -> KnownPrompt | None:
        """The prompt, for reading and changing, or None if it is new."""
        if prompt_id not in self._current:
            query = "SELECT reference, num_samples FROM prompts WHERE id = ?"
            row = self._connection.execute(query, (prompt_id,)).fetchone()
            if row is None:
                return None
            self._current[prompt_id] = KnownPrompt(*row)
        return self._current[prompt_id]

    def add(self, prompt_id: str, reference: str | None) -> KnownPrompt:
        """Add a new prompt without samples."""
        self._current[prompt_id] = KnownPrompt(reference, 0)
        return self._current[prompt_id]

    def flush(self) -> None:
        """Move what is in memory to the file."""
        rows = [(id, own.reference, own.num_samples) for id, own in self._current.items()]
        self._connection.executemany("INSERT OR REPLACE INTO prompts VALUES (?, ?, ?)", rows)
        self._current.clear()

    def __len__(self) -> int:
        """The number of prompts."""
        self.flush()
        return int(self._connection.execute("SELECT count(*) FROM prompts").fetchone()[0])


@contextmanager
def prompt_ledger(folder: Path) -> Iterator[PromptLedger]:
    """An empty ledger in a folder; its file is gone afterwards.

    Args:
        folder: An existing folder on a local disk.
    """
    path = folder / "prompts.sqlite"
    path.unlink(missing_ok=True)  # of an import that was killed
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            # Nothing of it outlives the import, so nothing has to be safe from a crash.
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            yield PromptLedger(connection)
    finally:
        path.unlink(missing_ok=True)
