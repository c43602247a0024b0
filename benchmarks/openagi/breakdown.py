"""The groups that a report breaks the tasks of this benchmark down by, beside their category."""

from collections.abc import Sequence

from autoflow.core.json import Json
from autoflow.core.score import Score
from autoflow.core.task import Task

from . import reference
from .goal import Goal, from_json


def plan_length(goal: Goal) -> int:
    """Modules of the derived reference plan, 1 to 7."""
    return len(reference.flat(goal))


def linear(goal: Goal) -> bool:
    """Whether the task has one input."""
    return len(goal.inputs) == 1


def groups(task: Task) -> dict[str, str]:
    """Grouping -> the task's group in it."""
    goal = from_json(task.reference)
    return {
        "plan length": str(plan_length(goal)),
        "form": "linear" if linear(goal) else "non-linear",
    }


def facts(judged: Sequence[tuple[Task, Score]]) -> dict[str, Json]:
    """The share of tasks whose plan is valid, and of those that equal the derived reference."""
    known = [score for _, score in judged if score.details.get("valid") is not None]
    if not known:
        return {}
    return {
        "valid plans": f"{sum(score.details['valid'] is True for score in known)} of {len(known)}",
        "equal to the derived reference (ours, not official)": (
            f"{sum(score.details.get('exact_match') is True for score in known)} of {len(known)}"
        ),
    }
