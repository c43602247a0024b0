"""TravelPlanner: days of a trip planned from a database under constraints. What benchmark.yaml cannot say."""

from collections.abc import Mapping, Sequence

from autoflow.core.json import Json
from autoflow.core.operator import Operator
from autoflow.core.score import Scorer
from autoflow.core.task import Task
from autoflow.errors import UnknownNameError

from . import places, question, tables
from .database import opened
from .operators import tools
from .scorer import FinalPass


def tasks(options: Mapping[str, Json]) -> Sequence[Task]:
    """The questions of train.csv, then those of validation.csv; the id is the place in that order, from 0.

    Raises:
        DataError: If a file is missing or malformed.
    """
    folder = places.found(options)
    rows = [
        (f"{folder / name}, row {index}", row)
        for name in places.TASKS
        for index, row in enumerate(tables.read(folder / name, question.COLUMNS))
    ]
    return [
        Task(str(index), row["query"], reference=question.reference(row, place), category=row["level"])
        for index, (place, row) in enumerate(rows)
    ]


def operators(options: Mapping[str, Json]) -> Mapping[str, Operator]:
    """The six tools; the database is read when one is first used."""
    return tools(lambda: opened(places.found(options)))


def scorer(name: str, options: Mapping[str, Json]) -> Scorer:
    """`final-pass`.

    Raises:
        UnknownNameError: For any other name.
        DataError: If a file is missing.
    """
    if name != "final-pass":
        raise UnknownNameError("scorer of travelplanner", name, ["final-pass"])
    return FinalPass(places.found(options))
