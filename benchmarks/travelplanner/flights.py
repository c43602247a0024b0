"""The flights, millions of them, in a temporary database on disk: never all in memory."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from . import tables

COLUMNS = (
    "Flight Number",
    "Price",
    "DepTime",
    "ArrTime",
    "ActualElapsedTime",
    "FlightDate",
    "OriginCityName",
    "DestCityName",
    "Distance",
)


class Flights:
    """Read once; may be asked from several threads."""

    def __init__(self, file: Path) -> None:
        """Read the CSV file.

        Raises:
            DataError: If a column is missing or a row is malformed.
        """
        # The empty name is a file of SQLite's own that goes when the connection does.
        self._rows = sqlite3.connect("", check_same_thread=False)
        self._lock = threading.Lock()
        names = ", ".join(f'"{name}"' for name in COLUMNS)
        self._rows.execute(f"create table flights ({names})")
        marks = ", ".join("?" for _ in COLUMNS)
        self._rows.executemany(f"insert into flights values ({marks})", self._cells(file))  # noqa: S608 - no input in it
        self._rows.execute('create index number on flights ("Flight Number")')
        self._rows.execute('create index route on flights ("OriginCityName", "DestCityName", "FlightDate")')

    @staticmethod
    def _cells(file: Path) -> Iterator[tuple[str, ...]]:
        for row in tables.complete(file, COLUMNS):
            yield tuple(row[name] for name in COLUMNS)

    def _select(self, condition: str, values: tuple[str, ...]) -> list[dict[str, str]]:
        with self._lock:
            found = self._rows.execute(
                f"select * from flights where {condition} order by rowid",  # noqa: S608 - conditions are those below
                values,
            ).fetchall()
        return [dict(zip(COLUMNS, cells, strict=True)) for cells in found]

    def on(self, origin: str, destination: str, date: str) -> list[dict[str, str]]:
        """Flights of a day, YYYY-MM-DD."""
        return self._select(
            '"OriginCityName" = ? and "DestCityName" = ? and "FlightDate" = ?', (origin, destination, date)
        )

    def numbered(self, number: str) -> list[dict[str, str]]:
        """Flights of that number, in the file's order."""
        return self._select('"Flight Number" = ?', (number,))
