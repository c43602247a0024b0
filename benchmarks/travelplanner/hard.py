"""The hard constraints: the budget, and what a question says of rooms, food and transportation (Xie et al. 2024,
arXiv:2402.01622, table 1)."""

import math
from collections.abc import Callable, Iterator, Sequence

from . import plan as plans
from .database import Database, Row, named
from .plan import Day
from .question import Question
from .tables import number
from .verdict import Verdict, Verdicts

SEATS = {"self-driving": 5, "taxi": 4}
"""People to a car."""

ROOM_TYPES = {"shared room": "Shared room", "private room": "Private room", "entire room": "Entire home/apt"}
"""What a question says -> what the database says."""


def cost(question: Question, days: Sequence[Day], database: Database) -> float:
    """Dollars for all people: every journey, meal and night that the database knows."""
    total = 0.0
    for day in days:
        total += _fare(question, day, database)
        for meal in plans.meals(day):
            row = _restaurant(meal, database)
            total += number(row, "Average Cost") * question.people if row else 0
        for room in _rooms([day], database):
            total += number(room, "price") * math.ceil(question.people / number(room, "maximum occupancy"))
    return total


def _fare(question: Question, day: Day, database: Database) -> float:
    text = day["transportation"]
    kind, flight = plans.mode(text), plans.flight_number(text)
    route = plans.route(text) or plans.route(day["current_city"])
    if route is None:
        return 0
    if flight is not None:
        # The first of that number, whatever the date: plans name no date.
        flights = database.flights.numbered(flight)
        return number(flights[0], "Price") * question.people if flights else 0
    if kind not in SEATS:
        return 0
    way = database.way(*route, kind)
    return float(way["cost"]) * math.ceil(question.people / SEATS[kind]) if way else 0


def _restaurant(meal: str, database: Database) -> Row | None:
    name, city = plans.place(meal)
    return next(iter(named(database.restaurants.get(city, []), "Name", name)), None)


def _rooms(days: Sequence[Day], database: Database) -> Iterator[Row]:
    """The accommodation of each night that has a known one."""
    for day in days:
        if plans.given(day["accommodation"]):
            name, city = plans.place(day["accommodation"])
            yield from named(database.rooms.get(city, []), "NAME", name)[:1]


def budget(question: Question, days: Sequence[Day], database: Database) -> Verdict:
    """The cost is within the budget."""
    total = cost(question, days, database)
    return None if total <= question.budget else f"costs {total:g}, more than {question.budget:g}"


def room_rule(question: Question, days: Sequence[Day], database: Database) -> Verdict:
    """No accommodation forbids what the question wants to do."""
    # The published program spells it so, and misses the questions that spell it right.
    wanted = {"parities": "parties"}.get(question.local["house rule"], question.local["house rule"])
    for room in _rooms(days, database):
        if f"No {wanted}" in room["house_rules"]:
            return f"{room['NAME']}: No {wanted}"
    return None


def room_type(question: Question, days: Sequence[Day], database: Database) -> Verdict:
    """Every accommodation is of the type asked for."""
    wanted = question.local["room type"]
    for room in _rooms(days, database):
        found = room["room type"]
        if found == "Shared room" if wanted == "not shared room" else found != ROOM_TYPES.get(wanted, found):
            return f"{room['NAME']} is: {found}, not: {wanted}"
    return None


def cuisine(question: Question, days: Sequence[Day], database: Database) -> Verdict:
    """Every cuisine asked for is eaten once. A meal in the home city ends its day's count, as published."""
    eaten = ""
    for day in days:
        for meal in plans.meals(day):
            if plans.place(meal)[1] == question.home:
                break
            row = _restaurant(meal, database)
            eaten += f"{row['Cuisines']}\n" if row else ""
    missing = [wanted for wanted in question.local["cuisine"] if wanted not in eaten]
    return f"no {', '.join(missing)}" if missing else None


def transportation(question: Question, days: Sequence[Day], database: Database) -> Verdict:
    """No flight, or no self-driving, where the question says so."""
    refused = str(question.local["transportation"]).removeprefix("no ")
    for count, day in enumerate(days, start=1):
        if plans.given(day["transportation"]) and refused in day["transportation"].lower():
            return f"day {count}: {day['transportation']}"
    return None


LOCAL: dict[str, tuple[str, Callable[[Question, Sequence[Day], Database], Verdict]]] = {
    "Room Rule": ("house rule", room_rule),
    "Cuisine": ("cuisine", cuisine),
    "Room Type": ("room type", room_type),
    "Transportation": ("transportation", transportation),
}
"""Published name -> the question's key for it, and the rule."""


def judge(question: Question, days: Sequence[Day], database: Database) -> Verdicts:
    """The budget, and those of the others that the question states."""
    days = days[: question.days]
    stated = {name: rule for name, (key, rule) in LOCAL.items() if question.local.get(key)}
    return {name: rule(question, days, database) for name, rule in {"Budget": budget, **stated}.items()}
