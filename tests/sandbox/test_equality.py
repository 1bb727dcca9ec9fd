import collections
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.cell.decoding import decode
from sandbox.cell.encoding import encode
from sandbox.equality import equal_in_python, equal_numerically, equal_strictly

INF, NAN = math.inf, math.nan


def crossed(value: object) -> Any:
    """The value as it comes out of a cell."""
    return decode(encode(value))


@pytest.mark.parametrize(
    ("expected", "actual", "python", "strict", "numeric"),
    [
        (2, 2, True, True, True),
        (2, 2.0, True, False, True),
        (2.0, 2, True, False, True),
        (1, True, True, False, False),
        (True, 1, True, False, False),
        (True, True, True, True, True),
        (0, False, True, False, False),
        (0, None, False, False, False),
        ([1], (1,), False, False, False),
        ([1], [1.0], True, False, True),
        ([[1]], [[True]], True, False, False),
        ((1, 2), (1, 2, 3), False, False, False),
        ("1", 1, False, False, False),
        ("1", b"1", False, False, False),
        ("٣", "3", False, False, False),
        ("a\r\n", "a\n", False, False, False),
        (NAN, NAN, False, True, True),
        (INF, INF, True, True, True),
        (INF, -INF, False, False, False),
        (1e308, INF, False, False, False),
        (INF, 1e308, False, False, False),
        (NAN, 0.0, False, False, False),
        (0.0, -0.0, True, False, True),
        (0, 0.0005, False, False, False),
        (0, 1e-10, False, False, True),
        (1e12, 1e12 + 100, False, False, True),
        (1e12, 1e12 + 10_000, False, False, False),
        (1 + 2j, 1 + 2.0000000001j, False, False, True),
        (1 + 2j, 1, False, False, False),
        (Fraction(1, 2), 0.5, True, False, True),
        (Decimal("0.5"), 0.5, True, False, True),
        (Decimal("0.10"), Decimal("0.1"), True, False, True),
        (0.1, Decimal("0.1"), False, False, True),
        (Decimal("NaN"), NAN, False, False, True),
        (Decimal("Infinity"), INF, True, False, True),
        (1, Decimal("sNaN"), False, False, False),
        (1, Decimal("1e999999999"), False, False, False),
        (1, 1 << 4_000_000, False, False, False),
        (10**400, 1.0, False, False, False),
        (10**400, 10**400, True, True, True),
        ({1: 2.0}, {1: 2}, True, False, True),
        ({1: 2}, {True: 2}, True, False, False),
        ({1: 2, 3: 4}, {3: 4, 1: 2}, True, True, True),
        ({1: 2}, {1: 2, 3: 4}, False, False, False),
        ({"a": 0.1 + 0.2}, {"a": 0.3}, False, False, True),
        ({1, 2}, {2, 1}, True, True, True),
        ({1, 2}, {2.0, 1}, True, False, True),
        ({1}, {True}, True, False, False),
        ({1}, frozenset({1}), True, False, False),
        ({1: [1]}, collections.defaultdict(list, {1: [1]}), True, False, False),
        ({"a": 2}, collections.Counter("aa"), True, False, False),
        (5, np.int64(5), True, False, True),
        (True, np.bool_(True), True, False, True),
        (1, np.bool_(True), True, False, False),
        (0.5, np.float32(0.5), True, False, True),
        ([1, 2], np.array([1, 2]), False, False, True),
        ([[1, 2], [3, 4]], np.array([[1.0, 2.0], [3.0, 4.0]]), False, False, True),
        ([[1, 2, 3, 4]], np.array([1, 2, 3, 4]), False, False, False),
        ([[], []], np.zeros((2, 0)), False, False, True),
        (7, np.array(7), False, False, True),
        (np.array([1, 2]), np.array([1.0, 2.0]), True, False, True),
        (np.array([1, 2]), np.array([[1, 2]]), False, False, False),
        ([0, 1], iter([0, 1]), False, False, False),
        (iter([0, 1]), iter([0, 1]), True, True, True),
        ([0, 1], range(2), False, False, False),
        (range(0, 3, 2), range(0, 4, 2), True, False, False),
        (slice(1), slice(1), True, True, True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_equality_is_what_it_says(
    expected: object, actual: object, python: bool, strict: bool, numeric: bool
) -> None:
    one, other = crossed(expected), crossed(actual)
    assert equal_in_python(one, other) is python
    assert equal_strictly(one, other) is strict
    assert equal_numerically(one, other, 1e-9) is numeric


@given(st.floats(), st.floats(allow_nan=False, allow_infinity=False, min_value=0, max_value=1))
def test_no_answer_is_right_by_being_infinite(actual: float, tolerance: float) -> None:
    if math.isfinite(actual):
        assert not equal_numerically(actual, INF, tolerance)
        assert not equal_numerically(actual, NAN, tolerance)
    assert equal_numerically(actual, actual, tolerance)


@given(st.integers(-(10**30), 10**30), st.integers(-(10**30), 10**30))
def test_integers_are_compared_without_rounding(expected: int, actual: int) -> None:
    assert equal_numerically(expected, actual, 0.0) is (expected == actual)
