"""The six tools as operators: a step looks up what its sentence says, in the user's database.

What to look up is the parameter `queries`, or else what the model says in one structured call.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from autoflow.core.json import Json
from autoflow.core.model import Request
from autoflow.core.operator import Card, Invocation
from autoflow.models.structured import structured
from autoflow.operators.asking import say, settled

from .database import Database, Row
from .plan import bare

Query = Mapping[str, str]

MOST_QUERIES = 16
CITY = {"city": "Name of a city, without its state."}
TRIP = {"origin": "City of departure.", "destination": "City of arrival."}


def _table(rows: list[Row], nothing: str) -> str:
    """One line a row, its columns named in the first."""
    if not rows:
        return nothing
    return "\n".join([" | ".join(rows[0]), *(" | ".join(row.values()) for row in rows)])


def _flights(database: Database, query: Query) -> str:
    origin, destination = bare(query["origin"]), bare(query["destination"])
    return _table(database.flights.on(origin, destination, query["date"]), "There is no such flight.")


def _accommodations(database: Database, query: Query) -> str:
    return _table(database.rooms.get(bare(query["city"]), []), "There is no accommodation in this city.")


def _restaurants(database: Database, query: Query) -> str:
    return _table(database.restaurants.get(bare(query["city"]), []), "There is no restaurant in this city.")


def _attractions(database: Database, query: Query) -> str:
    return _table(database.attractions.get(bare(query["city"]), []), "There is no attraction in this city.")


def _distance(database: Database, query: Query) -> str:
    way = database.way(bare(query["origin"]), bare(query["destination"]), query["mode"])
    return _table([way] if way else [], "There is no such way within a day.")


def _cities(database: Database, query: Query) -> str:
    found = [city for city, state in database.states.items() if state == query["state"]]
    return ", ".join(found) or "There is no such state."


@dataclass(frozen=True, slots=True)
class Tool:
    """A table of the database as an operator."""

    name: str
    description: str
    takes: Mapping[str, str]
    """Argument -> what it is."""

    look_up: Callable[[Database, Query], str]
    open: Callable[[], Database] = field(repr=False, compare=False)

    def schema(self) -> dict[str, Any]:
        """JSON Schema of `queries`."""
        properties: dict[str, Any] = {
            name: {"type": "string", "description": what} for name, what in self.takes.items()
        }
        if "mode" in properties:
            properties["mode"]["enum"] = ["self-driving", "taxi"]
        item = {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
        return {"type": "array", "minItems": 1, "maxItems": MOST_QUERIES, "items": item}

    @property
    def card(self) -> Card:
        """Without `queries` the model chooses them."""
        queries = {**self.schema(), "type": ["array", "null"], "default": None}
        return Card(self.name, self.description, parameters={"queries": queries})

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int]:
        """One, or none where the queries are given."""
        return (0, 0) if parameters.get("queries") else (1, 1)

    async def run(self, call: Invocation) -> Json:
        """What the database has, a paragraph a query.

        Raises:
            OperatorError: If a parameter does not fit.
            ReplyError: If the model's queries do not fit, nor the repaired ones.
            DataError: If the database is missing or malformed.
        """
        queries: Any = settled(self.card, call.parameters)["queries"]
        if queries is None:
            request = Request(
                messages=say(call.conversation, f"{call.instruction}\n\nSay what to look up. {self.description}"),
                sampling=call.sampling,
                sample=call.sample,
                purpose="queries",
            )
            wanted: Any = await structured(
                call.model,
                request,
                {
                    "type": "object",
                    "properties": {"queries": self.schema()},
                    "required": ["queries"],
                    "additionalProperties": False,
                },
            )
            queries = wanted["queries"]
        database = self.open()
        return "\n\n".join(f"{', '.join(query.values())}:\n{self.look_up(database, query)}" for query in queries)


def tools(opening: Callable[[], Database]) -> dict[str, Tool]:
    """All six, by name."""
    date, mode = {"date": "YYYY-MM-DD."}, {"mode": "self-driving or taxi."}
    made = (
        Tool("Flights", "Looks up flights between two cities on a date.", {**TRIP, **date}, _flights, opening),
        Tool("Accommodations", "Looks up the accommodations of a city.", CITY, _accommodations, opening),
        Tool("Restaurants", "Looks up the restaurants of a city.", CITY, _restaurants, opening),
        Tool("Attractions", "Looks up the attractions of a city.", CITY, _attractions, opening),
        Tool(
            "Google Distance Matrix",
            "Looks up duration, distance and cost between two cities, self-driving or by taxi.",
            {**TRIP, **mode},
            _distance,
            opening,
        ),
        Tool("Cities", "Looks up the cities of a state.", {"state": "Name of a state."}, _cities, opening),
    )
    return {tool.name: tool for tool in made}
