"""Progress on stderr, and what tables and last lines say."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from autoflow.cli.output import emit, interactive, safe, say, stderr

if TYPE_CHECKING:
    from autoflow.estimate import Estimate
    from autoflow.improve import ImproveEvent
    from autoflow.objective.objective import Progress


@contextmanager
def bar(title: str) -> Iterator[Callable[["Progress"], None]]:
    """Shows how far a scoring is: a live bar on a terminal, a line every fifth elsewhere."""
    if interactive(sys.stderr):
        with _live(title) as update:
            yield update
    else:
        yield lines(title)


def lines(title: str) -> Callable[["Progress"], None]:
    """A line on stderr for every fifth of the work."""
    told = -1

    def _update(progress: "Progress") -> None:
        nonlocal told
        fifth = 5 * progress.done // progress.total
        if fifth != told:
            told = fifth
            say(f"{title}: {_state(progress)}")

    return _update


def _state(progress: "Progress") -> str:
    mean = "no score yet" if progress.mean is None else f"mean {progress.mean:.3f}"
    parts = [f"{progress.done}/{progress.total}", mean]
    if progress.unscored:
        parts.append(f"{progress.unscored} unscored")
    if progress.recorded:
        parts.append(f"{progress.recorded} from the record")
    return ", ".join(parts)


@contextmanager
def _live(title: str) -> Iterator[Callable[["Progress"], None]]:
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[state]}"))
    with Bars(*columns, TimeElapsedColumn(), console=stderr(), refresh_per_second=4) as bars:
        task = bars.add_task(safe(title), total=None, state="")

        def _update(progress: "Progress") -> None:
            bars.update(task, total=progress.total, completed=progress.done, state=_state(progress))

        yield _update


def estimated(found: "Estimate", only: bool, as_json: bool, *, quiet: bool = False) -> bool:
    """Say what a command will take: on stderr before the work, or, where nothing else is wanted, on stdout; whether
    that is so."""
    if not only:
        if not quiet:
            say(found.line())
    elif as_json:
        emit("estimate", found.to_json())
    else:
        print(found.line())
    return only


_ENDS = {
    "budget": "the budget is used up; the same command with a larger one goes on from here",
    "interrupted": "interrupted; what was finished is recorded",
    "provider": "the model stopped answering; what was finished is recorded",
}


def say_how_it_ended(state: str, command: str) -> None:
    """The last lines of a run that did not complete: why, and the command that resumes it."""
    say(_ENDS.get(state, state))
    say(f"resume: {command}")


@contextmanager
def events() -> Iterator[Callable[["ImproveEvent"], None]]:
    """Shows what an improving run does: lines, and on a terminal where it stands."""
    if not interactive(sys.stderr):
        yield _event_lines()
        return
    from autoflow.cli.live import ImproveView

    with ImproveView() as view:
        yield view


def _event_lines() -> Callable[["ImproveEvent"], None]:
    scoring: dict[str, Callable[[Progress], None]] = {}

    def _update(event: "ImproveEvent") -> None:
        if event.progress is None:
            say(safe(event.message))
            return
        title = f"  {event.trial} on {event.split}"
        if title not in scoring:
            scoring.clear()
            scoring[title] = lines(title)
        scoring[title](event.progress)

    return _update
