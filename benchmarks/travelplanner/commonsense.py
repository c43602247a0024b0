"""The eight commonsense constraints, as published with TravelPlanner (Xie et al. 2024, arXiv:2402.01622, table 1).

Days past the question's number are not read. Two rules are held as they are stated where the published program does
not hold them: on a day in one city everything must be in that city, and a route that cannot be read is a fault.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby

from . import plan as plans
from . import tables
from .database import Database, named
from .plan import Day
from .question import Question
from .verdict import Constraint, Verdict, Verdicts

LEAST_FILLED = 0.5
"""Share of six facts a day that must be given."""


def within_sandbox(question: Question, days: Sequence[Day], database: Database) -> Verdict:
    """Everything named is in the database."""
    for number, day in enumerate(days, start=1):
        fault = _transportation_unknown(day, database)
        if fault is not None:
            return f"day {number}: {fault}"
        for meal in plans.meals(day):
            name, city = plans.place(meal)
            if not named(database.restaurants.get(city, []), "Name", name):
                return f"day {number}: there is no restaurant {meal}"
        for sight in plans.sights(day):
            name, city = plans.place(sight)
            if not named(database.attractions.get(city, []), "Name", name):
                return f"day {number}: there is no attraction {sight}"
        if plans.given(day["accommodation"]):
            name, city = plans.place(day["accommodation"])
            if not named(database.rooms.get(city, []), "NAME", name):
                return f"day {number}: there is no accommodation {day['accommodation']}"
    return None


def _transportation_unknown(day: Day, database: Database) -> Verdict:
    text = day["transportation"]
    kind = plans.mode(text)
    number = plans.flight_number(text)
    if not plans.given(text) or (kind in (None, "flight") and number is None):
        return None
    route = plans.route(text) or plans.route(day["current_city"])
    if route is None:
        return f"from where to where {text} leads is not said"
    if number is not None:
        flights = database.flights.numbered(number)
        known = any((flight["OriginCityName"], flight["DestCityName"]) == route for flight in flights)
        return None if known else f"there is no flight {number} from {route[0]} to {route[1]}"
    assert kind is not None
    return None if database.way(*route, kind) else f"there is no {kind} from {route[0]} to {route[1]}"


def complete_information(question: Question, days: Sequence[Day], database: Database) -> Verdict:
    """As many days and cities as asked for, nothing needed left out, and at least half of all facts given."""
    if len(days) != question.days:
        return f"there are {len(days)} days, not {question.days}"
    visited = {city for day in days for city in plans.cities(day)} - {question.home}
    if len(visited) != question.cities:
        return f"{len(visited)} cities are visited, not {question.cities}"
    for number, day in enumerate(days, start=1):
        moving = plans.route(day["current_city"]) is not None
        if moving and not plans.given(day["transportation"]):
            return f"day {number}: no transportation"
        if not moving and not plans.given(day["attraction"]):
            return f"day {number}: no attraction"
        if number != question.days and not plans.given(day["accommodation"]):
            return f"day {number}: no accommodation"
        if not moving and len(plans.meals(day)) < len(plans.MEALS):
            return f"day {number}: a meal is missing"
    # The day's number and city count too, as published.
    filled = sum(1 + sum(plans.given(day[name]) for name in plans.TEXTS) for day in days)
    return None if filled / (6 * question.days) >= LEAST_FILLED else "more than half of the information is missing"


def within_current_city(question: Question, days: Sequence[Day], database: Database) -> Verdict:
    """Everything is in the day's city, or in one of the two that the day leads between; the bed in the last."""
    for number, day in enumerate(days, start=1):
        cities = plans.cities(day)
        if plans.given(day["transportation"]) and not all(city in day["transportation"] for city in cities):
            return f"day {number}: the transportation does not name {' and '.join(cities)}"
        for text in (*plans.meals(day), *plans.sights(day)):
            if not any(city in text for city in cities):
                return f"day {number}: {text} is not in {' or '.join(cities)}"
        if plans.given(day["accommodation"]) and cities[-1] not in day["accommodation"]:
            return f"day {number}: {day['accommodation']} is not in {cities[-1]}"
    return None


def reasonable_city_route(question: Question, days: Sequence[Day], database: Database) -> Verdict:
    """From home and back, each city in one stay, and on trips of more than three days all in the state asked for."""
    first = plans.route(days[0]["current_city"])
    if first is not None and first[0] != question.home:
        return f"the first day begins in {first[0]}, not in {question.home}"
    cities = [city for day in days for city in plans.cities(day)]
    if cities[0] != cities[-1]:
        return f"the trip begins in {cities[0]} and ends in {cities[-1]}"
    if len(cities) < 3:
        return "the trip leads nowhere"
    stays = [(city, len(list(same))) for city, same in groupby(cities)]
    # Home may come again as the very last word only.
    alone = stays[:-1] if stays[-1][1] == 1 else stays
    if len({city for city, _ in alone}) != len(alone):
        return "a city is visited twice"
    for city, length in stays[1:-1]:
        # Arriving and leaving each name the city: once is passing through without a stay.
        if length == 1:
            return f"{city} is named only once"
    for city in cities:
        if city not in database.states:
            return f"there is no city {city}"
    for city in cities[1:-1]:
        if question.days > 3 and database.states[city] != question.destination:
            return f"{city} is not in {question.destination}"
    return None


def diverse_restaurants(question: Question, days: Sequence[Day], database: Database) -> Verdict:
    """No restaurant twice."""
    return _repeated([meal for day in days for meal in plans.meals(day)])


def diverse_attractions(question: Question, days: Sequence[Day], database: Database) -> Verdict:
    """No attraction twice."""
    return _repeated([sight for day in days for sight in plans.sights(day)])


def _repeated(texts: Sequence[str]) -> Verdict:
    twice = next((text for place, text in enumerate(texts) if text in texts[:place]), None)
    return None if twice is None else f"{twice} comes twice"


def non_conflicting_transportation(question: Question, days: Sequence[Day], database: Database) -> Verdict:
    """The first day has transportation, and who drives does not fly or take a taxi."""
    if not plans.given(days[0]["transportation"]):
        return "day 1: no transportation"
    kinds = {plans.mode(day["transportation"]) for day in days if plans.given(day["transportation"])}
    other = kinds & {"flight", "taxi"}
    return f"self-driving and {' and '.join(sorted(map(str, other)))}" if "self-driving" in kinds and other else None


def minimum_nights_stay(question: Question, days: Sequence[Day], database: Database) -> Verdict:
    """Each stay is at least as long as the accommodation asks; a name that fits several is not judged."""
    for text, same in groupby(day["accommodation"] for day in days):
        name, city = plans.place(text)
        rows = named(database.rooms.get(city, []), "NAME", name) if plans.given(text) else []
        nights = len(list(same))
        least = tables.number(rows[0], "minimum nights") if len(rows) == 1 else 0
        if nights < least:
            return f"{text} asks for {least:g} nights, not {nights}"
    return None


CONSTRAINTS: Mapping[str, Constraint] = {
    "Within Sandbox": within_sandbox,
    "Complete Information": complete_information,
    "Within Current City": within_current_city,
    "Reasonable City Route": reasonable_city_route,
    "Diverse Restaurants": diverse_restaurants,
    "Diverse Attractions": diverse_attractions,
    "Non-conf. Transportation": non_conflicting_transportation,
    "Minimum Nights Stay": minimum_nights_stay,
}


def judge(question: Question, days: Sequence[Day], database: Database) -> Verdicts:
    """All eight on the question's days."""
    return {name: rule(question, days[: question.days], database) for name, rule in CONSTRAINTS.items()}
