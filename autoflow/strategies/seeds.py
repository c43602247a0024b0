"""Well-known workflows that searches begin with or show as examples: `workflows/seeds/*.yaml`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache

from autoflow import resources
from autoflow.core.json import Json
from autoflow.core.operator import Card
from autoflow.core.workflow import Workflow
from autoflow.errors import UnknownNameError
from autoflow.language.document import load


@cache
def _all() -> Mapping[str, Workflow]:
    files = sorted((resources.folder("workflows") / "seeds").glob("*.yaml"))
    return {file.stem: load(file).workflow for file in files}


def seeds(names: Sequence[str], cards: Collection[Card], answer: Mapping[str, Json] | None) -> list[Workflow]:
    """The seeds of these names that the operators in reach can carry out, in the order given.

    `answer` is put on every terminal, where the benchmark fixes the form of the answer.

    Raises:
        UnknownNameError: Listing the seeds there are.
    """
    reach = {card.name for card in cards}
    found = []
    for name in names:
        if name not in _all():
            raise UnknownNameError("seed workflow", name, list(_all()))
        workflow = _all()[name]
        if all(step.operator in reach for step in workflow.steps):
            found.append(workflow if answer is None else _answering(workflow, answer))
    return found


def _answering(workflow: Workflow, answer: Mapping[str, Json]) -> Workflow:
    steps = [replace(step, output=answer) if step.type == "terminal" else step for step in workflow.steps]
    return replace(workflow, steps=tuple(steps))
