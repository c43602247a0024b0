"""benchmark.yaml: what it may say, and reading it with errors that name the line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError

from autoflow.benchmarks import places
from autoflow.benchmarks import splits as forms
from autoflow.benchmarks.sources import FileSource, JsonlSource, PythonSource, Source
from autoflow.benchmarks.sources_hub import HubSource
from autoflow.errors import DataError

FILE = "benchmark.yaml"

SOURCES: dict[str, type[PythonSource] | type[JsonlSource] | type[FileSource] | type[HubSource]] = {
    "python": PythonSource,
    "jsonl": JsonlSource,
    "file": FileSource,
    "hub": HubSource,
}
"""By the key that names the source."""


def _one_source(value: Any) -> Any:
    if isinstance(value, dict) and sum(name in value for name in SOURCES) == 1:
        return value
    raise ValueError(f"must be a mapping with exactly one of the sources: {', '.join(SOURCES)}")


def _scorer(value: Any) -> Any:
    """`exact` stands for `{exact: {}}`."""
    if isinstance(value, str) and value:
        return {value: {}}
    if isinstance(value, dict) and len(value) == 1:
        return {name: {} if parameters is None else parameters for name, parameters in value.items()}
    raise ValueError("must be a scorer's name, or one name with its parameters: {exact: {field: answer}}")


def _operators(value: Any) -> Any:
    if value is None or (isinstance(value, str) and value) or isinstance(value, list):
        return value
    raise ValueError("must be a set's name, the path of a set, or a list of operators' names")


class Definition(BaseModel):
    """The file's content."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    description: str = Field(min_length=1)
    data: Annotated[dict[str, Any], BeforeValidator(_one_source)]
    """The source, as written."""

    splits: dict[str, Annotated[Any, PlainValidator(forms.parse)]] = Field(
        default_factory=lambda: {"test": forms.All()}, min_length=1
    )
    """Name -> `autoflow.benchmarks.splits.Split`; left out, every task is in test."""

    pinned: dict[str, str] = Field(default_factory=dict)
    """Split -> `autoflow.benchmarks.splits.ids_digest` that it must have: a published split stays the published one."""

    scorer: Annotated[dict[str, dict[str, Any]], BeforeValidator(_scorer)]
    """One entry: name -> parameters."""

    baseline: str | None = None
    """Path of a workflow: in the folder, or one of the bundled `workflows/`."""

    operators: Annotated[Any, BeforeValidator(_operators)] = None
    """What a generator is given: a set's name or path, or a list of operators; `None`: all that are in reach."""

    baselines: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")], str] = Field(default_factory=dict)
    """Name -> path, as of `baseline`: reference methods of this benchmark's own."""

    options: dict[str, Any] = Field(default_factory=dict)
    """The options that benchmark.py's functions take, with their defaults."""

    licence: str | None = None
    """Of the data."""

    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """A definition with its source, and its file for errors found later that belong to a line of it."""

    definition: Definition
    source: Source
    yaml: places.PlacedYaml


def read(file: Path) -> Placed:
    """Read a benchmark.yaml.

    Raises:
        DataError: At `file:line:column`; where several things are wrong, the first, with the others as hint.
    """
    placed = places.read(file)
    if not isinstance(placed.value, dict):
        raise placed.error((), f"must be a mapping; its keys are: {', '.join(Definition.model_fields)}")
    try:
        definition = Definition.model_validate(placed.value)
    except ValidationError as error:
        raise _error(placed, Definition, (), error) from error
    try:
        forms.check(definition.splits)
    except ValueError as error:
        raise placed.error(("splits",), str(error)) from error
    for name in definition.pinned:
        if name not in definition.splits:
            raise placed.error(("pinned", name), f"pinned: there is no split {name!r}")
    kind = next(SOURCES[name] for name in SOURCES if name in definition.data)
    try:
        return Placed(definition, kind.model_validate(definition.data), placed)
    except ValidationError as error:
        raise _error(placed, kind, ("data",), error) from error


def _error(
    placed: places.PlacedYaml, model: type[BaseModel], prefix: tuple[str, ...], error: ValidationError
) -> DataError:
    found = []
    for item in error.errors(include_url=False):
        location = (*prefix, *item["loc"])
        name = ".".join(str(key) for key in location)
        message = f"{name}: {item['msg'].removeprefix('Value error, ')}"
        if item["type"] == "extra_forbidden":
            message = f"{name}: no such key; there are: {', '.join(_fields(model, item['loc']))}"
        elif item["type"] == "missing":
            message = f"{name}: is missing"
        found.append((location, message))
    return placed.error(*found[0], hint="; ".join(message for _, message in found[1:]) or None)


def _fields(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys of the mapping that the last part of `location` is in."""
    for key in location[:-1]:
        annotation = model.model_fields[str(key)].annotation
        assert isinstance(annotation, type)  # noqa: S101 - only nested models forbid keys
        assert issubclass(annotation, BaseModel)  # noqa: S101
        model = annotation
    return list(model.model_fields)
