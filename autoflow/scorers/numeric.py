"""`numeric`: 1 if the answer states the reference's number, else 0.

Source: our own rules, METHODS section 8; tolerance |p - g| <= 1e-6 max(1, |g|). AFlow takes the last number and reads
"10-5" as -5; ADAS compares texts and cuts "1,450,000" to 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from autoflow.core.json import Json
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.errors import DataError
from autoflow.scorers.numbers import Grouping, number
from autoflow.scorers.parameters import build
from autoflow.scorers.wording import golds, text

STRICT = 1e-6
"""Relative; absolute below 1."""


@dataclass(frozen=True, slots=True)
class Numeric:
    """The number is taken after the last `####`, else from the last box, else after "answer is", else it is the last
    one. Units, currency, thousands separators, LaTeX, per cent signs and Unicode minus do no harm."""

    field: str = "answer"
    """Key of `Task.reference`; a list there holds several right answers. Texts are read by the same rules."""

    tolerance: float = STRICT
    """Allowed difference: relative to the reference, absolute where that is below 1 in size."""

    label: str = "numeric match"

    def __post_init__(self) -> None:
        if not self.tolerance >= 0:
            raise ValueError(f"tolerance must not be negative, not {self.tolerance}")

    async def score(self, task: Task, trace: Trace) -> Score:
        """Judge the answer.

        Raises:
            DataError: If the task's reference has no number.
        """
        found = value(trace.answer)
        right = [gold_number(task, gold, self.field) for gold in golds(task, self.field)]
        if found is None:
            return Score(0.0, "no_number", {"gold": right[0]})
        hit = any(close(found, gold, self.tolerance) for gold in right)
        return Score(1.0 if hit else 0.0, "" if hit else "mismatch", {"predicted": found, "gold": right[0]})


def close(found: float, gold: float, tolerance: float = STRICT) -> bool:
    """Whether |found - gold| <= tolerance max(1, |gold|)."""
    return abs(found - gold) <= tolerance * max(1.0, abs(gold))


def value(answer: Json, grouping: Grouping = "comma") -> float | None:
    """The number of an answer, which may be one already."""
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        try:
            found = float(answer)
        except OverflowError:
            return None
        # NaN and infinities are no JSON, but a model's tool may leave them.
        return found if abs(found) < float("inf") else None
    return None if isinstance(answer, bool) else number(text(answer), grouping)


def gold_number(task: Task, gold: Json, field: str) -> float:
    """The number of a reference.

    Raises:
        DataError: If it has none.
    """
    found = value(gold)
    if found is None:
        raise DataError(f"task {task.id}: its reference {field!r} is no number: {gold!r}")
    return found


def _make(parameters: Mapping[str, Json]) -> Numeric:
    return build("numeric", Numeric, parameters)


PLUGIN = _make
