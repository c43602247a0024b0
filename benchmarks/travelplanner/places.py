"""Where the user's copy of the release lies, and what of it is missing."""

import os
from collections.abc import Mapping
from pathlib import Path

from autoflow.core.json import Json
from autoflow.errors import DataError

VARIABLE = "AUTOFLOW_DATA"
NAME = "travelplanner"

TASKS = ("train.csv", "validation.csv")
"""The published questions that come with their constraints; those of test.csv are withheld."""

FLIGHTS = "database/flights/clean_Flights_2022.csv"
ACCOMMODATIONS = "database/accommodations/clean_accommodations_2022.csv"
RESTAURANTS = "database/restaurants/clean_restaurant_2022.csv"
ATTRACTIONS = "database/attractions/attractions.csv"
DISTANCES = "database/googleDistanceMatrix/distance.csv"
CITIES = "database/background/citySet_with_states.txt"
DATABASE = (FLIGHTS, ACCOMMODATIONS, RESTAURANTS, ATTRACTIONS, DISTANCES, CITIES)


def folder(options: Mapping[str, Json]) -> Path | None:
    """The folder of the option `data`, else travelplanner in that of AUTOFLOW_DATA; `None`: neither is given."""
    if options.get("data") is not None:
        return Path(str(options["data"])).expanduser()
    named = os.environ.get(VARIABLE)
    return Path(named) / NAME if named else None


def missing(path: Path | None) -> list[str]:
    """The files that are not there."""
    return [name for name in (*TASKS, *DATABASE) if path is None or not (path / name).is_file()]


def found(options: Mapping[str, Json]) -> Path:
    """The folder, complete.

    Raises:
        DataError: Naming every file that is missing, and how to provide it.
    """
    path = folder(options)
    absent = missing(path)
    if path is None:
        raise DataError(f"travelplanner needs its data: neither the option data nor {VARIABLE} names it", hint=HINT)
    if absent:
        raise DataError(f"{path}: lacks {', '.join(absent)}", hint=HINT)
    return path


HINT = (
    f"make a folder with {', '.join(TASKS)} (https://huggingface.co/datasets/osunlp/TravelPlanner) and the release's "
    f"database/ (https://github.com/OSU-NLP-Group/TravelPlanner); name it with --data FOLDER, or as {NAME} in the "
    f"folder of {VARIABLE}"
)
