"""OpenAGI: which chain of expert models solves a task? What benchmark.yaml cannot say."""

import importlib.util
from collections.abc import Mapping, Sequence

from autoflow.benchmarks.examination import Finding
from autoflow.core.json import Json
from autoflow.core.operator import Operator
from autoflow.core.score import Scorer
from autoflow.core.task import Task
from autoflow.errors import MissingDependencyError, UnknownNameError

from . import goal as goals
from . import options as settings
from . import reference
from .operators import operators_of
from .plan_score import PlanScorer
from .sentences import sentences

SCORERS = ("plan", "local", "paper")


def tasks(options: Mapping[str, Json]) -> Sequence[Task]:
    """The 185 tasks in published order.

    Raises:
        UsageError: If an option has a value that does not fit.
    """
    given = settings.read(options)
    written = list(sentences())
    # Published AutoFlow and CoRE send sentence i+1 with the data of task i; the last keeps its own.
    shift = 1 if given.index_mode == "paper-offset" else 0
    data = {} if given.data is None else {"data": _fingerprint(given)}
    return [
        Task(
            id=str(index),
            text=written[min(index + shift, len(written) - 1)][0],
            context={"inputs": [item.type for item in goal.inputs]},
            reference={
                **goals.to_json(goal),
                "derived_plan": [str(token) for token in reference.flat(goal)],
                **data,
            },
            category=goal.category(),
        )
        for index, (_, goal) in enumerate(written)
    ]


def operators(options: Mapping[str, Json]) -> Mapping[str, Operator]:
    """The 15 modules: noted on the benchmark's tasks, run by the local expert models on a task that brings data."""
    return operators_of(settings.read(options))


def scorer(name: str, options: Mapping[str, Json]) -> Scorer:
    """`plan` runs no expert model; `local` and `paper` run those of their set.

    Raises:
        UnknownNameError: For any other name.
        MissingDependencyError: If not even pictures can be read here.
        UsageError: If an option has a value that does not fit.
    """
    if name not in SCORERS:
        raise UnknownNameError("scorer of openagi", name, list(SCORERS))
    given = settings.read(options)
    if name == "plan":
        return PlanScorer()
    if importlib.util.find_spec("PIL") is None:
        raise MissingDependencyError(
            f"the scorer {name} needs the package pillow", hint="pip install 'autoflow[openagi]', or [openagi-light]"
        )
    # Imports numpy, LangGraph and what the models need: plan scoring and lint do without.
    from .scorers import executed_scorer

    return executed_scorer(name, given)


def doctor(options: Mapping[str, Json]) -> Sequence[Finding]:
    """Which expert models, metrics and data are here.

    Raises:
        UsageError: If an option has a value that does not fit.
    """
    # A submodule called `doctor` would take this function's place once it is imported.
    from .findings import findings

    return findings(settings.read(options))


def _fingerprint(given: settings.Options) -> str:
    from .samples import fingerprint

    assert given.data is not None
    return fingerprint(given.data)
