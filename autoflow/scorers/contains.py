"""`contains`: 1 if the answer has the reference in it as whole words, else 0."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from autoflow.core.json import Json, canonical
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.scorers.parameters import build
from autoflow.scorers.wording import golds, normalise


@dataclass(frozen=True, slots=True)
class Contains:
    """Texts are compared after NFKC and with white space collapsed. "art" is not in "party", nor 12 in 3.125 or 120."""

    field: str = "answer"
    """Key of `Task.reference`; a list there holds several right answers, one of which must be there."""

    ignore_case: bool = True
    label: str = "contains"

    async def score(self, task: Task, trace: Trace) -> Score:
        """Judge the answer.

        Raises:
            DataError: If the task has no such reference.
        """
        answer = self._text(trace.answer)
        right = any(_within(self._text(gold), answer) for gold in golds(task, self.field))
        return Score(1.0 if right else 0.0, "" if right else "absent")

    def _text(self, value: Json) -> str:
        return normalise(value if isinstance(value, str) else canonical(value), ignore_case=self.ignore_case)


def _within(gold: str, answer: str) -> bool:
    # A full stop or comma between digits belongs to the number; at a sentence's end it does not. So does a sign.
    sign = r"(?<!(?<![\w)])-)" if gold[:1].isdigit() else ""
    pattern = rf"(?<!\w)(?<!\d[.,]){sign}{re.escape(gold)}(?!\w)(?![.,]\d)"
    return bool(gold) and re.search(pattern, answer) is not None


def _make(parameters: Mapping[str, Json]) -> Contains:
    return build("contains", Contains, parameters)


PLUGIN = _make
