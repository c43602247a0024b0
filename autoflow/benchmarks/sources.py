"""Where a benchmark's tasks come from: one class a source, told apart by the key it is named with under `data`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from autoflow.benchmarks import rows as raw_rows
from autoflow.benchmarks.code import Code
from autoflow.benchmarks.rows import RawRow
from autoflow.core.json import Json
from autoflow.core.task import Task
from autoflow.errors import DataError
from autoflow.spool import Spool


@dataclass(frozen=True, slots=True)
class Row:
    """A task, and the values that a split may select it by."""

    task: Task
    values: Mapping[str, Json]


class Rows:
    """All rows of a benchmark, in order: on disk where they are many, their ids in memory."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.ids: list[str] = []
        self.tasks: Spool[Task] = Spool()
        self.values: Spool[Mapping[str, Json]] = Spool()
        for row in rows:
            self.ids.append(row.task.id)
            self.tasks.append(row.task)
            self.values.append(row.values)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Row]:
        return (Row(task, values) for task, values in zip(self.tasks, self.values, strict=True))


class Source(Protocol):
    """Reads all tasks of a benchmark, in an order that never changes."""

    def rows(self, folder: Path, code: Code, options: Mapping[str, Json]) -> Iterable[Row]:
        """Every task.

        Raises:
            DataError: Naming file and row.
        """
        ...

    def options(self) -> Mapping[str, Json]:
        """Options that every benchmark of this source has, with their defaults."""
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

    def options(self) -> Mapping[str, Json]:
        """None."""
        return {}


class Fields(BaseModel):
    """Which field of a row is what. `reference` and `context` map the task's own key to the row's field."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    id: str | None = None
    """`None`: the row's number, counted from 0."""

    reference: dict[str, str] = Field(default_factory=dict)
    context: dict[str, str] = Field(default_factory=dict)
    category: str | None = None

    def task(self, row: RawRow, index: int) -> Task:
        """The row as a task.

        Raises:
            DataError: Naming file, row and field.
        """

        def take(field: str) -> Any:
            if field not in row.values:
                raise DataError(f"{row.place}: has no field {field!r}; it has: {', '.join(map(str, row.values))}")
            return row.values[field]

        identity = index if self.id is None else take(self.id)
        text, category = take(self.text), "" if self.category is None else take(self.category)
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{row.place}: the field {self.text!r} must be a text that is not empty")
        if isinstance(identity, bool) or not isinstance(identity, str | int) or identity == "":
            raise DataError(f"{row.place}: an id must be a text or a whole number, not {identity!r}")
        return Task(
            id=str(identity),
            text=text,
            context={key: take(field) for key, field in self.context.items()},
            reference={key: take(field) for key, field in self.reference.items()},
            category=str(category),
        )


class _FileSource(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    fields: Fields

    def _rows(self, folder: Path, name: str, options: Mapping[str, Json]) -> Iterator[Row]:
        given = options.get("data")
        # A path in the file is meant from the file; one on the command line, from where that was typed.
        file = folder / name if given is None else Path(str(given))
        for index, row in enumerate(raw_rows.read(file)):
            yield Row(self.fields.task(row, index), row.values)

    def options(self) -> Mapping[str, Json]:
        """`data`: another file in place of the one named."""
        return {"data": None}


class JsonlSource(_FileSource):
    """`{jsonl: file, fields: {...}}`: one JSON object a line; blank lines are skipped."""

    jsonl: str

    def rows(self, folder: Path, code: Code, options: Mapping[str, Json]) -> Iterable[Row]:
        """See `Source`. A split may select by any field of the row."""
        return self._rows(folder, self.jsonl, options)


class FileSource(_FileSource):
    """`{file: file, fields: {...}}`: a JSONL, JSON, CSV, TSV or Parquet file, by its suffix."""

    file: str

    def rows(self, folder: Path, code: Code, options: Mapping[str, Json]) -> Iterable[Row]:
        """See `Source`. A split may select by any field of the row."""
        return self._rows(folder, self.file, options)
