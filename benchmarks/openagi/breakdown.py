"""The groups that a report breaks the tasks of this benchmark down by, beside their category."""

from autoflow.core.task import Task

from . import reference
from .goal import Goal, from_json

SECONDARY = {
    "valid": "plans that can run",
    "exact_match": "plans equal to the derived reference (ours, not official)",
}
"""Key in a score's details -> what reports call its mean."""


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
