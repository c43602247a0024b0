"""A small invented copy of TravelPlanner's release: three cities, and a trip that breaks no constraint."""

import csv
import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from autoflow.benchmarks import code
from autoflow.resources import folder

CODE = code.load(folder("benchmarks") / "travelplanner" / "benchmark.py").module


def part(name: str) -> ModuleType:
    """A module of the benchmark's code."""
    assert CODE is not None
    return importlib.import_module(f"{CODE.__name__}.{name}")


FREE: dict[str, Any] = {"house rule": None, "cuisine": None, "room type": None, "transportation": None}


def _table(file: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows([columns, *rows])


def release(place: Path) -> Path:
    """Write the copy: 45 train and 180 validation questions, all the same."""
    columns = part("question").COLUMNS
    row = ["Aville", "Bton", 3, 1, 2, str(FREE), 1000, "Plan a trip from Aville to Bton.", "easy"]
    _table(place / "train.csv", columns, [row] * 45)
    _table(place / "validation.csv", columns, [row] * 180)
    data, places = part("database"), part("places")
    _table(
        place / places.FLIGHTS,
        part("flights").COLUMNS,
        [
            ["F1", 100, "08:00", "09:00", "1 hour", "2022-03-01", "Aville", "Bton", 300],
            ["F2", 120, "18:00", "19:00", "1 hour", "2022-03-03", "Bton", "Aville", 300],
            ["F3", "", "18:00", "19:00", "1 hour", "2022-03-03", "Bton", "Aville", 300],
        ],
    )
    _table(
        place / places.ACCOMMODATIONS,
        data.ROOMS,
        [
            ["Inn", 50, "Private room", "No pets & No parties", 2, 2, 4, "Bton"],
            ["Long House", 40, "Shared room", "No smoking", 5, 1, 4, "Bton"],
            ["Cabin", 90, "Entire home/apt", "No visitors", 1, 4, 4, "Cford"],
        ],
    )
    meals = [
        [f"Bistro {letter}", 10, "Chinese, Cafe" if letter == "A" else "Mexican", 4, "Bton"] for letter in "ABCDEF"
    ]
    _table(place / places.RESTAURANTS, data.MEALS, [*meals, ["Home Grill", 20, "French", 4, "Aville"]])
    sights = [[name, 1, 2, "street", "phone", "site", "Bton"] for name in ("Tower", "Museum", "Park")]
    _table(place / places.ATTRACTIONS, data.SIGHTS, sights)
    _table(
        place / places.DISTANCES,
        data.WAYS,
        [
            ["Aville", "Bton", "3 hours", "1,300 km"],
            ["Bton", "Aville", "3 hours", "1,300 km"],
            ["Aville", "Cford", "1 day 2 hours", "3,000 km"],
        ],
    )
    cities = place / places.CITIES
    cities.parent.mkdir(parents=True, exist_ok=True)
    cities.write_text("Aville\tAstate\nBton\tBstate\nCford\tBstate\n", encoding="utf-8")
    return place


def question(**changed: Any) -> Any:
    """Three days in Bton for two, with at most $1000."""
    local = {**FREE, **changed.pop("local", {})}
    values = {"home": "Aville", "destination": "Bton", "days": 3, "cities": 1, "people": 2, "budget": 1000.0}
    return part("question").Question(**{**values, **changed, "local": local})


def _day(number: int, city: str, way: str, meals: Sequence[str], sights: str, bed: str) -> dict[str, Any]:
    breakfast, lunch, dinner = (meal if meal == "-" else f"{meal}, Bton" for meal in meals)
    return {
        "days": number,
        "current_city": city,
        "transportation": way,
        "breakfast": breakfast,
        "attraction": sights,
        "lunch": lunch,
        "dinner": dinner,
        "accommodation": bed,
    }


def trip(**changed: Any) -> list[dict[str, Any]]:
    """The trip; `day2_lunch="-"` changes a field of a day."""
    days = [
        _day(
            1,
            "from Aville to Bton",
            "Flight Number: F1, from Aville to Bton",
            ["-", "Bistro A", "Bistro B"],
            "-",
            "Inn, Bton",
        ),
        _day(2, "Bton", "-", ["Bistro C", "Bistro D", "Bistro E"], "Tower, Bton;Museum, Bton;", "Inn, Bton"),
        _day(
            3,
            "from Bton to Aville",
            "Flight Number: F2, from Bton to Aville",
            ["Bistro F", "-", "-"],
            "Park, Bton;",
            "-",
        ),
    ]
    for key, value in changed.items():
        day, _, name = key.partition("_")
        days[int(day.removeprefix("day")) - 1][name] = value
    return days
