import collections
import datetime
import itertools
import json
import math
import sys
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.cell.decoding import decode
from sandbox.cell.encoding import encode
from sandbox.cell.frames import MAX_BODY
from sandbox.cell.values import (
    MAX_DEPTH,
    Array,
    Iterated,
    MalformedValueError,
    Reference,
    Scalar,
    TooLargeError,
    UnencodableError,
)

ZONES = st.none() | st.builds(
    datetime.timezone, st.timedeltas(-datetime.timedelta(hours=23), datetime.timedelta(hours=23))
)
KEYS: st.SearchStrategy[Any] = st.deferred(
    lambda: (
        st.none()
        | st.booleans()
        | st.integers()
        | st.integers(-(1 << 200), 1 << 200)
        | st.floats()
        | st.complex_numbers()
        | st.text(st.characters(exclude_categories=()))
        | st.binary()
        | st.fractions()
        | st.decimals(allow_nan=False)
        | st.dates()
        | st.times(timezones=ZONES)
        | st.datetimes(timezones=ZONES)
        | st.timedeltas()
        | st.builds(range, st.integers(), st.integers(), st.integers(1))
        | st.lists(KEYS, max_size=3).map(tuple)
        | st.frozensets(KEYS, max_size=3)
    )
)
VALUES = st.recursive(
    KEYS | st.binary().map(bytearray) | st.decimals(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.lists(inner, max_size=4).map(collections.deque)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4).map(collections.OrderedDict)
        | st.dictionaries(KEYS, inner, max_size=4).map(
            lambda pairs: collections.defaultdict(list, pairs)
        )
        | st.lists(KEYS, max_size=4).map(collections.Counter)
        | st.sets(KEYS, max_size=4)
    ),
    max_leaves=12,
)


def shape(value: Any) -> Any:
    """The exact types of all parts, in order."""
    if isinstance(value, dict):
        return type(value), [(shape(key), shape(item)) for key, item in value.items()]
    if isinstance(value, list | tuple | collections.deque):
        return type(value), [shape(item) for item in value]
    return type(value), value if isinstance(value, str | bytes | int) else None


@given(VALUES)
def test_a_value_comes_back_with_exactly_its_types(value: object) -> None:
    data = encode(value)
    back = decode(data)
    assert shape(back) == shape(value)
    # Equal encodings, because nan is not equal to itself.
    assert encode(back) == data
    assert shape(decode(data, native=True)) == shape(value)


@given(st.floats() | st.complex_numbers())
def test_every_bit_of_a_float_comes_back(value: complex) -> None:
    back = decode(encode(value))
    assert repr(back) == repr(value)


@given(st.dictionaries(st.integers() | st.text(), st.integers(), max_size=6), st.randoms())
def test_canonical_bytes_forget_the_order_of_a_dictionary(
    pairs: dict[object, int], random: Any
) -> None:
    items = list(pairs.items())
    random.shuffle(items)
    assert encode(dict(items), canonical=True) == encode(pairs, canonical=True)


@given(st.binary(max_size=200))
def test_random_bytes_are_a_value_or_malformed(data: bytes) -> None:
    try:
        decode(data)
    except MalformedValueError:
        return


@given(VALUES, st.data())
def test_damaged_bytes_are_a_value_or_malformed(value: object, data: st.DataObject) -> None:
    encoded = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, max(0, len(encoded) - 1)))
        encoded[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        decode(bytes(encoded))
    except MalformedValueError:
        return


TAGS = [
    *("i", "f", "u", "c", "b", "ba", "t", "d", "s", "fs", "r", "sl", "q", "dec", "dq", "ct", "od"),
    *("dd", "da", "td", "dt", "tm", "tz", "it", "n", "na", "h", "zz", ""),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(TAGS), inner, max_size=2)
        | st.fixed_dictionaries({}, optional={tag: inner for tag in TAGS})
    ),
    max_leaves=10,
)


@given(st.sampled_from(TAGS), JSON)
def test_a_tag_around_anything_is_a_value_or_malformed(tag: str, content: object) -> None:
    for native in (False, True):
        try:
            decode(json.dumps({tag: content}).encode(), lambda reference: None, native=native)
        except MalformedValueError:
            continue


class LyingList(list[int]):
    def __iter__(self) -> Any:
        return iter([1, 2, 3])

    def __eq__(self, other: object) -> bool:
        return True


class LyingInt(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


class LyingMeta(type):
    def __instancecheck__(cls, value: object) -> bool:
        return True


class Pretender(metaclass=LyingMeta):
    __class__ = int  # type: ignore[assignment]


def cyclic() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


def deep(levels: int) -> list[object]:
    value: list[object] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (LyingList(), "LyingList"),
        ([LyingInt(3)], "LyingInt"),
        ({"a": (Pretender(),)}, "Pretender"),
        (object(), "object"),
        (len, "builtin_function_or_method"),
        (Ellipsis, "ellipsis"),
        (cyclic(), "list too deep"),
        (deep(MAX_DEPTH + 1), "list too deep"),
        (np.array(["a"]), "ndarray"),
        (np.array([None]), "ndarray"),
    ],
)
def test_what_is_not_exactly_plain_is_named(value: object, name: str) -> None:
    with pytest.raises(UnencodableError) as caught:
        encode(value)
    assert caught.value.type_name == name


def laughs(levels: int) -> list[object]:
    value: list[object] = [1, 1]
    for _ in range(levels):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        [0] * MAX_BODY,
        "x" * (MAX_BODY + 1),
        "é" * (MAX_BODY // 2 + 1),
        b"x" * MAX_BODY,
        1 << (9 * MAX_BODY),
        Fraction(1, 3**20_000),
        Decimal("1" * 20_000),
        laughs(60),
        itertools.count(),
        itertools.repeat(1),
        range(10**9).__iter__(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_too_large_is_refused_before_it_is_written(value: object) -> None:
    with pytest.raises(TooLargeError):
        encode(value)


def test_the_deepest_value_that_is_written_can_be_read() -> None:
    value = deep(MAX_DEPTH - 1)
    assert decode(encode(value)) == value
    tagged: object = 1
    for _ in range(MAX_DEPTH):
        tagged = (tagged,)
    assert decode(encode(tagged)) == tagged
    with pytest.raises(UnencodableError):
        encode((tagged,))


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 1_000_000,
        b"[" * 500_000 + b"]" * 500_000,
        b'{"t":' * 150_000 + b"1" + b"}" * 150_000,
        b'{"t":[' * 1000 + b"1" + b"]}" * 1000,
        b'"' + b'\\"' * 500_000,
        b'["' + b"[" * 1000 + b'",' + b"[" * 1000 + b"]" * 1001,
        b"9" * 1_000_000,
        b"1" * 21,
        b"NaN",
        b"Infinity",
        b'{"f":"1.5"}',
        b'{"i":"0x5"}',
        b'{"i":"0x0080000000000000000"}',
        b'{"i":"1_0"}',
        b'{"s":[1,true]}',
        b'{"s":[[]]}',
        b'{"d":[1]}',
        b'{"d":[1,2,1.0,3]}',
        b'{"d":[[],1]}',
        b'{"t":[1],"s":[1]}',
        b"{}",
        b'{"q":["0x1","0x0"]}',
        b'{"r":[1,2,0]}',
        b'{"dec":"x"}',
        b'{"dq":[1,[1,2]]}',
        b'{"dd":["eval",[]]}',
        b'{"da":[0,0,0]}',
        b'{"dt":[1,1,1,0,0,0,0,0,5]}',
        b'{"tz":[1]}',
        b'{"b":"x"}',
        b'{"u":"ff"}',
        b'{"h":[0,"A","object"]}',
        b'{"it":["list",[]]}',
        b'{"it":["keys",[[]]]}',
        b'{"n":["object",1]}',
        b'{"n":["int64",1.0]}',
        b'{"na":["int64",[2],[1]]}',
        b'{"na":["int64",[-1,-1],[1]]}',
        b'{"na":["int64",[1000000000,0],[]]}',
        b'{"na":["int64",[1],["1"]]}',
        b"\xff",
        b"",
        b"1 2",
    ],
    ids=lambda data: data[:24].decode("latin-1"),
)
def test_malformed_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedValueError):
        decode(data)


def test_keys_made_to_collide_are_refused() -> None:
    modulus = sys.hash_info.modulus
    keys = ",".join(f'{{"i":"{hex(modulus * i)}"}}' for i in range(100, 20_000))
    with pytest.raises(MalformedValueError, match="one hash"):
        decode(f'{{"s":[{keys}]}}'.encode())
    pairs = keys.replace("},", "},0,")
    with pytest.raises(MalformedValueError, match="one hash"):
        decode(f'{{"d":[{pairs},0]}}'.encode())
    with pytest.raises(MalformedValueError, match="one hash"):
        decode(f'{{"it":["keys",[{keys}]]}}'.encode(), native=True)


def test_a_recursion_limit_that_was_lifted_does_not_matter() -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10**6)
    try:
        with pytest.raises(MalformedValueError):
            decode(b"[" * 500_000 + b"]" * 500_000)
        with pytest.raises(UnencodableError):
            encode(cyclic())
    finally:
        sys.setrecursionlimit(limit)


def test_iterators_and_views_are_read_once() -> None:
    items = decode(encode(number * 2 for number in range(3)))
    assert items == Iterated("iterator", [0, 2, 4])
    assert decode(encode({1: 2}.items())) == Iterated("items", [(1, 2)])
    back = decode(encode([map(str, [1]), {1: 2}.keys(), {1: 2}.values()]), native=True)
    assert isinstance(back, list)
    assert list(back[0]) == ["1"] and back[1] == {1: 0}.keys() and list(back[2]) == [2]


def test_numpy_crosses_with_its_types() -> None:
    value: list[Any] = [
        np.int64(5),
        np.float32(0.5),
        np.bool_(True),
        np.array([[1.5, -0.0], [np.inf, 2]]),
    ]
    plain = decode(encode(value))
    assert plain == [5, 0.5, True, Array("float64", (2, 2), [1.5, -0.0, math.inf, 2.0])]
    assert isinstance(plain, list) and type(plain[0]) is Scalar and plain[0].dtype == "int64"
    back = decode(encode(value), native=True)
    assert isinstance(back, list)
    assert [type(part) for part in back] == [np.int64, np.float32, np.bool_, np.ndarray]
    assert back[3].dtype == np.float64 and np.array_equal(back[3], value[3])
    assert encode(plain) == encode(value)


def test_an_object_may_be_named_instead() -> None:
    def refer(value: object) -> Reference | None:
        return Reference(7, "object", "object") if type(value) is object else None

    data = encode([object()], refer)
    assert decode(data, lambda reference: reference.number) == [7]
    with pytest.raises(MalformedValueError):
        decode(data)
