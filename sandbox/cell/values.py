"""What a plain value is: the limits of the codec, its errors, and stand-ins for what cannot cross.

A value crosses only if it is exactly of a known type, `type(x) is int`, so nothing that crosses can
lie about itself. See `sandbox.cell.encoding` and `sandbox.cell.decoding`.
"""

from typing import Any

from sandbox.cell.frames import MAX_BODY

MAX_DEPTH = 100
MAX_NODES = MAX_BODY // 2
"""Parts of one value; each takes at least two bytes of text."""

MAX_DIGITS = 1 << 14
"""Of a Fraction (bits) or Decimal; arithmetic with more would take the parent's time."""

INT64 = 1 << 63
"""Integers from here on are written in hexadecimal, which is read in linear time."""

Tree = Any
"""What `json` reads and writes; a dictionary with one key is a tag."""

FACTORIES: dict[str, type] = {
    kind.__name__: kind for kind in (int, float, str, list, dict, set, tuple, bool)
}
"""Default factories that cross; others become None."""

DTYPES: dict[str, type] = {"bool": bool, "complex64": complex, "complex128": complex}
DTYPES |= {f"float{bits}": float for bits in (16, 32, 64)}
DTYPES |= {f"{sign}int{bits}": int for sign in ("", "u") for bits in (8, 16, 32, 64)}


class UnencodableError(ValueError):
    """A value is not plain.

    Args:
        type_name: Of the part that is not.
    """

    def __init__(self, type_name: str) -> None:
        super().__init__(f"a value of type {type_name} is not plain")
        self.type_name = type_name


class TooLargeError(ValueError):
    """A value takes more bytes than may cross."""


class MalformedValueError(ValueError):
    """Bytes are not the encoding of a value."""


class _Plain:
    """A value that stands for another, equal by its parts."""

    __slots__: tuple[str, ...] = ()

    def _parts(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._parts() == self._parts()

    def __hash__(self) -> int:
        return hash(self._parts())

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self._parts()!r}"


class Reference(_Plain):
    """An object that stays in the solution's process.

    Args:
        number: Its place in the table there; -1 for an entry point, which is known by its name.
        name: Of its type or of the entry point.
        kind: `object`, `iterator`, `callable` or `entry`.
    """

    __slots__ = ("kind", "name", "number")

    def __init__(self, number: int, name: str, kind: str) -> None:
        self.number = number
        self.name = name
        self.kind = kind


class Iterated(_Plain):
    """What an iterator or a view of a dictionary had left.

    Args:
        kind: `iterator`, `keys`, `values` or `items`.
        items: In order.
    """

    __slots__ = ("items", "kind")

    def __init__(self, kind: str, items: list[object]) -> None:
        self.kind = kind
        self.items = items


class Scalar(_Plain):
    """A numpy scalar where there is no numpy; equal to its number.

    Args:
        dtype: For example `int64`.
        value: As a number of Python's own.
    """

    __slots__ = ("dtype", "value")

    def __init__(self, dtype: str, value: object) -> None:
        self.dtype = dtype
        self.value = value

    def __eq__(self, other: object) -> bool:
        return self.value == (other.value if type(other) is Scalar else other)

    def __hash__(self) -> int:
        return hash(self.value)


class Array(_Plain):
    """A numpy array where there is no numpy; equal to one with the same shape and numbers.

    Args:
        dtype: For example `float64`.
        shape: Number of elements along each axis.
        items: All elements, last axis fastest.
    """

    __slots__ = ("dtype", "items", "shape")

    def __init__(self, dtype: str, shape: tuple[int, ...], items: list[object]) -> None:
        self.dtype = dtype
        self.shape = shape
        self.items = items

    def _parts(self) -> tuple[object, ...]:
        return self.shape, self.items
