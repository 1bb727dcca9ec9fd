"""When a returned value is the expected one: named rules over plain values, applied in the parent.

Values are what `sandbox.cell.decoding.decode` returns, so none of them can lie about itself.
"""

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

from sandbox.cell.encoding import encode
from sandbox.cell.values import Array, Iterated, Scalar

Equality = Callable[[object, object, float], bool]
"""`(expected, actual, tolerance) -> bool`."""

_MAX_BITS = 1 << 14
_MAX_EXPONENT = 1000


def equal_in_python(expected: object, actual: object, tolerance: float = 0.0) -> bool:
    """Whether `expected == actual`, as an assert statement would have it.

    So `2 == 2.0` and `True == 1`, but a list is no tuple, and nan is not itself. Arrays are equal
    to arrays of the same shape and numbers, iterators by what they yield.

    Example:
        >>> equal_in_python(2, 2.0), equal_in_python([1], (1,)), equal_in_python(1, True)
        (True, False, True)
    """
    try:
        return bool(expected == actual)
    except (ArithmeticError, TypeError, ValueError, RecursionError):
        return False  # A signaling nan, for one.


def equal_strictly(expected: object, actual: object, tolerance: float = 0.0) -> bool:
    """Whether all parts have the same types and values; nan is itself, and -0.0 is not 0.0.

    Example:
        >>> equal_strictly(2, 2.0), equal_strictly(1, True), equal_strictly([math.nan], [math.nan])
        (False, False, True)
    """
    return encode(expected, canonical=True) == encode(actual, canonical=True)


def equal_numerically(expected: object, actual: object, tolerance: float) -> bool:
    """Whether all numbers are near enough and everything else is the same.

    Integers, floats, fractions and decimals are interchangeable; a bool is no number, a list no
    tuple. An array is the same as nested lists of its numbers. Keys and elements of sets have to be
    equal without tolerance.

    Args:
        expected: What nearness is relative to.
        actual: What was returned.
        tolerance: Numbers may differ by this, or by this times the expected one if that is more.

    Example:
        >>> equal_numerically(1, 1.0 + 1e-12, 1e-9), equal_numerically(0, 0.0005, 1e-9)
        (True, False)
    """
    expected, actual = _listed(expected), _listed(actual)
    if _is_number(expected) and _is_number(actual):
        return _near(expected, actual, tolerance)
    if type(expected) is not type(actual):
        return False
    if isinstance(expected, list | tuple) and isinstance(actual, list | tuple):
        return len(expected) == len(actual) and all(
            equal_numerically(one, other, tolerance)
            for one, other in zip(expected, actual, strict=True)
        )
    if isinstance(expected, dict) and isinstance(actual, dict):
        found = {key: key for key in actual}
        return len(expected) == len(actual) and all(
            key in found
            and equal_numerically(key, found[key], 0.0)
            and equal_numerically(value, actual[key], tolerance)
            for key, value in expected.items()
        )
    if isinstance(expected, set | frozenset) and isinstance(actual, set | frozenset):
        pairs = {item: item for item in actual}
        return len(expected) == len(actual) and all(
            item in pairs and equal_numerically(item, pairs[item], 0.0) for item in expected
        )
    if isinstance(expected, Iterated) and isinstance(actual, Iterated):
        same_kind = expected.kind == actual.kind
        return same_kind and equal_numerically(expected.items, actual.items, tolerance)
    return equal_strictly(expected, actual)


EQUALITIES: Mapping[str, Equality] = MappingProxyType(
    {"python": equal_in_python, "strict": equal_strictly, "numeric": equal_numerically}
)
"""By the names that `FunctionCases.equality` takes."""


def _listed(value: object) -> object:
    if isinstance(value, Scalar):
        return value.value
    return _rows(value.shape, value.items) if isinstance(value, Array) else value


def _rows(shape: tuple[int, ...], items: list[object]) -> object:
    if len(shape) < 2:
        return items if shape else items[0]
    step = len(items) // shape[0] if shape[0] else 0
    return [_rows(shape[1:], items[i * step : (i + 1) * step]) for i in range(shape[0])]


def _is_number(value: object) -> bool:
    return type(value) in (int, float, complex, Fraction, Decimal)


def _near(expected: object, actual: object, tolerance: float) -> bool:
    if isinstance(expected, complex) or isinstance(actual, complex):
        one, other = _parts(expected), _parts(actual)
        return all(_near(a, b, tolerance) for a, b in zip(one, other, strict=True))
    if not _is_finite(expected) or not _is_finite(actual):
        return _text(expected) == _text(actual)
    if not (_is_moderate(expected) and _is_moderate(actual)):
        return equal_in_python(expected, actual)
    # Relative to the expected number alone: the other one is chosen by the program.
    wanted, given = _exact(expected), _exact(actual)
    return abs(wanted - given) <= Fraction(tolerance) * max(Fraction(1), abs(wanted))


def _exact(number: object) -> Fraction:
    assert isinstance(number, int | float | Fraction | Decimal)
    return Fraction(number)


def _parts(value: object) -> tuple[object, object]:
    return (value.real, value.imag) if isinstance(value, complex) else (value, 0)


def _is_finite(value: object) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite()
    return not isinstance(value, float) or math.isfinite(value)


def _text(value: object) -> str:
    """Return one text per kind of infinity and one for every nan."""
    text = str(value) if isinstance(value, float | Decimal) else "finite"
    return "nan" if "nan" in text.lower() else text.lower().replace("infinity", "inf")


def _is_moderate(value: object) -> bool:
    """Whether exact arithmetic with a number takes no time worth mentioning."""
    if isinstance(value, int):
        return value.bit_length() <= _MAX_BITS
    return not isinstance(value, Decimal) or abs(value.adjusted()) <= _MAX_EXPONENT
