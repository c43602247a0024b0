"""A plan: one entry a day, as JSON that fits a schema. Its texts are read by patterns and never evaluated."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from autoflow.core.json import Json
from autoflow.language.json_schema import fault_of_value

Day: TypeAlias = Mapping[str, Any]

MEALS = ("breakfast", "lunch", "dinner")
TEXTS = ("current_city", "transportation", "breakfast", "attraction", "lunch", "dinner", "accommodation")
"""The fields of a day beside its number; "-" is nothing."""

SCHEMA: Mapping[str, Json] = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "properties": {"days": {"type": "integer"}, **{name: {"type": "string"} for name in TEXTS}},
        "required": ["days", *TEXTS],
        "additionalProperties": False,
    },
}

LONGEST = 1_000
"""Characters of a field in which a route is looked for."""

_ROUTE = re.compile(r"\bfrom\s+(\S.*?)\s+to\s+([^,]+)")
_NUMBER = re.compile(r"flight number:\s*([^,]+)", re.IGNORECASE)


def read(answer: Json) -> tuple[Sequence[Day], str]:
    """The plan in a trace's answer, and an empty text; or no day, and what is wrong."""
    value: Any = answer
    if isinstance(answer, str):
        try:
            value = json.loads(answer)
        except (ValueError, RecursionError):
            return (), "the answer is no JSON"
    fault = fault_of_value(value, SCHEMA)
    return (value, "") if fault is None else ((), fault[:300])


def given(text: str) -> bool:
    """Whether a field says anything."""
    return text.strip() not in ("", "-")


def bare(city: str) -> str:
    """A city without the state in parentheses behind it."""
    return city.partition("(")[0].strip()


def route(text: str) -> tuple[str, str] | None:
    """`from A to B` in a text, up to a comma. Only the beginning is read: a model's text may be of any length."""
    match = _ROUTE.search(text[:LONGEST])
    return None if match is None else (bare(match[1]), bare(match[2]))


def cities(day: Day) -> list[str]:
    """Where the day is spent: one city, or the two that it leads between."""
    found = route(day["current_city"])
    return [bare(day["current_city"])] if found is None else list(found)


def mode(text: str) -> str | None:
    """What a transportation is: taxi, self-driving or flight."""
    return next((kind for kind in ("taxi", "self-driving", "flight") if kind in text.lower()), None)


def flight_number(text: str) -> str | None:
    """The number after `Flight Number:`."""
    match = _NUMBER.search(text)
    return None if match is None else match[1].strip()


def place(text: str) -> tuple[str, str]:
    """`Name, City` apart, at the last comma; both empty where there is none."""
    name, comma, city = text.rpartition(",")
    return (name.strip(), bare(city)) if comma else ("", "")


def sights(day: Day) -> list[str]:
    """The attractions, each ended by a semicolon: what follows the last semicolon is not read, as published."""
    return [sight.strip() for sight in day["attraction"].split(";")[:-1]] if given(day["attraction"]) else []


def meals(day: Day) -> list[str]:
    """The meals that are given."""
    return [day[name] for name in MEALS if given(day[name])]
