"""What the pool needs of a backend: start a cell, talk over two descriptors, read counters."""

from typing import Protocol

from sandbox.backends.cgroups import Usage


class Cell(Protocol):
    """One running cell. Both descriptors are non-blocking."""

    @property
    def read_fd(self) -> int:
        """Frames from the cell."""

    @property
    def write_fd(self) -> int:
        """Jobs to the cell."""

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
        """Start a cell; it is usable once it sent its first frame."""

    def describe(self) -> dict[str, object]:
        """Return facts about the backend as plain JSON values."""
