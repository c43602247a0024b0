"""JSON values and their one canonical text, which hashes and cache keys are made from."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

SCALARS: frozenset[type] = frozenset({str, int, float, bool, type(None)})
"""Types of nearly all values: by them a value is told at once to be neither object nor list."""

# Made once: `json.dumps` makes an encoder for each call that wants another form than its own.
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def canonical(value: object) -> str:
    """Render with sorted keys and no spaces, so that equal values give equal text.

    Raises:
        ValueError: For NaN and infinities, which JSON cannot say.
        TypeError: For values that are not JSON.
    """
    return _encode(value)


def digest(value: object) -> str:
    """SHA-256 of the canonical text, as 64 hexadecimal characters."""
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


def digest_with(value: Mapping[str, object], key: str, items: Iterable[str]) -> str:
    """`digest` of `value` and under `key` a list, whose items' canonical texts need not be in memory together."""
    found = hashlib.sha256()
    for text in _pieces(value, key, items):
        found.update(text.encode("utf-8", "surrogatepass"))
    return found.hexdigest()


def _pieces(value: Mapping[str, object], key: str, items: Iterable[str]) -> Iterator[str]:
    for number, name in enumerate(sorted([*value, key])):
        yield f"{',' if number else '{'}{canonical(name)}:"
        if name == key:
            yield "["
            for index, item in enumerate(items):
                yield f",{item}" if index else item
            yield "]"
        else:
            yield canonical(value[name])
    yield "}"
