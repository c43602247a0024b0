"""The release's database: six tables that plans are made from and checked against."""

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from autoflow.errors import DataError

from . import places, tables
from .flights import Flights

ROOMS = (
    "NAME",
    "price",
    "room type",
    "house_rules",
    "minimum nights",
    "maximum occupancy",
    "review rate number",
    "city",
)
MEALS = ("Name", "Average Cost", "Cuisines", "Aggregate Rating", "City")
SIGHTS = ("Name", "Latitude", "Longitude", "Address", "Phone", "Website", "City")
WAYS = ("origin", "destination", "duration", "distance")

DOLLARS_PER_KM = {"self-driving": 0.05, "taxi": 1.0}

_KM = re.compile(r"\s*([\d,]+(?:\.\d+)?)\s*km\s*", re.ASCII)

Row = dict[str, str]


@dataclass(frozen=True)
class Database:
    """Tables are read when they are first asked for."""

    folder: Path

    @cached_property
    def flights(self) -> Flights:
        """All flights."""
        return Flights(self.folder / places.FLIGHTS)

    @cached_property
    def rooms(self) -> dict[str, list[Row]]:
        """City -> accommodations."""
        return self._by_city(places.ACCOMMODATIONS, ROOMS, "city")

    @cached_property
    def restaurants(self) -> dict[str, list[Row]]:
        """City -> restaurants."""
        return self._by_city(places.RESTAURANTS, MEALS, "City")

    @cached_property
    def attractions(self) -> dict[str, list[Row]]:
        """City -> attractions."""
        return self._by_city(places.ATTRACTIONS, SIGHTS, "City")

    @cached_property
    def states(self) -> dict[str, str]:
        """City -> state."""
        file = self.folder / places.CITIES
        found = {}
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip():
                continue
            city, tab, state = line.partition("\t")
            if not tab:
                raise DataError(f"{file}:{number}: must be a city and a state with a tab between them")
            found[city] = state
        return found

    @cached_property
    def _ways(self) -> dict[tuple[str, str], Row]:
        found: dict[tuple[str, str], Row] = {}
        for row in tables.read(self.folder / places.DISTANCES, WAYS):
            found.setdefault((row["origin"], row["destination"]), row)
        return found

    def _by_city(self, name: str, columns: tuple[str, ...], city: str) -> dict[str, list[Row]]:
        found = defaultdict(list)
        for row in tables.complete(self.folder / name, columns):
            found[row[city]].append(row)
        return dict(found)

    def way(self, origin: str, destination: str, mode: str) -> Row | None:
        """Duration, distance and cost in whole dollars by `self-driving` or `taxi`; `None`: there is no such way, or it
        takes more than a day."""
        row = self._ways.get((origin, destination))
        if row is None or not tables.NOTHING.isdisjoint((row["duration"], row["distance"])) or "day" in row["duration"]:
            return None
        length = _KM.fullmatch(row["distance"])
        if length is None:
            return None
        cost = int(float(length[1].replace(",", "")) * DOLLARS_PER_KM[mode])
        return {"duration": row["duration"], "distance": row["distance"], "cost": str(cost)}


def named(rows: list[Row], column: str, name: str) -> list[Row]:
    """The rows whose name has `name` in it, as the release looks names up; none for no name."""
    return [row for row in rows if name and name in row[column]]


@lru_cache(maxsize=2)
def opened(folder: Path) -> Database:
    """The database of a complete folder, one for all who ask."""
    return Database(folder)
