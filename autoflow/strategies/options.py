"""What every strategy checks of its options before anything is paid."""

from collections.abc import Collection, Mapping
from dataclasses import Field, fields
from typing import Any

from autoflow.errors import UsageError


def check(options: Any, *, zero: Collection[str] = (), words: Mapping[str, Collection[str]] | None = None) -> None:
    """Refuse options, a dataclass instance, that do not fit the types and kinds of their defaults.

    A whole number stays one, a number may be whole, true or false is neither; `None` passes where it is the default.
    Numbers are above 0, those in `zero` at least 0; a text named in `words` is one of those.

    Raises:
        UsageError: Naming the first that does not fit, and what would.
    """
    for item in fields(options):
        value = getattr(options, item.name)
        if value is None and item.default is None:
            continue
        wanted = _wanted(item, zero, words or {})
        if not wanted[0](value):
            raise UsageError(f"strategy option {item.name} must be {wanted[1]}, not {value!r}")


def _wanted(item: "Field[Any]", zero: Collection[str], words: Mapping[str, Collection[str]]) -> tuple[Any, str]:
    if item.name in words:
        known = words[item.name]
        return lambda value: value in known, f"one of {', '.join(known)}"
    if isinstance(item.default, str):
        return lambda value: isinstance(value, str), "a text"
    if isinstance(item.default, bool):
        return lambda value: isinstance(value, bool), "true or false"
    kinds = (int, float) if isinstance(item.default, float) else (int,)
    least = "of at least 0" if item.name in zero else "above 0"
    kind = "a number" if len(kinds) > 1 else "a whole number"
    return lambda value: type(value) in kinds and value >= 0 and (value > 0 or item.name in zero), f"{kind} {least}"
