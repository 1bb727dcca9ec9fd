"""Which tables a stage writes: declared where the stage is, shown by `selfloom recipes show`."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def writes(*tables: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declares the tables that a method of `Stages` writes.

    Args:
        tables: Their names, in the order in which they are filled; none for a stage that only
            looks.

    Example:
        >>> @writes("votes")
        ... def vote() -> None: ...
        >>> tables_of(vote)
        ('votes',)
    """

    def declare(stage: Callable[P, R]) -> Callable[P, R]:
        stage.__dict__["tables"] = tables
        return stage

    return declare


def tables_of(stage: Callable[..., object]) -> tuple[str, ...] | None:
    """The tables that a stage declares; None where it is no stage."""
    found: tuple[str, ...] | None = getattr(stage, "tables", None)
    return found
