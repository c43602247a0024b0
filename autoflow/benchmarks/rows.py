"""Reads a data file into rows: JSON lines, a JSON list, CSV, TSV or Parquet, told apart by the file's suffix.

Each row comes with its place, `file:row`, for errors found later. Rows are counted as an editor counts lines where
the file has lines, and from 1 in a Parquet file or JSON list.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

from autoflow.core.json import Json
from autoflow.errors import DataError, MissingDependencyError

FORMATS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
"""Suffixes that can be read; `.gz` may follow all but the last."""

LONGEST_FIELD = 2**31 - 1

_UTF8 = "utf-8-sig"
# A byte order mark is what Excel begins a CSV file with.


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as the file has it."""

    place: str
    values: dict[str, Json]


def read(file: Path, *, header: tuple[str, ...] | None = None) -> Iterator[RawRow]:
    """Every row, in the file's order, read as it is asked for.

    Args:
        header: Names of the columns of a CSV or TSV file that has no header line.

    Raises:
        DataError: If the file is missing or malformed; with the row.
        MissingDependencyError: For Parquet without the package that reads it.
    """
    suffix = Path(file.name.removesuffix(".gz")).suffix.lower()
    if suffix not in FORMATS:
        raise DataError(f"{file}: the suffix says no format; there are: {', '.join(FORMATS)}, each also with .gz")
    if suffix == ".parquet":
        return _parquet(file)
    if suffix == ".jsonl":
        return _jsonl(file)
    if suffix == ".json":
        return _json(file)
    return _csv(file, "\t" if suffix == ".tsv" else ",", header)


_ABSENT = "put the file there, or name another: --data FILE"


def _not_json(file: Path, number: int | None, error: Exception) -> DataError:
    """Of a line of the file, or of the whole."""
    if isinstance(error, json.JSONDecodeError):
        return DataError(f"{file}:{number or error.lineno}:{error.colno}: is not JSON: {error.msg}")
    return DataError(f"{file}{f':{number}' if number else ''}: is not JSON: {error}")


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    try:
        with gzip.open(file) if file.name.endswith(".gz") else file.open("rb") as opened:
            yield opened  # type: ignore[misc]  # a GzipFile reads as any other
    except FileNotFoundError as error:
        raise DataError(f"{file}: the benchmark's data is not there", hint=_ABSENT) from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as UTF-8 text: {error}") from error


def _jsonl(file: Path) -> Iterator[RawRow]:
    with _opened(file) as lines:
        # As bytes, which end at line feeds alone: a text in a row may hold U+2028 and the like.
        for number, line in enumerate(lines, start=1):
            text = line.decode(_UTF8 if number == 1 else "utf-8")
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise _not_json(file, number, error) from error
            if not isinstance(row, dict):
                raise DataError(f"{file}:{number}: must be a JSON object, one a line")
            yield RawRow(f"{file}:{number}", row)


def _json(file: Path) -> Iterator[RawRow]:
    with _opened(file) as opened:
        text = opened.read().decode(_UTF8)
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not_json(file, None, error) from error
    if not isinstance(rows, list):
        raise DataError(f"{file}: must be a list of objects; for one object a line, name the file .jsonl")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise DataError(f"{file}:{number}: must be a JSON object")
        yield RawRow(f"{file}:{number}", row)


def _csv(file: Path, delimiter: str, header: tuple[str, ...] | None) -> Iterator[RawRow]:
    csv.field_size_limit(LONGEST_FIELD)
    with _opened(file) as opened, io.TextIOWrapper(opened, _UTF8, newline="") as lines:
        # Published TSV files hold bare quotation marks; ours are written by spreadsheets, which quote.
        if delimiter == "\t":
            reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
        else:
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
        names = header
        try:
            for cells in reader:
                place = f"{file}:{reader.line_num}"
                if not any(cell.strip() for cell in cells):
                    continue
                if names is None:
                    names = tuple(cell.strip() for cell in cells)
                    twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
                    if twice is not None:
                        raise DataError(f"{place}: the column {twice!r} is there twice")
                    continue
                if len(cells) != len(names):
                    raise DataError(
                        f"{place}: has {len(cells)} cells, but there are {len(names)} columns: {', '.join(names)}",
                        hint="a cell with a comma or a line break in it must stand in double quotes",
                    )
                yield RawRow(place, dict(zip(names, cells, strict=True)))
        except csv.Error as error:
            raise DataError(f"{file}:{reader.line_num}: {error}") from error


def _parquet(file: Path) -> Iterator[RawRow]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependencyError(
            f"{file}: reading Parquet needs the package pyarrow", hint="pip install 'autoflow[parquet]'"
        ) from error
    try:
        with pyarrow.parquet.ParquetFile(file) as opened:
            number = 0
            for batch in opened.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield RawRow(f"{file}:{number}", {name: _plain(value) for name, value in row.items()})
    except FileNotFoundError as error:
        raise DataError(f"{file}: the benchmark's data is not there", hint=_ABSENT) from error
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{file}: cannot be read as Parquet: {error}") from error


def _plain(value: Any) -> Json:
    """JSON for what Parquet has besides."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    plain: Json = value
    return plain
