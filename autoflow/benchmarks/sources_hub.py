"""Published data: from a local file, from the folder that `AUTOFLOW_DATA` names, or from the Hugging Face hub."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from autoflow.benchmarks import rows as raw_rows
from autoflow.benchmarks.code import Code
from autoflow.benchmarks.rows import RawRow
from autoflow.benchmarks.sources import Fields, Row, Rows
from autoflow.core.json import Json
from autoflow.core.task import Task
from autoflow.errors import AutoflowError, DataError, MissingDependencyError

VARIABLE = "AUTOFLOW_DATA"


class HubSource(BaseModel):
    """`{hub: owner/name, files: [...], local: [...], row: task}`: the first of these that is there.

    1. The option `data`: a file, or a folder laid out as 2 or 3.
    2. `local`, in the folder that `AUTOFLOW_DATA` names.
    3. `files` of the hub's data set, downloaded once into the hub's own cache.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hub: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    files: tuple[str, ...] = Field(min_length=1)
    """Paths in the data set's repository; `*` stands for any text."""

    revision: str | None = None
    """Commit of the data set; `None`: whatever is newest."""

    local: tuple[str, ...] = ()
    """Paths in the folder of `AUTOFLOW_DATA`; all must be there."""

    header: tuple[str, ...] | None = None
    """Columns of CSV and TSV files that have no header line."""

    fields: Fields | None = None
    row: str | None = None
    """A function of benchmark.py: `row(values, index, file)` gives the `Task`, or `None` for a row that is none.
    `index` counts the rows of its file from 0."""

    @model_validator(mode="after")
    def _one_mapping(self) -> "HubSource":
        if (self.fields is None) == (self.row is None):
            raise ValueError("exactly one of fields and row is needed")
        return self

    def options(self) -> Mapping[str, Json]:
        """`data`: a file or folder to read."""
        return {"data": None}

    def rows(self, folder: Path, code: Code, options: Mapping[str, Json]) -> Iterable[Row]:
        """See `Source`. A split may select by any field of the row.

        Raises:
            DataError: If the data is nowhere to be had, saying how to provide it; or malformed, with the row.
        """
        found = Rows(self._read(code, options))
        # The three places hold the same tasks in different orders; the first N of a split must be the same everywhere.
        order = sorted(range(len(found)), key=lambda place: _natural(found.ids[place]))
        return (Row(found.tasks[place], found.values[place]) for place in order)

    def _read(self, code: Code, options: Mapping[str, Json]) -> Iterator[Row]:
        count = 0
        for file in self._found(options.get("data")):
            for index, row in enumerate(raw_rows.read(file, header=self.header)):
                task = self._task(code, row, index, file) if self.fields is None else self.fields.task(row, count)
                if task is not None:
                    count += 1
                    yield Row(task, row.values)

    def _task(self, code: Code, row: RawRow, index: int, file: Path) -> Task | None:
        try:
            task: Any = code.call(self.row or "", row.values, index, file.name)
        except DataError as error:
            if isinstance(error.__cause__, KeyError):
                known = ", ".join(row.values)
                raise DataError(f"{row.place}: has no field {error.__cause__}; it has: {known}") from error
            raise DataError(f"{row.place}: {error.message}") from error
        if task is not None and not isinstance(task, Task):
            raise DataError(f"{code.file}: {self.row} must return an autoflow.core.task.Task or None")
        return task

    def _found(self, given: Json) -> Sequence[Path]:
        if given is not None:
            return self._given(Path(str(given)))
        missing = self._ways()
        named = os.environ.get(VARIABLE)
        if named and self.local:
            paths = [Path(named) / name for name in self.local]
            absent = [path for path in paths if not path.is_file()]
            if not absent:
                return paths
            missing = f"{absent[0]} is not there, and {missing}"
        return self._downloaded(missing)

    def _given(self, path: Path) -> Sequence[Path]:
        if path.is_file():
            return [path]
        for names in (self.local, self.files):
            paths = [file for name in names for file in sorted(path.glob(name))]
            if len(paths) >= len(names) > 0:
                return paths
        if path.is_dir():
            raise DataError(f"{path}: has neither {_all(self.local)} nor {_all(self.files)}")
        raise DataError(f"{path}: the data is not there")

    def _downloaded(self, missing: str) -> Sequence[Path]:
        try:
            return list(_download(self.hub, self.revision, self.files))
        except AutoflowError as error:
            raise type(error)(f"the data is not here: {missing}; {error.message}", hint=self._hint()) from error

    def _ways(self) -> str:
        return f"neither the option data nor {VARIABLE} provides it"

    def _hint(self) -> str:
        local = f"2. set {VARIABLE} to a folder that has {_all(self.local)}; " if self.local else ""
        return (
            f"1. name a file: --data FILE (in Python, options={{'data': FILE}}); {local}"
            f"3. pip install 'autoflow[hub]' and let {_all(self.files)} be downloaded from "
            f"https://huggingface.co/datasets/{self.hub}"
        )


def _natural(identity: str) -> list[tuple[int, str]]:
    """A key that puts 9 before 10, and de-9 before de-10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", identity)]


def _all(names: Sequence[str]) -> str:
    return " and ".join(names)


def _download(repository: str, revision: str | None, files: Sequence[str]) -> Iterator[Path]:
    # Set before the import, where it is read.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingDependencyError("downloading needs the package huggingface_hub") from error
    try:
        folder = Path(snapshot_download(repository, repo_type="dataset", revision=revision, allow_patterns=list(files)))
    except Exception as error:  # The library's errors have no common base: HTTP, cache, offline mode, file system.
        reason = str(error).strip().split("\n")[0]
        raise DataError(f"the download of {repository} failed: {type(error).__name__}: {reason}") from error
    for pattern in files:
        found = sorted(folder.glob(pattern))
        if not found:
            raise DataError(f"{repository} has no file {pattern}")
        yield from found
