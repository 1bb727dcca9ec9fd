"""Reads plain values that another process wrote; whatever the bytes, a value or one error.

What comes out of a cell was written by whoever controls it. Reading never runs code that came with
it, and is bounded in depth, size and time.
"""

import binascii
import collections
import datetime
import importlib
import itertools
import json
from collections.abc import Callable, Hashable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from sandbox.cell.frames import MAX_BODY
from sandbox.cell.values import (
    DTYPES,
    FACTORIES,
    INT64,
    MAX_DEPTH,
    MAX_DIGITS,
    Array,
    Iterated,
    MalformedValueError,
    Reference,
    Scalar,
    Tree,
)

# A value of depth n takes up to two brackets a level, and a tag inside the last.
_MAX_BRACKETS = 3 * (MAX_DEPTH + 2)
# Keys with equal hashes cost a comparison per pair; nobody has this many by accident.
_MAX_COLLISIONS = 64
_MAX_EMPTY_ROWS = 1 << 16
_REFERENCE_KINDS = frozenset({"object", "iterator", "callable", "entry"})
_VIEW_KINDS = frozenset({"iterator", "keys", "values", "items"})


def decode(
    data: bytes,
    resolve: Callable[[Reference], object] | None = None,
    *,
    native: bool = False,
) -> object:
    """Return the value that `encode` wrote.

    Args:
        data: From anywhere.
        resolve: Turns references into objects; None where none may occur.
        native: Whether arrays become numpy's and iterators real ones. Without, they become `Array`,
            `Scalar` and `Iterated`, and nothing beside the standard library is needed.

    Raises:
        MalformedValueError: These bytes are not the encoding of a value.

    Example:
        >>> decode(b'[1,{"t":[2.0,true]}]')
        [1, (2.0, True)]
    """
    try:
        if len(data) > MAX_BODY:
            raise ValueError(f"{len(data)} bytes")
        _check_depth(data)
        reader = _Reader(resolve, native)
        decoder = json.JSONDecoder(
            object_hook=reader.untag, parse_int=_small_int, parse_constant=_refuse
        )
        return decoder.decode(data.decode())
    except Exception as error:
        # Constructors of a dozen types refuse in a dozen ways.
        raise MalformedValueError(f"{type(error).__name__}: {str(error)[:200]}") from None


def _check_depth(data: bytes) -> None:
    if data.count(b"[") + data.count(b"{") <= _MAX_BRACKETS:
        return
    # Brackets inside of strings do not count; without escapes, every other part is a string.
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(plain.split(b'"')[::2])
    steps = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
    depths = itertools.accumulate(map(steps.get, outside, itertools.repeat(0)))
    if max(depths, default=0) > _MAX_BRACKETS:
        raise ValueError("nested too deep")


def _small_int(text: str) -> int:
    if len(text) > 20:
        raise ValueError(f"an integer of {len(text)} decimal digits")
    return int(text)


def _refuse(text: str) -> object:
    raise ValueError(text)


def _checked(content: object, *kinds: type) -> list[Any]:
    """Return a list with exactly one item of each type."""
    if type(content) is not list or [type(item) for item in content] != list(kinds):
        raise TypeError(f"expected {[kind.__name__ for kind in kinds]}")
    return content


def _list(content: object) -> list[Any]:
    if type(content) is not list:
        raise TypeError("expected a list")
    return content


def _text(content: object) -> str:
    if type(content) is not str:
        raise TypeError("expected text")
    return content


def _check_hashes(keys: list[Any]) -> None:
    if len(keys) > _MAX_COLLISIONS:
        [(_, most)] = collections.Counter(map(hash, keys)).most_common(1)
        if most > _MAX_COLLISIONS:
            raise ValueError(f"{most} keys with one hash")


def _items(content: object) -> list[Any]:
    items = _list(content)
    _check_hashes(items)
    if len(set(items)) != len(items):
        raise ValueError("an element occurs twice")
    return items


def _pairs(content: object) -> dict[Hashable, Any]:
    flat = _list(content)
    keys, values = flat[::2], flat[1::2]
    _check_hashes(keys)
    pairs = dict(zip(keys, values, strict=True))
    if len(pairs) != len(keys):
        raise ValueError("a key occurs twice")
    return pairs


def _bytes(content: object) -> bytes:
    return binascii.a2b_base64(_text(content), strict_mode=True)


def _int(content: object) -> int:
    text = _text(content)
    value = int(text, 16)
    if hex(value) != text:
        raise ValueError("not how integers are written")
    return value


def _large_int(content: object) -> int:
    value = _int(content)
    if -INT64 <= value < INT64:
        raise ValueError("not how small integers are written")
    return value


def _float(content: object) -> float:
    if content not in ("nan", "inf", "-inf"):
        raise ValueError("not a float")
    return float(str(content))


def _fraction(content: object) -> Fraction:
    numerator, denominator = (_int(part) for part in _checked(content, str, str))
    if max(numerator.bit_length(), denominator.bit_length()) > MAX_DIGITS:
        raise ValueError("too many digits")
    return Fraction(numerator, denominator)


def _decimal(content: object) -> Decimal:
    text = _text(content)
    if len(text) > MAX_DIGITS:
        raise ValueError("too many digits")
    return Decimal(text)


def _zone(content: object) -> datetime.timezone:
    parts = _list(content)
    kinds = [datetime.timedelta, str][: max(1, len(parts))]
    return datetime.timezone(*_checked(parts, *kinds))


def _moment(content: object, numbers: int) -> tuple[list[int], dict[str, Any]]:
    *parts, fold, zone = _checked(content, *[int] * (numbers + 1), type(_list(content)[-1]))
    if zone is not None and type(zone) is not datetime.timezone:
        raise TypeError("not a timezone")
    return parts, {"fold": fold, "tzinfo": zone}


def _datetime(content: object) -> datetime.datetime:
    parts, rest = _moment(content, 7)
    return datetime.datetime(*parts, **rest)  # type: ignore[arg-type]


def _time(content: object) -> datetime.time:
    parts, rest = _moment(content, 4)
    return datetime.time(*parts, **rest)  # type: ignore[arg-type]


def _deque(content: object) -> collections.deque[Any]:
    bound, items = _list(content)
    if bound is not None and (type(bound) is not int or bound < len(items)):
        raise ValueError("more items than fit")
    return collections.deque(_list(items), bound)


def _counter(content: object) -> collections.Counter[Any]:
    counter: collections.Counter[Any] = collections.Counter()
    dict.update(counter, _pairs(content))
    return counter


def _default_dict(content: object) -> collections.defaultdict[Any, Any]:
    name, pairs = _list(content)
    return collections.defaultdict(None if name is None else FACTORIES[name], _pairs(pairs))


_READERS: Mapping[str, Callable[[Tree], object]] = {
    "i": _large_int,
    "f": _float,
    "u": lambda content: bytes.fromhex(_text(content)).decode("utf-8", "surrogatepass"),
    "c": lambda content: complex(*_checked(content, float, float)),
    "b": _bytes,
    "ba": lambda content: bytearray(_bytes(content)),
    "t": lambda content: tuple(_list(content)),
    "d": _pairs,
    "s": lambda content: set(_items(content)),
    "fs": lambda content: frozenset(_items(content)),
    "r": lambda content: range(*_checked(content, int, int, int)),
    "sl": lambda content: slice(*_list(content)),
    "q": _fraction,
    "dec": _decimal,
    "dq": _deque,
    "ct": _counter,
    "od": lambda content: collections.OrderedDict(_pairs(content)),
    "dd": _default_dict,
    "da": lambda content: datetime.date(*_checked(content, int, int, int)),
    "td": lambda content: datetime.timedelta(*_checked(content, int, int, int)),
    "dt": _datetime,
    "tm": _time,
    "tz": _zone,
}


class _Reader:
    """Turns tags into values."""

    def __init__(self, resolve: Callable[[Reference], object] | None, native: bool) -> None:
        self._resolve = resolve
        self._native = native

    def untag(self, tagged: dict[str, Tree]) -> object:
        [(tag, content)] = tagged.items()
        if (read := _READERS.get(tag)) is not None:
            return read(content)
        if tag == "it":
            return self._iterated(content)
        if tag == "n":
            return self._scalar(content)
        if tag == "na":
            return self._array(content)
        if tag == "h" and self._resolve is not None:
            reference = Reference(*_checked(content, int, str, str))
            if reference.kind not in _REFERENCE_KINDS:
                raise ValueError(reference.kind)
            return self._resolve(reference)
        raise ValueError(f"tag {tag[:80]!r}")

    def _iterated(self, content: Tree) -> object:
        kind, items = _checked(content, str, list)
        if kind not in _VIEW_KINDS:
            raise ValueError(kind)
        if kind in ("keys", "items"):
            keys = items if kind == "keys" else [_checked(list(i), *map(type, i))[0] for i in items]
            _items(keys)
        if not self._native:
            return Iterated(kind, items)
        if kind == "iterator":
            return iter(items)
        if kind == "values":
            return dict(enumerate(items)).values()
        return dict.fromkeys(items).keys() if kind == "keys" else dict(items).items()

    def _scalar(self, content: Tree) -> object:
        dtype, value = _list(content)
        if type(value) is not DTYPES[dtype]:
            raise TypeError(dtype)
        if self._native:
            return getattr(importlib.import_module("numpy"), _scalar_name(dtype))(value)
        return Scalar(dtype, value)

    def _array(self, content: Tree) -> object:
        dtype, sizes, items = _checked(content, str, list, list)
        shape = tuple(_checked(sizes, *[int] * len(sizes)))
        kind = DTYPES[dtype]
        if len(shape) > 32 or any(type(item) is not kind for item in items):
            raise ValueError("not an array")
        count, rows = 1, 1
        for size in shape:
            count *= size
            rows *= max(size, 1)
        if count != len(items) or min(shape, default=0) < 0 or rows > max(count, _MAX_EMPTY_ROWS):
            raise ValueError("a shape that does not fit")
        if self._native:
            numpy = importlib.import_module("numpy")
            return numpy.array(items, dtype=dtype).reshape(shape)
        return Array(dtype, shape, items)


def _scalar_name(dtype: str) -> str:
    return "bool_" if dtype == "bool" else dtype
