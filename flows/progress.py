"""Progress of long stages: lines for a person, an artifact for the Prefect UI."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging import get_run_logger

_INTERVAL_S = 2.0  # at most one update of the artifact in this time


def say(text: str) -> None:
    """Print a line with the time of day and put it into the run's log."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)
    get_run_logger().info(text)


class Progress:
    """Counts finished units of one stage; made by `stage_progress`."""

    def __init__(self, name: str, unit: str, artifact: UUID) -> None:
        """Start the clock."""
        self._name, self._unit, self._artifact = name, unit, artifact
        self._start = self._last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Show `done` of `total`; cheap enough to call for every unit."""
        now = time.monotonic()
        if now - self._last < _INTERVAL_S and done < total:
            return
        self._last = now
        update_progress_artifact(self._artifact, progress=min(100.0, 100.0 * done / max(1, total)))
        if sys.stdout.isatty():
            rate = done / max(1e-9, now - self._start)
            left = (total - done) / rate if rate else 0.0
            text = f"{self._name}: {done}/{total} {self._unit}, {rate:.0f}/s, {left:.0f} s left"
            sys.stdout.write(f"\r\033[K{text}")
            sys.stdout.flush()

    def finish(self) -> None:
        """Clear the line that a terminal shows."""
        if sys.stdout.isatty():
            sys.stdout.write("\r\033[K")
            sys.stdout.flush()


@contextmanager
def stage_progress(name: str, unit: str) -> Iterator[Progress]:
    """A progress artifact of the surrounding task run, and a line in a terminal."""
    artifact = cast(UUID, create_progress_artifact(progress=0.0, description=name))
    progress = Progress(name, unit, artifact)
    try:
        yield progress
    finally:
        progress.finish()
