"""`exact`: 1 if the answer is the reference, else 0."""

from collections.abc import Mapping
from dataclasses import dataclass

from autoflow.core.json import Json, canonical
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.scorers.parameters import build
from autoflow.scorers.wording import golds, normalise


@dataclass(frozen=True, slots=True)
class Exact:
    """Texts are compared after NFKC and with white space collapsed; other JSON as JSON, key order aside.

    A number or boolean and its text are the same: 12 and "12", true and "true".
    """

    field: str = "answer"
    """Key of `Task.reference`; a list there holds several right answers."""

    ignore_case: bool = False
    label: str = "exact match"

    async def score(self, task: Task, trace: Trace) -> Score:
        """Judge the answer.

        Raises:
            DataError: If the task has no such reference.
        """
        answer = self._key(trace.answer)
        right = any(answer == self._key(gold) for gold in golds(task, self.field))
        return Score(1.0 if right else 0.0, "" if right else "mismatch")

    def _key(self, value: Json) -> str:
        text = value if isinstance(value, str) else canonical(value)
        return normalise(text, ignore_case=self.ignore_case)


def _make(parameters: Mapping[str, Json]) -> Exact:
    return build("exact", Exact, parameters)


PLUGIN = _make
