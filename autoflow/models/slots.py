"""Which slot of a local runtime serves a call: the free one that already holds the longest part of its prompt."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_NEAR = 32
# Characters: two slots whose shared part differs by less are equally good, and the older one is taken. Else "Task 12"
# would take the slot of "Task 1" for the sake of one character.


class Slots:
    """Hands out slots to threads. A slot remembers the text that the runtime's cache holds for it.

    A conversation comes back for its own slot within milliseconds. A slot that was just given back is therefore kept
    for `grace_s` from callers who would overwrite what it holds; with more conversations than slots this is what keeps
    the cache useful.
    """

    def __init__(self, count: int, *, grace_s: float = 0.02, clock: Callable[[], float] = time.monotonic) -> None:
        self._held = [""] * count
        self._freed = [-1e9] * count
        self._busy = [False] * count
        self._grace_s = grace_s
        self._clock = clock
        self._changed = threading.Condition()

    @contextmanager
    def slot(self, prompt: str, stop: threading.Event) -> Iterator["Lease | None"]:
        """The slot for `prompt`, waiting for one; `None` once `stop` is set."""
        index = self._take(prompt, stop)
        if index is None:
            yield None
            return
        lease = Lease(index, prompt)
        try:
            yield lease
        finally:
            with self._changed:
                self._held[index] = lease.held
                self._freed[index] = self._clock()
                self._busy[index] = False
                self._changed.notify_all()

    def _take(self, prompt: str, stop: threading.Event) -> int | None:
        with self._changed:
            while not stop.is_set():
                index, wait_s = self._best(prompt)
                if index is not None:
                    self._busy[index] = True
                    return index
                # Bounded: `stop` is set without a notification.
                self._changed.wait(wait_s)
        return None

    def _best(self, prompt: str) -> tuple[int | None, float]:
        """A slot to take now, or how long to wait before looking again."""
        free = [(index, _shared(self._held[index], prompt)) for index, busy in enumerate(self._busy) if not busy]
        now = self._clock()
        wait_s = 0.05
        for index, shared in sorted(free, key=lambda item: (-(item[1] // _NEAR), self._freed[item[0]])):
            left = self._freed[index] + self._grace_s - now
            if left <= 0 or len(self._held[index]) - shared < _NEAR:
                return index, 0.0
            wait_s = min(wait_s, left)
        return None, wait_s


class Lease:
    """A slot in use. `held` is what its cache will hold afterwards: set it once the reply is known."""

    def __init__(self, index: int, held: str) -> None:
        self.index = index
        self.held = held


def _shared(left: str, right: str) -> int:
    """Length of the common beginning."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
