"""What a split is and which rows are in it."""

import hashlib
import random
import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from autoflow.benchmarks.sources import Rows
from autoflow.core.json import Json

_RANGE = re.compile(r"(\d{1,9})-(\d{1,9})", re.ASCII)
_SHARE = re.compile(r"(\d{1,3}(?:\.\d+)?)\s*%", re.ASCII)

FORMS = (
    "a list of ids (ranges such as 117-184 in it), {file: ids.txt}, {field: ..., value: ...}, {rest: [other splits]}, "
    "{union: [other splits]}, {shuffle: seed, rows: 0-127}, a share such as 20%, or all"
)


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


@dataclass(frozen=True, slots=True)
class ByFile:
    """As `ByIds`, from a file beside the definition: ids parted by white space, `#` begins a comment."""

    file: str


@dataclass(frozen=True, slots=True)
class Rest:
    """The tasks that are in none of these splits, in the data's order."""

    splits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Union:
    """The tasks that are in any of these splits, in the data's order."""

    splits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shuffled:
    """Places `first` to `last`, both in it, of the data's order after `random.Random(seed).shuffle`."""

    seed: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Share:
    """This much of the tasks, in per cent, drawn by the hash of the id; shares of one definition do not overlap."""

    percent: float


Split: TypeAlias = All | ByField | ByIds | ByFile | Rest | Union | Shuffled | Share


def parse(value: Any) -> Split:
    """Read a split as benchmark.yaml states it.

    Raises:
        ValueError: Saying which forms there are.
    """
    if value == "all":
        return All()
    if isinstance(value, str) and (share := _SHARE.fullmatch(value)) and 0 < float(share[1]) <= 100:
        return Share(float(share[1]))
    if isinstance(value, dict) and set(value) == {"field", "value"}:
        return ByField(str(value["field"]), value["value"])
    if isinstance(value, dict) and set(value) == {"file"} and isinstance(value["file"], str):
        return ByFile(value["file"])
    if isinstance(value, dict) and set(value) == {"shuffle", "rows"} and isinstance(value["shuffle"], int):
        rows = _RANGE.fullmatch(str(value["rows"]))
        if rows is not None and int(rows[1]) <= int(rows[2]):
            return Shuffled(value["shuffle"], int(rows[1]), int(rows[2]))
    for key, kind in (("rest", Rest), ("union", Union)):
        if isinstance(value, dict) and set(value) == {key} and _texts(value[key]):
            return kind(tuple(value[key]))
    if isinstance(value, list) and all(isinstance(item, str | int) and not isinstance(item, bool) for item in value):
        return ByIds(tuple(str(item) for item in value))
    raise ValueError(f"a split is {FORMS}")


def check(splits: dict[str, Split]) -> None:
    """Check what splits say of each other.

    Raises:
        ValueError: If one names a split that is not there or that names others itself, or shares pass 100 %.
    """
    for name, split in splits.items():
        for other in split.splits if isinstance(split, Rest | Union) else ():
            if other not in splits:
                raise ValueError(
                    f"split {name!r} names {other!r}, which does not exist; there are: {', '.join(splits)}"
                )
            # No chains: then there is no circle to look for.
            if isinstance(splits[other], Rest | Union):
                raise ValueError(f"split {name!r} names {other!r}, which is a rest or union itself")
    if (total := sum(split.percent for split in splits.values() if isinstance(split, Share))) > 100:
        raise ValueError(f"the shares add up to {total:g} %")


def select(name: str, splits: dict[str, Split], rows: Rows, folder: Path) -> Sequence[int]:
    """The places in `rows` of the tasks of the split `name`, in its order.

    Raises:
        ValueError: If it names a task twice or one that is not there, or selects none.
    """
    split = splits[name]
    places: Sequence[int] = range(len(rows))
    if isinstance(split, All):
        chosen = places
    elif isinstance(split, ByField):
        chosen = _by_field(split, rows)
    elif isinstance(split, Rest | Union):
        within = {place for other in split.splits for place in select(other, splits, rows, folder)}
        inside = isinstance(split, Union)
        chosen = [place for place in places if (place in within) is inside]
    elif isinstance(split, Shuffled):
        order = list(places)
        random.Random(split.seed).shuffle(order)  # noqa: S311 - a published draw, no secret
        if split.last >= len(order):
            raise ValueError(f"there are only {len(order)} tasks, so no place {split.last}")
        chosen = order[split.first : split.last + 1]
    elif isinstance(split, Share):
        chosen = _share(name, splits, rows.ids)
    else:
        chosen = _by_ids(split.ids if isinstance(split, ByIds) else _read(folder / split.file), rows.ids)
    if not chosen:
        raise ValueError("no task is in it")
    return chosen if isinstance(chosen, range) else array("L", chosen)


def ids_digest(ids: Iterable[str]) -> str:
    """What pins a split: the first 16 hexadecimal digits of the SHA-256 of its ids, in order, each ended by a line
    feed."""
    return hashlib.sha256("".join(f"{id_}\n" for id_ in ids).encode()).hexdigest()[:16]


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def _by_field(split: ByField, rows: Rows) -> list[int]:
    chosen = []
    for place, values in enumerate(rows.values):
        if split.field not in values:
            raise ValueError(f"task {rows.ids[place]} has no field {split.field!r}")
        if values[split.field] == split.value:
            chosen.append(place)
    return chosen


def _share(name: str, splits: dict[str, Split], ids: Sequence[str]) -> list[int]:
    order = sorted(range(len(ids)), key=lambda place: hashlib.sha256(ids[place].encode()).digest())
    start = 0.0
    for other, split in splits.items():
        if not isinstance(split, Share):
            continue
        end = start + split.percent
        if other == name:
            return sorted(order[round(start * len(ids) / 100) : round(end * len(ids) / 100)])
        start = end
    raise AssertionError(name)


def _read(file: Path) -> tuple[str, ...]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from error
    return tuple(word for line in lines for word in line.partition("#")[0].split())


def _by_ids(items: Sequence[str], known: Sequence[str]) -> list[int]:
    places = {id_: place for place, id_ in enumerate(known)}
    ids = [found for item in items for found in _expand(item, places)]
    unknown = [item for item in ids if item not in places]
    if unknown:
        raise ValueError(
            f"there is no task {unknown[0]!r}{f' (and {len(unknown) - 1} more)' if len(unknown) > 1 else ''}; "
            f"there are {len(known)}: {_some(known)}"
        )
    seen: set[str] = set()
    for item in ids:
        if item in seen:
            raise ValueError(f"task {item} is named twice")
        seen.add(item)
    return [places[item] for item in ids]


def _expand(item: str, known: Mapping[str, int]) -> list[str]:
    match = None if item in known else _RANGE.fullmatch(item)
    if match is None:
        return [item]
    first, last = int(match[1]), int(match[2])
    if last < first:
        raise ValueError(f"the range {item} runs backwards")
    # A range longer than the data must name a task that is not there: no need to write it out further.
    return [str(number) for number in range(first, min(last, first + len(known)) + 1)]


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids) if len(ids) <= 6 else f"{', '.join(ids[:3])} ... {ids[-1]}"
