"""What a question asks for, as the scorer reads it."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autoflow.core.json import Json
from autoflow.errors import DataError

COLUMNS = (
    "org",
    "dest",
    "days",
    "visiting_city_number",
    "people_number",
    "local_constraint",
    "budget",
    "query",
    "level",
)
LOCAL = ("house rule", "cuisine", "room type", "transportation")


@dataclass(frozen=True, slots=True)
class Question:
    """A row of train.csv or validation.csv."""

    home: str
    """City of departure and return."""

    destination: str
    """A city on trips of three days, else a state."""

    days: int
    cities: int
    """How many are to be visited."""

    people: int
    budget: float
    """Dollars."""

    local: Mapping[str, Any]
    """House rule, room type, transportation: text or `None`; cuisine: list or `None`."""

    def stated(self) -> int:
        """How many hard constraints it has: the budget, and the local ones that are not `None`."""
        return 1 + sum(bool(self.local.get(name)) for name in LOCAL)


def reference(row: Mapping[str, str], place: str) -> Mapping[str, Json]:
    """A row as a task's reference.

    Raises:
        DataError: If a value is malformed.
    """
    try:
        # The release writes it as a Python literal; literal_eval reads literals and runs nothing.
        local = ast.literal_eval(row["local_constraint"])
        if not isinstance(local, dict) or set(LOCAL) - set(local):
            raise ValueError(f"local_constraint must have {', '.join(LOCAL)}")
        return {
            "home": row["org"],
            "destination": row["dest"],
            "days": int(row["days"]),
            "cities": int(row["visiting_city_number"]),
            "people": int(row["people_number"]),
            "budget": float(row["budget"]),
            "local": {name: local[name] for name in LOCAL},
        }
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise DataError(f"{place}: {error}") from error


def of(written: Mapping[str, Any]) -> Question:
    """A task's reference as a question."""
    return Question(**written)
