"""`gsm-hard`: GSM-Hard's published rule, 1 if the answer's number is less than 0.1 away from the reference, else 0.

Source: ADAS and W4S compare |p - g| < 0.1. 41 references are below 1 in size, where that lets nearly anything pass, so
the strict verdict (1e-6, relative) stands beside it in every report; `--scorer numeric` scores by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.scorers.numeric import close, gold_number, value
from autoflow.scorers.parameters import build
from autoflow.scorers.wording import golds

LIMIT = 0.1


@dataclass(frozen=True, slots=True)
class GsmHard:
    """Numbers are found as by `numeric`."""

    field: str = "answer"
    label: str = "match within 0.1"
    secondary: ClassVar[Mapping[str, str]] = {"strict": "match within 1e-6"}

    async def score(self, task: Task, trace: Trace) -> Score:
        """Judge the answer; `strict` in the details is the verdict at 1e-6, relative.

        Raises:
            DataError: If the task's reference has no number.
        """
        found = value(trace.answer)
        right = [gold_number(task, gold, self.field) for gold in golds(task, self.field)]
        if found is None:
            return Score(0.0, "no_number", {"gold": right[0], "strict": False})
        hit = any(abs(found - gold) < LIMIT for gold in right)
        strict = any(close(found, gold) for gold in right)
        return Score(
            1.0 if hit or strict else 0.0,
            "" if hit or strict else "mismatch",
            {"predicted": found, "gold": right[0], "strict": strict},
        )


def _make(parameters: Mapping[str, Json]) -> GsmHard:
    return build("gsm-hard", GsmHard, parameters)


PLUGIN = _make
