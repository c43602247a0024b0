"""Reads a scorer's parameters into its dataclass, with errors that name what exists."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from autoflow.core.json import Json
from autoflow.errors import ConfigError, UnknownNameError

Made = TypeVar("Made")

_WORDS: dict[Any, str] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    tuple: "a list",
    dict: "a mapping",
    Mapping: "a mapping",
    type(None): "left out",
}


def build(scorer: str, kind: type[Made], parameters: Mapping[str, Json]) -> Made:
    """An instance of the dataclass `kind`, from its fields by name; `label` is not one that may be set.

    Raises:
        UnknownNameError: For a parameter that the scorer lacks.
        ConfigError: For one of the wrong type, or one that is missing or does not fit.
    """
    known = {item.name: item for item in _settable(kind)}
    # Not get_type_hints(): `Json` refers to names that the scorer's module need not have.
    hints = {name: item.type for name, item in known.items()}
    values: dict[str, Any] = {}
    for name, value in parameters.items():
        if name not in known:
            raise UnknownNameError(f"parameter of scorer {scorer!r}", name, list(known))
        if not _fits(value, hints[name]):
            raise ConfigError(f"scorer {scorer!r}: {name} must be {_said(hints[name])}, not {value!r}")
        values[name] = tuple(value) if isinstance(value, list) else value
    for name, item in known.items():
        if name not in values and item.default is MISSING and item.default_factory is MISSING:
            raise ConfigError(f"scorer {scorer!r}: the parameter {name} is missing; it must be {_said(hints[name])}")
    try:
        return kind(**values)
    except ValueError as error:
        raise ConfigError(f"scorer {scorer!r}: {error}") from error


def _settable(kind: type) -> list["Field[Any]"]:
    return [item for item in fields(kind) if item.init and item.name != "label"]


def _fits(value: object, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if origin is tuple:
        return isinstance(value, list | tuple) and all(_fits(item, get_args(hint)[0]) for item in value)
    if origin is not None:
        return isinstance(value, origin)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _said(hint: Any) -> str:
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    words = [_WORDS[get_origin(part) or part] for part in parts if part is not type(None)]
    return " or ".join(words)
