"""Sequences too long for memory: all but the first items are written to a temporary file and read back one by one."""

import pickle
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar, overload

T = TypeVar("T")

IN_MEMORY = 4 * 2**20
"""Bytes up to which no file is made."""

FIRST = 1_000
"""Items that stay as they are: most sequences are no longer."""


class Spool(Sequence[T]):
    """Items in the order they were added. A late one is made anew when it is read. The file has no name and goes with
    the last reference. For one thread."""

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  it lives as long as this does
        self._starts = array("Q", [0])
        self._first: list[T] = []
        for item in items:
            self.append(item)

    def append(self, item: T) -> None:
        """Add an item. Any that pickle can take."""
        if len(self._first) < FIRST:
            self._first.append(item)
            return
        packed = pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
        self._file.seek(self._starts[-1])
        self._file.write(packed)
        self._starts.append(self._starts[-1] + len(packed))

    def __len__(self) -> int:
        return len(self._first) + len(self._starts) - 1

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return Picked(self, range(len(self))[index])
        place = range(len(self))[index]
        if place < len(self._first):
            return self._first[place]
        place -= len(self._first)
        start, end = self._starts[place], self._starts[place + 1]
        self._file.seek(start)
        item: T = pickle.loads(self._file.read(end - start))  # noqa: S301  only this object has ever held the file
        return item

    def __iter__(self) -> Iterator[T]:
        yield from self._first
        for index in range(len(self._first), len(self)):
            yield self[index]


class Picked(Sequence[T]):
    """Some items of a sequence, in an order of their own. `places` are indices of `items`."""

    def __init__(self, items: Sequence[T], places: Sequence[int]) -> None:
        self._items = items
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return Picked(self._items, self._places[index])
        return self._items[self._places[index]]

    def __iter__(self) -> Iterator[T]:
        return (self._items[place] for place in self._places)
