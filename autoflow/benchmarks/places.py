"""YAML whose every value knows its line and column, for errors that say where."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from autoflow.errors import DataError, place_in_yaml

Keys: TypeAlias = tuple[str | int, ...]
"""Where a value stands in the document: keys and list indices from the top."""


@dataclass(frozen=True, slots=True)
class PlacedYaml:
    """A file's value, and the line and column of each part of it."""

    file: Path
    value: Any
    marks: dict[Keys, tuple[int, int]]

    def error(self, at: Sequence[str | int], message: str, *, hint: str | None = None) -> DataError:
        """An error at `file:line:column` of the deepest part of `at` that the file has."""
        keys = tuple(at)
        while keys and keys not in self.marks:
            keys = keys[:-1]
        line, column = self.marks.get(keys, (1, 1))
        return DataError(f"{self.file}:{line}:{column}: {message}", hint=hint)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans only: yes, no, on and off stay texts, and so does a date."""


_Loader.yaml_implicit_resolvers = {
    first: [entry for entry in resolvers if entry[0] not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def read(file: Path) -> PlacedYaml:
    """Read a YAML file.

    Raises:
        DataError: If it cannot be read or parsed, repeats a key, or uses aliases; with line and column.
    """
    try:
        text = file.read_bytes().decode("utf-8")
        _refuse_aliases(file, text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            marks: dict[Keys, tuple[int, int]] = {}
            if node is not None:
                _mark(file, node, (), marks)
            # construct_document is what get_single_data calls; the node is needed besides the data.
            value = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: is not UTF-8 at byte {error.start}") from error
    except RecursionError as error:
        raise DataError(f"{file}: is nested too deeply") from error
    except yaml.MarkedYAMLError as error:
        place = place_in_yaml(file, error)
        raise DataError(f"{place}: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise DataError(f"{file}: {error}") from error
    return PlacedYaml(file, value, marks)


def _refuse_aliases(file: Path, text: str) -> None:
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.AliasEvent):
            mark = event.start_mark
            place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
            raise DataError(f"{place}: aliases are not allowed here; write the value out")


def _mark(file: Path, node: yaml.Node, at: Keys, marks: dict[Keys, tuple[int, int]]) -> None:
    place = (node.start_mark.line + 1, node.start_mark.column + 1)
    marks[at] = place
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _mark(file, item, (*at, index), marks)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, item in node.value:
            place = (key.start_mark.line + 1, key.start_mark.column + 1)
            if not isinstance(key, yaml.ScalarNode):
                raise DataError(f"{file}:{place[0]}:{place[1]}: a key must be a text")
            if key.value in seen:
                raise DataError(f"{file}:{place[0]}:{place[1]}: the key {key.value!r} is there twice")
            seen.add(key.value)
            _mark(file, item, (*at, key.value), marks)
