"""What a split is and which rows are in it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from autoflow.benchmarks.sources import Row
from autoflow.core.json import Json
from autoflow.core.task import Task

_RANGE = re.compile(r"(\d{1,9})-(\d{1,9})", re.ASCII)


@dataclass(frozen=True, slots=True)
class All:
    """Every task."""


@dataclass(frozen=True, slots=True)
class ByField:
    """The tasks whose field has this value, in the data's order."""

    field: str
    value: Json


@dataclass(frozen=True, slots=True)
class ByIds:
    """These tasks, in this order. `117-184` is a range of whole numbers, both ends in it, unless a task has that id."""

    ids: tuple[str, ...]


Split: TypeAlias = All | ByField | ByIds


def parse(value: Any) -> Split:
    """Read a split as benchmark.yaml states it.

    Raises:
        ValueError: Saying which forms there are.
    """
    if value == "all":
        return All()
    if isinstance(value, dict) and set(value) == {"field", "value"}:
        return ByField(str(value["field"]), value["value"])
    if isinstance(value, list) and all(isinstance(item, str | int) and not isinstance(item, bool) for item in value):
        return ByIds(tuple(str(item) for item in value))
    raise ValueError("a split is a list of ids (ranges such as 117-184 in it), {field: ..., value: ...}, or all")


def select(split: Split, rows: Sequence[Row]) -> tuple[Task, ...]:
    """The split's tasks.

    Raises:
        ValueError: If it names a task twice or one that is not there, or selects none.
    """
    if isinstance(split, All):
        chosen = [row.task for row in rows]
    elif isinstance(split, ByField):
        lacking = next((row for row in rows if split.field not in row.values), None)
        if lacking is not None:
            raise ValueError(f"task {lacking.task.id} has no field {split.field!r}")
        chosen = [row.task for row in rows if row.values[split.field] == split.value]
    else:
        by_id = {row.task.id: row.task for row in rows}
        ids = [found for item in split.ids for found in _expand(item, by_id)]
        unknown = [item for item in ids if item not in by_id]
        if unknown:
            raise ValueError(f"there is no task {unknown[0]!r}; there are {len(by_id)}: {_some(list(by_id))}")
        twice = next((item for index, item in enumerate(ids) if item in ids[:index]), None)
        if twice is not None:
            raise ValueError(f"task {twice} is named twice")
        chosen = [by_id[item] for item in ids]
    if not chosen:
        raise ValueError("no task is in it")
    return tuple(chosen)


def _expand(item: str, by_id: dict[str, Task]) -> list[str]:
    match = None if item in by_id else _RANGE.fullmatch(item)
    if match is None:
        return [item]
    first, last = int(match[1]), int(match[2])
    if last < first:
        raise ValueError(f"the range {item} runs backwards")
    # A range longer than the data must name a task that is not there: no need to write it out further.
    return [str(number) for number in range(first, min(last, first + len(by_id)) + 1)]


def _some(ids: list[str]) -> str:
    return ", ".join(ids) if len(ids) <= 6 else f"{', '.join(ids[:3])} ... {ids[-1]}"
