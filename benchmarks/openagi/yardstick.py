"""What to hold a plan's figure against: the derived reference plan and doing nothing, on the same samples."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoflow.core.json import Json
from autoflow.core.score import Score
from autoflow.core.task import Task

from .goal import Goal
from .metrics import Metric
from .samples import Sample


@dataclass(frozen=True, slots=True)
class Yardstick:
    """The two figures of a task that the set covers."""

    reference: Score
    """Of the derived reference plan."""

    nothing: float
    """Of the input as it is; 0 where that is not of the type asked for."""

    @property
    def details(self) -> dict[str, Json]:
        """For the details of a plan's score."""
        pictures = self.reference.details.get("pictures")
        return {
            "reference_score": self.reference.value,
            "nothing_score": self.nothing,
            **({} if pictures is None else {"reference_pictures": pictures}),
        }


def nothing(goal: Goal, samples: Sequence[Sample], metric: Metric) -> float:
    """What the first input scores, left as it is."""
    if goal.inputs[0].type != goal.output:
        return 0.0
    measured = metric.measure([sample.inputs[0] for sample in samples], samples)
    return math.fsum(item.score for item in measured) / len(measured)


def facts(judged: Sequence[tuple[Task, Score]]) -> dict[str, Json]:
    """Task by task, for those that have both figures."""
    found = {
        task.id: (float(reference), float(unchanged))
        for task, score in judged
        if isinstance(reference := score.details.get("reference_score"), int | float)
        and isinstance(unchanged := score.details.get("nothing_score"), int | float)
    }
    if not found:
        return {}
    shown: Mapping[str, Json] = {task: f"{best:.3f} ({idle:.3f})" for task, (best, idle) in found.items()}
    means = [math.fsum(column) / len(found) for column in zip(*found.values(), strict=True)]
    return {
        "derived reference plans on the same samples (doing nothing)": shown,
        "their means": f"{means[0]:.3f} ({means[1]:.3f}), n = {len(found)}",
    }
