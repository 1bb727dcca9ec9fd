"""Writes plain values as JSON text with tags; the other side of `sandbox.cell.decoding`."""

import binascii
import collections
import datetime
import itertools
import json
import math
import sys
import types
from collections.abc import Callable, Iterable, Reversible
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
    MAX_NODES,
    Array,
    Iterated,
    Reference,
    Scalar,
    TooLargeError,
    Tree,
    UnencodableError,
)

_MAX_ITERATED = 100_000
_type = type

_EMPTY: tuple[Iterable[object], ...] = (
    *([], (), "", "é", b"", bytearray(), set(), range(0), range(1 << 70), collections.deque()),
    *({}, {}.items(), {}.values()),
)
_REVERSIBLE: tuple[Reversible[object], ...] = ([], {}, {}.items(), {}.values())
ITERATORS = (
    frozenset({types.GeneratorType, map, zip, filter, enumerate, reversed})
    | {kind for kind in vars(itertools).values() if isinstance(kind, type)}
    | {type(iter(empty)) for empty in _EMPTY}
    | {type(reversed(empty)) for empty in _REVERSIBLE}
)
"""Exact types that yield their items once."""

_VIEWS: dict[type, str] = {
    type({}.keys()): "keys",
    type({}.values()): "values",
    type({}.items()): "items",
}

_dump = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
).encode


class _Encoder:
    """Turns one value into what JSON can write; `refer` may name what cannot cross."""

    def __init__(self, refer: Callable[[object], Reference | None] | None, canonical: bool) -> None:
        self._refer = refer
        self._canonical = canonical
        self._room = MAX_NODES

    def tree(self, value: Any, depth: int) -> Tree:
        kind = _type(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return value if -INT64 <= value < INT64 else {"i": self._hex(value)}
        if kind is float:
            return value if math.isfinite(value) else {"f": float.__repr__(value)}
        if kind is str:
            return self._text(value)
        if depth >= MAX_DEPTH:
            raise UnencodableError(f"{kind.__name__} too deep")
        if kind is list:
            return self._items(value, depth)
        if (write := _WRITERS.get(kind)) is not None:
            return write(self, value, depth)
        return self._other(value, kind, depth)

    def _use(self, size: int) -> None:
        self._room -= size + 1
        if self._room < 0:
            raise TooLargeError(f"a value with more than {MAX_NODES} parts")

    def _hex(self, value: int) -> str:
        self._use(value.bit_length() >> 3)
        return hex(value)

    def _text(self, value: str) -> Tree:
        self._use(len(value) >> 1)
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                # Two halves of a pair that stand side by side would come back as one character.
                return {"u": value.encode("utf-8", "surrogatepass").hex()}
        return value

    def _items(self, values: Iterable[Any], depth: int) -> list[Tree]:
        if isinstance(values, (list, tuple)):
            self._use(len(values))
        return [self.tree(value, depth + 1) for value in values]

    def _pairs(self, value: Any, depth: int) -> list[Tree]:
        self._use(2 * len(value))
        ordered = _type(value) is collections.OrderedDict
        items = collections.OrderedDict.items if ordered else dict.items
        pairs = [
            (self.tree(key, depth + 1), self.tree(item, depth + 1)) for key, item in items(value)
        ]
        if self._canonical and not ordered:
            pairs.sort(key=lambda pair: _dump(pair[0]))
        return [part for pair in pairs for part in pair]

    def _set(self, value: Any, depth: int) -> list[Tree]:
        self._use(len(value))
        return sorted((self.tree(item, depth + 1) for item in value), key=_dump)

    def _bytes(self, value: bytes | bytearray) -> str:
        self._use(len(value) >> 1)
        return binascii.b2a_base64(value, newline=False).decode()

    def _default_dict(self, value: Any, depth: int) -> Tree:
        factory = value.default_factory
        name = next((name for name, kind in FACTORIES.items() if kind is factory), None)
        return {"dd": [name, self._pairs(value, depth)]}

    def _number(self, value: Fraction | Decimal) -> Tree:
        if _type(value) is Decimal:
            text = str(value)
            if len(text) > MAX_DIGITS:
                raise TooLargeError(f"a Decimal of {len(text)} digits")
            return {"dec": text}
        parts = [value.numerator, value.denominator]  # type: ignore[union-attr]
        if any(part.bit_length() > MAX_DIGITS for part in parts):
            raise TooLargeError("a Fraction of too many digits")
        return {"q": [hex(part) for part in parts]}

    def _other(self, value: Any, kind: type, depth: int) -> Tree:
        reference = self._refer(value) if self._refer is not None else None
        if reference is not None:
            return {"h": [reference.number, reference.name, reference.kind]}
        if kind in ITERATORS:
            items = list(itertools.islice(value, _MAX_ITERATED + 1))
            if len(items) > _MAX_ITERATED:
                raise TooLargeError(f"an iterator with more than {_MAX_ITERATED} items")
            return {"it": ["iterator", self._items(items, depth)]}
        if kind in _VIEWS:
            return {"it": [_VIEWS[kind], self._items(list(value), depth)]}
        return self._numpy(value, kind, depth)

    def _numpy(self, value: Any, kind: type, depth: int) -> Tree:
        numpy = sys.modules.get("numpy")
        if _type(numpy) is types.ModuleType and numpy is not None:
            if kind is numpy.ndarray and value.dtype.name in DTYPES:
                self._use(value.size)
                items = self._items(value.ravel().tolist(), depth)
                return {"na": [value.dtype.name, list(value.shape), items]}
            if numpy.generic in kind.__mro__ and value.dtype.name in DTYPES:
                return {"n": [value.dtype.name, self.tree(value.item(), depth)]}
        raise UnencodableError(kind.__name__[:80])


def _zone_parts(encoder: _Encoder, zone: object, depth: int) -> Tree:
    if zone is not None and _type(zone) is not datetime.timezone:
        raise UnencodableError(_type(zone).__name__[:80])
    return encoder.tree(zone, depth)


def _write_datetime(encoder: _Encoder, value: datetime.datetime, depth: int) -> Tree:
    date = [value.year, value.month, value.day]
    return {"dt": [*date, *_write_time(encoder, value, depth)["tm"]]}


def _write_time(
    encoder: _Encoder, value: datetime.time | datetime.datetime, depth: int
) -> dict[str, Tree]:
    parts = [value.hour, value.minute, value.second, value.microsecond, value.fold]
    return {"tm": [*parts, _zone_parts(encoder, value.tzinfo, depth)]}


_WRITERS: dict[type, Callable[[_Encoder, Any, int], Tree]] = {
    tuple: lambda e, v, d: {"t": e._items(v, d)},
    dict: lambda e, v, d: {"d": e._pairs(v, d)},
    set: lambda e, v, d: {"s": e._set(v, d)},
    frozenset: lambda e, v, d: {"fs": e._set(v, d)},
    bytes: lambda e, v, d: {"b": e._bytes(v)},
    bytearray: lambda e, v, d: {"ba": e._bytes(v)},
    complex: lambda e, v, d: {"c": [e.tree(v.real, d), e.tree(v.imag, d)]},
    range: lambda e, v, d: {"r": [e.tree(x, d) for x in (v.start, v.stop, v.step)]},
    slice: lambda e, v, d: {"sl": [e.tree(x, d + 1) for x in (v.start, v.stop, v.step)]},
    Fraction: lambda e, v, d: e._number(v),
    Decimal: lambda e, v, d: e._number(v),
    collections.deque: lambda e, v, d: {"dq": [v.maxlen, e._items(list(v), d)]},
    collections.Counter: lambda e, v, d: {"ct": e._pairs(v, d)},
    collections.OrderedDict: lambda e, v, d: {"od": e._pairs(v, d)},
    collections.defaultdict: lambda e, v, d: e._default_dict(v, d),
    datetime.datetime: _write_datetime,
    datetime.date: lambda e, v, d: {"da": [v.year, v.month, v.day]},
    datetime.time: _write_time,
    datetime.timedelta: lambda e, v, d: {"td": [v.days, v.seconds, v.microseconds]},
    datetime.timezone: lambda e, v, d: {"tz": e._items(v.__getinitargs__(), d)},
    Reference: lambda e, v, d: {"h": [v.number, v.name, v.kind]},
    Iterated: lambda e, v, d: {"it": [v.kind, e._items(v.items, d)]},
    Scalar: lambda e, v, d: {"n": [v.dtype, e.tree(v.value, d)]},
    Array: lambda e, v, d: {"na": [v.dtype, list(v.shape), e._items(v.items, d)]},
}


def encode(
    value: object,
    refer: Callable[[object], Reference | None] | None = None,
    *,
    canonical: bool = False,
) -> bytes:
    """Return a value as bytes, at most `MAX_BODY` of them.

    Args:
        value: Anything.
        refer: Names an object that is to stay where it is; None for one that it cannot name.
        canonical: Whether dictionaries with the same items in another order give the same bytes.

    Raises:
        UnencodableError: A part is of no known type, or lies deeper than `MAX_DEPTH`.
        TooLargeError: It takes more bytes or parts than may cross.

    Example:
        >>> encode([1, (2.0, True)])
        b'[1,{"t":[2.0,true]}]'
    """
    data = _dump(_Encoder(refer, canonical).tree(value, 0)).encode()
    if len(data) > MAX_BODY:
        raise TooLargeError(f"a value of {len(data)} bytes")
    return data
