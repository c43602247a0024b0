"""`mgsm`: MGSM's integers, read with the grouping of the task's language.

Source: METHODS section 8. In German, Spanish, French and Russian a point or a space before three digits groups; in
Bengali and Telugu groups may have two digits. Published evaluations compare texts after removing commas and trailing
zeros.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from autoflow.core.json import Json
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.scorers.numbers import Grouping
from autoflow.scorers.numeric import close, gold_number, value
from autoflow.scorers.parameters import build
from autoflow.scorers.wording import golds

GROUPING: Mapping[str, Grouping] = {
    "de": "point",
    "es": "point",
    "fr": "point",
    "ru": "point",
    "bn": "indian",
    "te": "indian",
}
"""Language -> grouping; a comma for any other."""


@dataclass(frozen=True, slots=True)
class Mgsm:
    """The task's category is its language: reports give a mean for each."""

    field: str = "answer"
    label: str = "numeric match"

    async def score(self, task: Task, trace: Trace) -> Score:
        """Judge the answer. A number in the other way of grouping is right too: 2,125 and 2.125 in German.

        Raises:
            DataError: If the task's reference has no number.
        """
        found = value(trace.answer, GROUPING.get(task.category, "comma"))
        right = [gold_number(task, gold, self.field) for gold in golds(task, self.field)]
        if found is None:
            return Score(0.0, "no_number", {"gold": right[0]})
        hit = any(close(found, gold) for gold in right)
        return Score(1.0 if hit else 0.0, "" if hit else "mismatch", {"predicted": found, "gold": right[0]})


def _make(parameters: Mapping[str, Json]) -> Mgsm:
    return build("mgsm", Mgsm, parameters)


PLUGIN = _make
