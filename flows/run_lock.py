"""The lock of a run: one process at a time works on it, or changes what is promoted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from flows.errors import RunConflictError
from storage import Warehouse


@contextmanager
def hold_run(warehouse: Warehouse, run: str) -> Iterator[None]:
    """Keep other processes off the run; the lock goes with the process, however it ends.

    Raises:
        RunConflictError: Another process holds it.
    """
    lock = FileLock(warehouse.scratch_dir(run, 0).parent / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunConflictError(
            f"run {run!r} in {warehouse.uri} is being worked on by another process; wait for it, "
            "or choose another name with --run"
        ) from error
    try:
        yield
    finally:
        lock.release()
