"""A benchmark's folder: found by name or path, opened, and all its rows read. What of them may be shown is not decided
here: `loader` gives train and validation, `held_out` the rest."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autoflow import resources
from autoflow.benchmarks import code as codes
from autoflow.benchmarks import definition, splits, visible_tests
from autoflow.benchmarks.sources import Rows
from autoflow.core.json import Json, canonical, digest_with
from autoflow.core.task import Task
from autoflow.errors import AutoflowError, DataError, UnknownNameError
from autoflow.spool import Picked

LEARNING = ("train", "validation")
"""The splits that strategies see."""


@dataclass(frozen=True, slots=True)
class Folder:
    """An opened benchmark."""

    path: Path
    """The folder that the definition lies in."""

    placed: definition.Placed
    code: codes.Code
    options: Mapping[str, Json]
    """Every option of the definition, those given in place of the defaults."""

    rows: Rows

    def split(self, name: str) -> Sequence[Task]:
        """The tasks of a split, in its order, each read when it is asked for.

        Raises:
            UnknownNameError: If the definition has no such split.
            DataError: If it names tasks that are not there; with the line.
        """
        return Picked(self.rows.tasks, self._places(name))

    def ids(self, name: str) -> Sequence[str]:
        """The ids of a split's tasks, in its order.

        Raises:
            UnknownNameError: If the definition has no such split.
            DataError: If it names tasks that are not there; with the line.
        """
        return Picked(self.rows.ids, self._places(name))

    def _places(self, name: str) -> Sequence[int]:
        known = self.placed.definition.splits
        if name not in known:
            raise UnknownNameError("split", name, list(known))
        try:
            return splits.select(name, known, self.rows, self.path)
        except ValueError as error:
            raise self.placed.yaml.error(("splits", name), f"split {name!r}: {error}") from error

    def fingerprint(self) -> str:
        """Hash of definition, data, options and code; notes and README are out."""
        rest = {
            "definition": self.placed.definition.model_dump(mode="json", include={"name", "data", "scorer"}),
            "splits": {name: list(self.ids(name)) for name in self.placed.definition.splits},
            # Which file the data came from does not matter, what was in it does: it is in the tasks.
            "options": {key: value for key, value in self.options.items() if key != "data"},
            "code": [
                [path.relative_to(self.path).as_posix(), path.read_bytes().hex()]
                for path in codes.files(self.code.file)
            ],
        }
        tasks = (
            canonical([task.id, task.text, task.context, task.reference, task.category]) for task in self.rows.tasks
        )
        return digest_with(rest, "tasks", tasks)


def names() -> list[str]:
    """Every bundled benchmark, sorted."""
    root = resources.folder("benchmarks")
    return sorted(path.parent.name for path in root.glob(f"*/{definition.FILE}"))


def find(name_or_path: str) -> Path:
    """The definition of a bundled benchmark, or of the user's own by the path to it or to its folder.

    A bundled name wins; `./name` is a path.

    Raises:
        UnknownNameError: If it is neither.
    """
    if name_or_path in names():
        return resources.folder("benchmarks") / name_or_path / definition.FILE
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} and path.is_file():
        return path.resolve()
    if (path / definition.FILE).is_file():
        return (path / definition.FILE).resolve()
    hint = f"or the path of a YAML file, or of a folder with a {definition.FILE}"
    if path.exists():
        hint = f"{path} exists, but is neither a YAML file nor a folder with a {definition.FILE}"
    elif path.suffix in {".yaml", ".yml"}:
        hint = f"there is no file {path}; autoflow init benchmark {path} writes one"
    raise UnknownNameError("benchmark", name_or_path, names(), hint=hint)


def recorded(name: str, command: str) -> str:
    """The benchmark of a recorded run by what opens it from here: its name where it is bundled, else the path that
    the run's command has.

    Raises:
        UnknownNameError: If it is not found so.
    """
    if name in names():
        return name
    for word in shlex.split(command)[2:]:
        try:
            if definition.read(find(word)).definition.name == name:
                return word
        except AutoflowError:
            continue
    raise UnknownNameError(
        "benchmark", name, names(), hint=f"name its file: --benchmark PATH; the run was made by: {command}"
    )


def open_folder(name_or_path: str, options: Mapping[str, Json]) -> Folder:
    """Open a benchmark and read all its tasks.

    Raises:
        UnknownNameError: For an unknown benchmark or option.
        DataError: If the definition, the data or the code is at fault; with file and line.
    """
    file = find(name_or_path)
    placed = definition.read(file)
    known = {**placed.source.options(), **placed.definition.options}
    for option in options:
        if option not in known:
            raise UnknownNameError(f"option of benchmark {placed.definition.name}", option, list(known))
    code = codes.load(file.with_suffix(".py"))
    merged = {**known, **options}
    found = placed.source.rows(file.parent, code, merged)
    rows = Rows(replace(row, task=visible_tests.without_scored(row.task)) for row in found)
    folder = Folder(file.parent, placed, code, merged, rows)
    _check(folder)
    return folder


def _check(folder: Folder) -> None:
    seen: set[str] = set()
    for id_ in folder.rows.ids:
        if id_ in seen:
            raise DataError(f"{folder.placed.yaml.file}: two tasks have the id {id_!r}")
        seen.add(id_)
    for name, digest_ in folder.placed.definition.pinned.items():
        found = splits.ids_digest(folder.ids(name))
        if found != digest_:
            raise folder.placed.yaml.error(
                ("pinned", name),
                f"split {name!r} is not the one pinned: its {len(folder.ids(name))} ids have the digest {found}, "
                f"not {digest_}",
                hint="other data than the definition is meant for was read; without `pinned` it is taken as it is",
            )
    # A test task that is also learned from is not held out, whatever the split is called.
    taken: dict[str, str] = {}
    for name in (*LEARNING, "test"):
        if name in folder.placed.definition.splits:
            for id_ in folder.ids(name):
                if id_ in taken:
                    raise folder.placed.yaml.error(
                        ("splits", name), f"task {id_} is in {taken[id_]} and in {name}; they must not overlap"
                    )
                taken[id_] = name
