"""Plain values as bytes, between a process that runs tests and one that runs the code under test.

Reading bytes makes plain data or raises `WireError`; it never runs code, so the writer need not be trusted. Subclasses
of plain types cross as the plain type; any other object crosses as an `Opaque`.
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

MAX_BYTES = 4 * 1024 * 1024
"""Size of one message."""

MAX_DEPTH = 200
"""Lists within lists."""


class WireError(Exception):
    """The value cannot cross, or the bytes are not of this form."""


class Opaque:
    """Stands for an object of no plain type. Equal to itself alone; as true as the object was."""

    def __init__(self, kind: str, truth: bool) -> None:
        self._kind = kind
        self._truth = truth

    def __bool__(self) -> bool:
        return self._truth

    def __repr__(self) -> str:
        return f"<{self._kind}>"


def dumps(value: object) -> bytes:
    """Write a value.

    Raises:
        WireError: If it is too large or too deep.
    """
    parts: list[bytes] = []
    _Writer(parts).put(value, 0)
    return b"".join(parts)


def loads(data: bytes) -> Any:
    """Read a value.

    Raises:
        WireError: If the bytes are not of this form, too many or too deep.
    """
    if len(data) > MAX_BYTES:
        raise WireError("too large")
    reader = _Reader(data)
    try:
        value = reader.take(0)
    except (ValueError, TypeError, IndexError, ArithmeticError, OverflowError) as error:
        raise WireError(f"malformed: {error}") from error
    if reader.place != len(data):
        raise WireError("malformed: more bytes than values")
    return value


def send(fd: int, value: object) -> None:
    """Write a value and its length to a pipe."""
    body = dumps(value)
    data = memoryview(len(body).to_bytes(4, "big") + body)
    while data:
        data = data[os.write(fd, data) :]


def receive(fd: int) -> Any:
    """Read a value from a pipe.

    Raises:
        EOFError: If the writer is gone.
        WireError: As `loads`.
    """
    size = int.from_bytes(_exactly(fd, 4), "big")
    if size > MAX_BYTES:
        raise WireError("too large")
    return loads(_exactly(fd, size))


def _exactly(fd: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.read(fd, min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class _Writer:
    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts
        self._size = 0

    def put(self, value: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise WireError("too deep")
        if value is None:
            self._add(b"N")
        elif isinstance(value, bool):
            self._add(b"T" if value else b"F")
        elif isinstance(value, int):
            self._text(b"i", format(int(value), "x"))
        elif isinstance(value, float):
            self._text(b"f", float(value).hex())
        elif isinstance(value, complex):
            self._text(b"c", f"{value.real.hex()} {value.imag.hex()}")
        elif isinstance(value, str):
            self._text(b"s", value)
        elif isinstance(value, bytes | bytearray):
            self._add(b"b" if isinstance(value, bytes) else b"a", bytes(value))
        elif isinstance(value, dict):
            self._items(b"d", [part for pair in value.items() for part in pair], depth)
        elif isinstance(value, list | tuple | set | frozenset | deque):
            self._items(_mark(value), value, depth)
        elif isinstance(value, range):
            self._items(b"r", (value.start, value.stop, value.step), depth)
        elif isinstance(value, Iterator):
            self._items(b"I", self._bounded(value), depth)
        elif _is(value, "fractions", "Fraction"):
            self._items(b"/", (value.numerator, value.denominator), depth)
        elif _is(value, "decimal", "Decimal"):
            self._text(b"D", str(value))
        else:
            kind = type(value)
            self._text(b"o" if value else b"O", f"{kind.__module__}.{kind.__qualname__}")

    def _add(self, mark: bytes, body: bytes | None = None) -> None:
        part = mark if body is None else mark + b"%d:" % len(body) + body
        self._size += len(part)
        if self._size > MAX_BYTES:
            raise WireError("too large")
        self._parts.append(part)

    def _text(self, mark: bytes, text: str) -> None:
        if len(text) > MAX_BYTES:
            raise WireError("too large")
        self._add(mark, text.encode("utf-8", "surrogatepass"))

    def _items(self, mark: bytes, items: Iterable[Any], depth: int) -> None:
        found = list(items)
        self._add(mark + b"%d:" % len(found))
        for item in found:
            self.put(item, depth + 1)

    @staticmethod
    def _bounded(items: Iterator[Any]) -> list[Any]:
        found = []
        for item in items:
            found.append(item)
            if len(found) > MAX_BYTES // 8:
                raise WireError("too large")
        return found


def _mark(value: object) -> bytes:
    for kind, mark in ((list, b"l"), (tuple, b"t"), (set, b"S"), (frozenset, b"z")):
        if isinstance(value, kind):
            return mark
    return b"q"


def _is(value: object, module: str, name: str) -> bool:
    # A value of the class exists only where its module is loaded.
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, getattr(loaded, name))


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def take(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise WireError("too deep")
        mark = self._data[self.place : self.place + 1]
        self.place += 1
        constant = _CONSTANTS.get(mark, self)
        if constant is not self:
            return constant
        if mark in _TEXTS:
            return _TEXTS[mark](self._body().decode("utf-8", "surrogatepass"))
        if mark in _BYTES:
            return _BYTES[mark](self._body())
        if mark not in _ITEMS:
            raise WireError(f"malformed: {mark!r} at {self.place - 1}")
        # A count is never trusted with memory: items are read one by one, each takes a byte or more.
        return _ITEMS[mark]([self.take(depth + 1) for _ in range(self._count())])

    def _count(self) -> int:
        end = self._data.index(b":", self.place, self.place + 12)
        digits = self._data[self.place : end]
        if not digits.isdigit():
            raise WireError(f"malformed: a length of {digits!r}")
        self.place = end + 1
        return int(digits)

    def _body(self) -> bytes:
        size = self._count()
        body = self._data[self.place : self.place + size]
        if len(body) != size:
            raise WireError("malformed: cut short")
        self.place += size
        return body


def _complex(text: str) -> complex:
    real, imaginary = text.split(" ")
    return complex(float.fromhex(real), float.fromhex(imaginary))


def _decimal(text: str) -> Any:
    from decimal import Decimal

    return Decimal(text)


def _fraction(items: list[Any]) -> Any:
    from fractions import Fraction

    return Fraction(*items)


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


_CONSTANTS: dict[bytes, Any] = {b"N": None, b"T": True, b"F": False}
_TEXTS: dict[bytes, Callable[[str], Any]] = {
    b"i": lambda text: int(text, 16),
    b"f": float.fromhex,
    b"c": _complex,
    b"s": str,
    b"D": _decimal,
    b"o": lambda text: Opaque(text, truth=True),
    b"O": lambda text: Opaque(text, truth=False),
}
_BYTES: dict[bytes, Callable[[bytes], Any]] = {b"b": bytes, b"a": bytearray}
_ITEMS: dict[bytes, Callable[[list[Any]], Any]] = {
    b"l": list,
    b"t": tuple,
    b"S": set,
    b"z": frozenset,
    b"q": deque,
    b"d": _pairs,
    b"r": lambda items: range(*items),
    b"I": iter,
    b"/": _fraction,
}


def same_kind(left: object, right: object) -> bool:
    """Whether one can take the other's place in memory: both lists, both dicts and so on."""
    return any(isinstance(left, kind) and isinstance(right, kind) for kind in MUTABLE)


MUTABLE = (list, dict, set, bytearray, deque)
"""Types whose changes a caller sees."""


def overwrite(target: Any, source: Any) -> None:
    """Give `target` the content of `source`, which is of the same kind."""
    if isinstance(target, list | bytearray):
        target[:] = source
    else:
        target.clear()
        (target.extend if isinstance(target, deque) else target.update)(source)
