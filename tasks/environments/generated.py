"""Argument checks shared by the environments that generate their problems."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.environments.base import SPLITS
from tasks.errors import OptionError, UnknownNameError


def check_split(split: str) -> None:
    """Refuse a split that no environment has.

    Raises:
        UnknownNameError: The split is neither `train` nor `heldout`.
    """
    if split not in SPLITS:
        raise UnknownNameError(f"split {split!r}: there are {', '.join(SPLITS)}")


def check_num(num: int | None, default: int) -> int:
    """`num`, or `default` for None.

    Raises:
        OptionError: `num` is negative.
    """
    if num is not None and num < 0:
        raise OptionError(f"num={num}: ask for 0 or more problems")
    return default if num is None else num


def check_difficulties(difficulties: Sequence[int] | None, default: Sequence[int]) -> list[int]:
    """The difficulties to cycle over, or `default` for None.

    Raises:
        OptionError: The list is empty or holds a value below 1.
    """
    levels = list(default if difficulties is None else difficulties)
    if not levels or min(levels) < 1:
        raise OptionError(f"difficulties={levels}: give at least one, each 1 or more")
    return levels
