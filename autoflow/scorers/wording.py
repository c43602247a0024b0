"""What scorers of texts share: the reference, the form in which texts are compared, the parameters."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import TypedDict

from autoflow.core.json import Json
from autoflow.core.task import Task
from autoflow.errors import ConfigError, DataError, UnknownNameError


class Settings(TypedDict, total=False):
    """Parameters of `exact` and `contains`."""

    field: str
    ignore_case: bool


def settings(scorer: str, parameters: Mapping[str, Json]) -> Settings:
    """The parameters, checked; those not given are left out.

    Raises:
        UnknownNameError: For a parameter that the scorer lacks.
        ConfigError: For one of the wrong type.
    """
    found: Settings = {}
    for name, value in parameters.items():
        if name == "field" and isinstance(value, str):
            found["field"] = value
        elif name == "ignore_case" and isinstance(value, bool):
            found["ignore_case"] = value
        elif name in Settings.__annotations__:
            kind = "a text" if name == "field" else "true or false"
            raise ConfigError(f"scorer {scorer!r}: {name} must be {kind}, not {value!r}")
        else:
            raise UnknownNameError(f"parameter of scorer {scorer!r}", name, list(Settings.__annotations__))
    return found


def golds(task: Task, field: str) -> Sequence[Json]:
    """The right answers of a task, at least one.

    Raises:
        DataError: If the reference has none.
    """
    value = task.reference.get(field)
    found = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if value is None or not found:
        raise DataError(
            f"task {task.id}: its reference has no {field!r}; it has: {', '.join(task.reference) or 'nothing'}"
        )
    return found


def normalise(text: str, *, ignore_case: bool) -> str:
    """NFKC, white space collapsed and stripped, and case folded where asked."""
    folded = " ".join(unicodedata.normalize("NFKC", text).split())
    return folded.casefold() if ignore_case else folded
