"""How an interval, a spend and a table read in the reports of `bench` and `improve`, as text and as JSON."""

import math
import unicodedata
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from autoflow.core.budget import Spend
from autoflow.core.json import Json
from autoflow.core.score import Measures, Score, Scorer
from autoflow.statistics import Interval, mean_interval


@dataclass(frozen=True, slots=True)
class Timing:
    """What no two executions share."""

    seconds: float
    """Of all sittings."""

    cached_calls: int
    """In this sitting: answers taken from the record."""

    failed_calls: int
    """In all sittings: calls that brought no reply."""

    rows: Mapping[str, float]
    """Seconds of each row's traces, as first recorded."""


@dataclass(frozen=True, slots=True)
class Secondary:
    """The mean of a measure that stands beside the score."""

    measure: str
    """What it is called."""

    interval: Interval | None
    """`None` where no task has it."""


class Secondaries:
    """Gathers a scorer's secondary measures task by task, averaged over epochs first.

    A task that scored 0 without them, as one does on which the workflow failed, counts as 0 here, too.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._measures = scorer.secondary if isinstance(scorer, Measures) else {}
        self._means = {key: array("d") for key in self._measures}

    def add(self, draws: Sequence[Score]) -> None:
        """Take in a task that has a score, by its judgements, one an epoch."""
        for key, kept in self._means.items():
            values = [value for value in (_secondary(score, key) for score in draws) if value is not None]
            if len(values) == len(draws):
                kept.append(math.fsum(values) / len(values))

    def found(self, seed: int) -> tuple[Secondary, ...]:
        """The mean of each measure with its interval."""
        return tuple(
            Secondary(measure, mean_interval(self._means[key], seed=seed) if self._means[key] else None)
            for key, measure in self._measures.items()
        )


def secondary(scorer: Scorer, tasks: Iterable[Sequence[Score]], seed: int) -> tuple[Secondary, ...]:
    """The means of a scorer's secondary measures over tasks that have a score: the judgements of each, one an epoch."""
    kept = Secondaries(scorer)
    for draws in tasks:
        kept.add(draws)
    return kept.found(seed)


def _secondary(score: Score, key: str) -> float | None:
    value = score.details.get(key)
    if isinstance(value, int | float):
        return float(value)
    return 0.0 if score.value == 0 else None


def secondary_json(found: Sequence[Secondary]) -> list[dict[str, Json]]:
    """One object a measure."""
    return [{"measure": item.measure, **interval_json(item.interval)} for item in found]


def total(spends: Sequence[Spend]) -> Spend:
    """The sum, equal for equal work bit for bit."""
    if len(spends) == 1 and not spends[0].cached_calls:
        return spends[0]
    summed = sum(spends, Spend())
    # Which of equal calls was read from the record is a matter of timing, and so is the order of a plain sum.
    return replace(summed, usd=math.fsum(spend.usd for spend in spends), cached_calls=0)


def interval_json(interval: Interval | None) -> dict[str, Json]:
    """`None`: no task is scored."""
    if interval is None:
        return {"mean": None, "low": None, "high": None, "n": 0, "interval": None}
    return {
        "mean": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "n": interval.n,
        "interval": f"95 % {interval.method}",
    }


def interval_text(interval: Interval | None) -> str:
    """With n, or that there is none."""
    return "no task scored" if interval is None else f"{interval_cell(interval)}, n = {interval.n}"


def interval_cell(interval: Interval | None) -> str:
    """For a table that shows n elsewhere."""
    return "-" if interval is None else f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def spend_json(spend: Spend) -> dict[str, Json]:
    """Without cache hits, in which two executions differ."""
    return {
        "calls": spend.calls,
        "input_tokens": spend.input_tokens,
        "output_tokens": spend.output_tokens,
        "usd": spend.usd,
        "unpriced": spend.unpriced,
        "uncounted": spend.uncounted,
    }


def spend_text(spend: Spend) -> str:
    """Calls, tokens, dollars."""
    unpriced = f" and {count(spend.unpriced, 'call')} without a price" if spend.unpriced else ""
    return (
        f"{count(spend.calls, 'call')}, {spend.input_tokens} tokens in, {spend.output_tokens} out, "
        f"${spend.usd:.4f}{unpriced}"
    )


def count(number: int, noun: str) -> str:
    """The number with its noun, in the plural where it must be."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def aligned(table: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    """The rows as lines, columns below each other; the first row is the heading.

    Args:
        width: Columns of a terminal. A table that does not fit is turned: a paragraph a row, a line a cell.
    """
    widths = [max(cells(row[column]) for row in table) for column in range(len(table[0]))]
    lines = [
        "  ".join(cell + " " * (room - cells(cell)) for cell, room in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    if width is None or max(map(cells, lines)) <= width:
        return lines
    heading, *rows = table
    label = max(map(cells, heading[1:]))
    turned = []
    for row in rows:
        turned += wrapped(row[0], width)
        for name, cell in zip(heading[1:], row[1:], strict=True):
            room = width - label - 4
            # Too narrow for two columns: what belongs to a name then stands below it.
            inner = wrapped(cell, room) if room >= _ROOM else ["", *wrapped(cell, width - 4)]
            gap = " " * (label - cells(name) + 2 if room >= _ROOM else 0)
            turned.append(f"  {name}{gap}{inner[0]}".rstrip())
            indent = " " * (label + 4 if room >= _ROOM else 4)
            turned += [f"{indent}{line}" for line in inner[1:]]
    return turned


_ROOM = 16
# Columns that a cell needs beside its name.


def cells(text: str) -> int:
    """The columns that the text takes on a terminal: two for a wide character, none for a combining one."""
    return sum(
        2 if unicodedata.east_asian_width(char) in "WF" else unicodedata.category(char) not in ("Mn", "Me", "Cf")
        for char in text
    )


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines of so many columns, broken between words where it can be; at least one line."""
    lines, line = [], ""
    for word in text.split(" "):
        if line and cells(line) + 1 + cells(word) <= width:
            line = f"{line} {word}"
            continue
        if line:
            lines.append(line)
        line = ""
        for char in word:
            if line and cells(line) + cells(char) > width:
                lines.append(line)
                line = ""
            line += char
    return [*lines, line]
