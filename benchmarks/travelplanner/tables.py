"""Reading a CSV file of the release: its columns checked, incomplete rows left out, as the release does."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from autoflow.benchmarks import rows
from autoflow.errors import DataError

NOTHING = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "<NA>"})
"""What the release's reader takes for a missing cell."""


def read(file: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """Every row, with all its cells as text.

    Raises:
        DataError: If a column is missing or a row is malformed, with the line.
    """
    for row in rows.read(file):
        absent = [name for name in columns if name not in row.values]
        if absent:
            raise DataError(f"{row.place}: has no column {', '.join(absent)}; it has: {', '.join(row.values)}")
        yield {name: str(value) for name, value in row.values.items()}


def complete(file: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """The rows without a missing cell in any column, cut down to `columns`.

    Raises:
        DataError: As of `read`.
    """
    for row in read(file, columns):
        if NOTHING.isdisjoint(row.values()):
            yield {name: row[name] for name in columns}


def number(row: Mapping[str, str], column: str) -> float:
    """A cell that must be a number.

    Raises:
        DataError: If it is none.
    """
    try:
        return float(row[column])
    except ValueError as error:
        raise DataError(f"{column}: {row[column]!r} is no number, in the row {' | '.join(row.values())}") from error
