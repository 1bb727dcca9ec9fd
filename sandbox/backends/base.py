"""What the pool needs of a backend: start a cell, talk to it, read its counters."""

from typing import Protocol

from sandbox.backends.cgroups import Usage


class Cell(Protocol):
    """One running cell. Both descriptors are for waiting; `read` and `write` never block."""

    @property
    def read_fd(self) -> int:
        """Becomes readable when the cell sent something."""

    @property
    def write_fd(self) -> int:
        """Becomes writable when the cell can take more."""

    def read(self, max_bytes: int) -> bytes:
        """Return frames' bytes that are there now, at most this many; empty when the cell ended.

        Raises:
            BlockingIOError: Nothing is there yet.
            OSError: The channel broke.
        """

    def write(self, data: memoryview) -> int:
        """Send the beginning of `data` to the cell and return how many bytes went.

        Raises:
            BlockingIOError: The channel takes nothing now.
            OSError: The channel broke.
        """

    def usage(self) -> Usage | None:
        """Return the kernel's counters of the cell, None where nothing counts."""

    def reset_peak(self) -> None:
        """Start a new measurement of the highest memory use."""

    def complaint(self) -> str:
        """Return what the cell or its builder wrote to standard error while starting."""

    def stop(self) -> None:
        """Begin to end the cell and everything in it; returns at once, may be repeated."""

    def wait(self, timeout_s: float) -> bool:
        """Return whether the cell and its traces are gone, waiting at most this long."""


class Backend(Protocol):
    """A way to build cells."""

    @property
    def name(self) -> str:
        """Value of `Execution.backend`."""

    @property
    def isolation(self) -> str:
        """`vm`, `container` or `jail`."""

    @property
    def limits_enforced_by(self) -> str:
        """What enforces limits of memory and processes."""

    @property
    def image_digest(self) -> str | None:
        """Digest of the image that cells are made of, None where there is none."""

    def start_cell(self, slot: int) -> Cell:
        """Start a cell; it is usable once it sent its first frame.

        Raises:
            SandboxUnavailableError: No cell can be started any more; says why.
        """

    def close(self) -> None:
        """Give up what the backend keeps beside its cells; may be repeated.

        Cells that were started are ended by whoever started them, before.
        """

    def describe(self) -> dict[str, object]:
        """Return facts about the backend as plain JSON values."""
