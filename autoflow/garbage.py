"""Python's cycle collector during a run of thousands of tasks: seldom, and not over what was there before."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# A pass every 100,000 objects, not every 700: a task makes about 4,000, nearly all of them freed without the collector,
# and a pass walks what the tasks under way hold.
_THRESHOLDS = (100_000, 20, 50)

_users = 0
_before: tuple[int, int, int] = (0, 0, 0)


@contextmanager
def seldom() -> Iterator[None]:
    """Collect seldom until the end of the context; contexts may overlap.

    As it is, the collector walks the half a million objects of the imported libraries over and over, an eighth of the
    processor time of an evaluation.
    """
    global _users, _before  # noqa: PLW0603  the collector is one for the whole process
    if _users == 0:
        _before = gc.get_threshold()
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)
    _users += 1
    try:
        yield
    finally:
        _users -= 1
        if _users == 0:
            # The young would be walked as soon as the threshold is back; so they are among the old.
            gc.freeze()
            gc.set_threshold(*_before)
            gc.unfreeze()
