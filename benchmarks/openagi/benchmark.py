"""OpenAGI: which chain of expert models solves a task? What benchmark.yaml cannot say."""

from collections.abc import Mapping, Sequence

from autoflow.core.json import Json
from autoflow.core.operator import Operator
from autoflow.core.score import Scorer
from autoflow.core.task import Task
from autoflow.errors import UnknownNameError

from . import goal as goals
from . import reference
from .operators import symbolic
from .plan_score import PlanScorer
from .sentences import sentences


def tasks(options: Mapping[str, Json]) -> Sequence[Task]:
    """The 185 tasks in published order."""
    return [
        Task(
            id=str(index),
            text=sentence,
            context={"inputs": [item.type for item in goal.inputs]},
            reference={
                **goals.to_json(goal),
                "derived_plan": [str(token) for token in reference.flat(goal)],
            },
            category=goal.category(),
        )
        for index, (sentence, goal) in enumerate(sentences())
    ]


def operators(options: Mapping[str, Json]) -> Mapping[str, Operator]:
    """The expert models, symbolic."""
    return symbolic()


def scorer(name: str, options: Mapping[str, Json]) -> Scorer:
    """The plan scorer.

    Raises:
        UnknownNameError: For any other name.
    """
    if name != "plan":
        raise UnknownNameError("scorer of openagi", name, ["plan"])
    return PlanScorer()
