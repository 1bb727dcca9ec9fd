"""What Prefect does with a task's parameters."""

from __future__ import annotations

from typing import TypeVar, cast

from prefect.utilities.annotations import quote

T = TypeVar("T")


def as_it_is(value: T) -> T:
    """A parameter for a task that Prefect does not look into.

    Of any other one it visits every field of every row, several times a task, in search of results
    of other tasks: seconds where it is a round's problems.
    """
    return cast(T, quote(value))
