"""Plain data cross as they are; anything else is no code."""

import contextlib
import os
from collections import Counter, OrderedDict, deque, namedtuple
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoflow.sandbox.inside import wire

atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.fractions()
    | st.decimals(allow_nan=False)
)
hashable = st.recursive(atoms, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5)
values = st.recursive(
    hashable,
    lambda inner: st.lists(inner) | st.dictionaries(hashable, inner, max_size=4) | st.sets(hashable, max_size=4),
    max_leaves=20,
)


def _typed(value: Any) -> Any:
    if isinstance(value, dict):
        return dict, [(_typed(key), _typed(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [_typed(item) for item in value]
    return type(value), value


@settings(deadline=None, max_examples=100)
@given(values)
def test_plain_values_arrive_as_they_were(value: Any) -> None:
    assert _typed(wire.loads(wire.dumps(value))) == _typed(value)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60) | st.text("NTFifcsbadltSzqrI/DoO0123456789:-.x ", max_size=40).map(str.encode))
def test_any_bytes_are_a_value_or_an_error(data: bytes) -> None:
    with contextlib.suppress(wire.WireError):
        wire.loads(data)


def test_numbers_without_end_and_not_numbers_cross() -> None:
    found = wire.loads(wire.dumps([float("inf"), float("-inf"), float("nan"), -0.0, 10**5000, "\ud800"]))
    assert found[:2] == [float("inf"), float("-inf")]
    assert found[2] != found[2]
    assert str(found[3]) == "-0.0"
    assert found[4:] == [10**5000, "\ud800"]


def test_subclasses_cross_as_the_plain_type() -> None:
    class Color(IntEnum):
        RED = 1

    Point = namedtuple("Point", "x y")
    found = wire.loads(wire.dumps([Color.RED, Point(1, 2), Counter("aa"), OrderedDict(a=1)]))
    assert [type(item) for item in found] == [int, tuple, dict, dict]
    assert found == [1, (1, 2), {"a": 2}, {"a": 1}]


def test_other_collections_keep_their_kind() -> None:
    sent = [deque([1, 2]), range(1, 9, 2), bytearray(b"x"), Fraction(1, 3), Decimal("0.10")]
    assert wire.loads(wire.dumps(sent)) == sent
    iterator = wire.loads(wire.dumps(item * 2 for item in (1, 2)))
    assert iterator != [2, 4]
    assert list(iterator) == [2, 4]


def test_object_crosses_as_nothing_but_its_truth() -> None:
    class Empty:
        def __len__(self) -> int:
            return 0

    whole, empty = wire.loads(wire.dumps([object(), Empty()]))
    assert whole
    assert not empty
    assert whole == whole
    assert whole != wire.loads(wire.dumps(object()))
    assert repr(whole) == "<builtins.object>"


def test_what_is_too_large_or_too_deep_is_refused_on_both_sides() -> None:
    deep: list[Any] = []
    for _ in range(wire.MAX_DEPTH + 1):
        deep = [deep]
    for value in (deep, "x" * (wire.MAX_BYTES + 1), ["x" * 1000] * 5000, 1 << (8 * wire.MAX_BYTES), iter(int, 1)):
        with pytest.raises(wire.WireError, match="too"):
            wire.dumps(value)
    with pytest.raises(wire.WireError, match="too deep"):
        wire.loads(b"l1:" * 1000 + b"N")
    with pytest.raises(wire.WireError, match="too large"):
        wire.loads(b"N" * (wire.MAX_BYTES + 1))


@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"l99999999999:", b"s5:ab", b"s-1:", b"l1", b"i1:z", b"S1:l0:", b"d1:N", b"NN", b"r1:s1:a",
     b"/2:i1:1i1:0", b"c1:1", b"D1:x", b"s\xd9\xa1:a", b"s2:\xff\xff"],
)  # fmt: skip
def test_malformed_bytes_are_named_so(data: bytes) -> None:
    with pytest.raises(wire.WireError, match="malformed"):
        wire.loads(data)


def test_messages_cross_a_pipe_and_its_end_is_seen() -> None:
    reading, writing = os.pipe()
    wire.send(writing, ("f", [1], {}))
    assert wire.receive(reading) == ("f", [1], {})
    os.write(writing, b"\xff\xff\xff\xff")
    with pytest.raises(wire.WireError, match="too large"):
        wire.receive(reading)
    os.write(writing, b"\x00")
    os.close(writing)
    with pytest.raises(EOFError):
        wire.receive(reading)
    os.close(reading)


def test_changes_reach_the_original() -> None:
    pairs: list[tuple[Any, Any]] = [([1], [2]), ({1: 1}, {2: 2}), ({1}, {2}), (deque([1]), deque([2]))]
    for target, source in (*pairs, (bytearray(b"a"), bytearray(b"b"))):
        wire.overwrite(target, source)
        assert target == source
        assert wire.same_kind(target, source)
    assert not wire.same_kind([], {})
