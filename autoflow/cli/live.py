"""What a person sees of an improving run while it goes on: a few lines at the foot of the terminal.

Drawn four times a second at most, by a thread of its own, from what the run last said: the run only notes it down.
"""

import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from autoflow.cli.output import safe, stderr
from autoflow.summary import count, interval_cell

if TYPE_CHECKING:
    from rich.table import Table

    from autoflow.improve import ImproveEvent, Standing
    from autoflow.objective.objective import Progress

PER_SECOND = 4
_RATE_S = 20.0
# Calls a second are those of so many last seconds.


class ImproveView:
    """Takes the run's events: what is said scrolls by above, the standing stays below. Use as a context manager."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.live import Live

        self._clock = clock
        self._asked = -1.0
        self._standing: Standing | None = None
        self._taken = 0.0
        self._title = ""
        self._round: int | None = None
        self._progress: Progress | None = None
        self._calls: deque[tuple[float, int]] = deque()
        self._live = Live(console=stderr(), refresh_per_second=PER_SECOND, transient=True, get_renderable=self._drawn)

    def __enter__(self) -> "ImproveView":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, event: "ImproveEvent") -> None:
        """Note an event down."""
        self._round = event.round if event.round is not None else self._round
        now = self._clock()
        if event.progress is None:
            self._progress, self._title = None, safe(event.message)
            self._live.console.print(self._title)
        else:
            self._progress, self._title = event.progress, f"{event.trial} on {event.split}"
        # Scoring says something for every task; the standing is asked for as often as it can be seen.
        if event.standing is not None and (event.progress is None or now - self._asked >= 1 / PER_SECOND):
            self._asked = now
            self._standing, self._taken = event.standing(), now
            self._calls.append((now, self._standing.spend.calls))
            while self._calls[0][0] < now - _RATE_S and len(self._calls) > 1:
                self._calls.popleft()

    def _drawn(self) -> "Table":
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True, min_width=8)
        # Whatever the width: one line each, cut at the edge of the terminal.
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for name, line in self.lines():
            table.add_row(Text(name, style="bold"), Text(line))
        return table

    def lines(self) -> list[tuple[str, str]]:
        """Name and content of each line."""
        standing, progress = self._standing, self._progress
        found = []
        if self._round is not None:
            of = "" if standing is None or standing.rounds is None else f" of {standing.rounds}"
            found.append(("round", f"{self._round}{of}"))
        now = self._title
        if progress is not None:
            mean = "" if progress.mean is None else f", mean {progress.mean:.3f}"
            now = f"{bar(progress.done, progress.total)} {progress.done}/{progress.total}{mean}, {self._title}"
        found.append(("now", now))
        if standing is None:
            return found
        best = "none yet" if standing.best is None else f"{interval_cell(standing.interval)} {safe(standing.best)}"
        found.append(("best", best))
        seconds = standing.seconds + self._clock() - self._taken
        found.append(("left", left(standing, seconds)))
        found.append(("rate", f"{self._rate()}, {clock_time(seconds)} so far"))
        unscored = 0 if progress is None else progress.unscored
        failures = [
            count(standing.failed_calls, "call"),
            f"{count(unscored, 'task')} unscored",
            f"{count(standing.invalid, 'draft')} invalid",
        ]
        found.append(("failures", ", ".join(failures)))
        return found

    def _rate(self) -> str:
        if len(self._calls) < 2:
            return "no calls yet" if not self._calls or not self._calls[-1][1] else f"{self._calls[-1][1]} calls"
        (then, before), (now, after) = self._calls[0], self._calls[-1]
        return f"{(after - before) / max(now - then, 1e-9):.1f} calls/s, {after} calls"


def bar(done: int, total: int, width: int = 12) -> str:
    """How much of the work is done."""
    full = width * min(done, total) // total if total else 0
    return "█" * full + "░" * (width - full)


def left(standing: "Standing", seconds: float) -> str:
    """What is left of each limit."""
    budget, spend = standing.budget, standing.spend
    parts = []
    if budget.usd is not None:
        parts.append(f"${max(0.0, budget.usd - spend.usd):.2f} of ${budget.usd:.2f}")
    if budget.calls is not None:
        parts.append(f"{max(0, budget.calls - spend.calls):,} of {budget.calls:,} calls")
    if budget.tokens is not None:
        parts.append(f"{max(0, budget.tokens - spend.tokens):,} of {budget.tokens:,} tokens")
    if budget.seconds is not None:
        parts.append(f"{clock_time(max(0.0, budget.seconds - seconds))} of {clock_time(budget.seconds)}")
    return "; ".join(parts) or f"no limit; ${spend.usd:.4f}, {spend.tokens:,} tokens spent"


def clock_time(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
