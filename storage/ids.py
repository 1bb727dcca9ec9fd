"""Ids that follow from content and position, so that the same work done twice has the same ids."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Identity: TypeAlias = (
    bool | int | float | str | Sequence["Identity"] | Mapping[str, "Identity"] | None
)
"""What an id can be made of: JSON values."""

# 80 bits: among 10 million ids of one kind two collide with a probability of 4e-11.
_NUM_HEX_DIGITS = 20
_PLAIN = frozenset({str, int, float, bool, type(None)})
_KIND = re.compile(r"[a-z][a-z0-9_]*")


def content_id(kind: str, *parts: Identity) -> str:
    """Returns `<kind>-<20 hex digits>`, the same in every process and Python version.

    Args:
        kind: What the id names, e.g. "sample"; lower case letters, digits and underscores.
        parts: What tells this object from others of its kind. Types count: 1, 1.0, "1" and True
            give different ids, a list and a tuple of equal items the same.

    Raises:
        ValueError: If the kind is malformed or a part holds NaN or an infinity.
        TypeError: If a part is not a JSON value (NumPy scalars are not) or a mapping's key is not
            a string.

    Example:
        >>> content_id("sample", "demo", 1, "prompt-ab", "answer", 0)
        'sample-37ce5a5dade25461e46e'
    """
    if not _KIND.fullmatch(kind):
        raise ValueError(f"id kind {kind!r}: expected lower case letters, digits and underscores")
    if not _PLAIN.issuperset(map(type, parts)):
        _check_keys(parts)
    # ASCII escapes keep lone surrogates encodable; json writes ints and floats by their repr,
    # which is the same on every platform.
    text = json.dumps([kind, *parts], allow_nan=False, separators=(",", ":"), sort_keys=True)
    digest = hashlib.sha256(text.encode("ascii")).hexdigest()
    return f"{kind}-{digest[:_NUM_HEX_DIGITS]}"


def _check_keys(value: Identity) -> None:
    """Refuses keys that json would turn into strings: {1: x} and {"1": x} must differ."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} of an id part: expected a string")
            _check_keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_keys(item)
