"""Where a benchmark's tasks come from: one class a source, told apart by the key it is named with under `data`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from autoflow.benchmarks.code import Code
from autoflow.core.json import Json
from autoflow.core.task import Task
from autoflow.errors import DataError


@dataclass(frozen=True, slots=True)
class Row:
    """A task, and the values that a split may select it by."""

    task: Task
    values: Mapping[str, Json]


class Source(Protocol):
    """Reads all tasks of a benchmark, in an order that never changes."""

    def rows(self, folder: Path, code: Code, options: Mapping[str, Json]) -> Sequence[Row]:
        """Every task.

        Raises:
            DataError: Naming file and line.
        """
        ...

    def files(self, folder: Path) -> Sequence[Path]:
        """The files that the tasks are read from, beside Python code; part of the benchmark's fingerprint."""
        ...


class PythonSource(BaseModel):
    """`{python: tasks}`: a function of benchmark.py, from the options to a sequence of tasks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    python: str

    def rows(self, folder: Path, code: Code, options: Mapping[str, Json]) -> Sequence[Row]:
        """See `Source`. A split may select by `category`."""
        tasks = code.call(self.python, options)
        if not isinstance(tasks, Sequence) or not all(isinstance(task, Task) for task in tasks):
            raise DataError(f"{code.file}: {self.python}(options) must return a sequence of autoflow.core.task.Task")
        return [Row(task, {"id": task.id, "category": task.category}) for task in tasks]

    def files(self, folder: Path) -> Sequence[Path]:
        """None: the code itself is hashed."""
        return ()


class Fields(BaseModel):
    """Which field of a row is what. `reference` and `context` map the task's own key to the row's field."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    id: str | None = None
    """`None`: the row's number, counted from 0."""

    reference: dict[str, str] = Field(default_factory=dict)
    context: dict[str, str] = Field(default_factory=dict)
    category: str | None = None


class JsonlSource(BaseModel):
    """`{jsonl: file, fields: {...}}`: a file of the folder, one JSON object a line; blank lines are skipped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    jsonl: str
    fields: Fields

    def rows(self, folder: Path, code: Code, options: Mapping[str, Json]) -> Sequence[Row]:
        """See `Source`. A split may select by any field of the row."""
        (file,) = self.files(folder)
        try:
            lines = file.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError as error:
            raise DataError(f"{file}: the benchmark's data is not there") from error
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{file}: cannot be read as UTF-8 text: {error}") from error
        rows: list[Row] = []
        for number, line in enumerate(lines, start=1):
            if line.strip():
                rows.append(self._row(f"{file}:{number}", len(rows), line))
        return rows

    def _row(self, place: str, index: int, line: str) -> Row:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place}: is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f"{place}: must be a JSON object, one a line")

        def take(field: str) -> Any:
            if field not in row:
                raise DataError(f"{place}: has no field {field!r}; it has: {', '.join(map(str, row))}")
            return row[field]

        fields = self.fields
        identity = index if fields.id is None else take(fields.id)
        text, category = take(fields.text), "" if fields.category is None else take(fields.category)
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{place}: the field {fields.text!r} must be a text that is not empty")
        if isinstance(identity, bool) or not isinstance(identity, str | int) or identity == "":
            raise DataError(f"{place}: an id must be a text or a whole number, not {identity!r}")
        task = Task(
            id=str(identity),
            text=text,
            context={key: take(field) for key, field in fields.context.items()},
            reference={key: take(field) for key, field in fields.reference.items()},
            category=str(category),
        )
        return Row(task, row)

    def files(self, folder: Path) -> Sequence[Path]:
        """The one file."""
        return (folder / self.jsonl,)


SOURCES: dict[str, type[PythonSource] | type[JsonlSource]] = {"python": PythonSource, "jsonl": JsonlSource}
"""By the key that names the source."""
