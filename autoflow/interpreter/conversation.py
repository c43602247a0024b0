"""What the model reads: the turns of a run, built so that each call's prompt begins with the one before it.

    system   constant for all tasks and steps: the rules, the tools
    user     the task, then the first step's instruction
    assistant  its result
    user     the next step's instruction
    ...

So a provider's prefix cache holds everything but the last turn.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.operator import Operator

NOTHING = "(nothing)"
"""Stands for an empty result: several providers refuse an empty turn."""


@dataclass(frozen=True, slots=True)
class SystemTurn:
    """The rules, and the tools where they are shown."""

    template: ClassVar[str] = "interpreter/system.j2"
    cards: Sequence[str]
    """One line a tool: `name: description`."""


@dataclass(frozen=True, slots=True)
class TaskTurn:
    """How the first user turn begins."""

    template: ClassVar[str] = "interpreter/task.j2"
    task: str


@dataclass(frozen=True, slots=True)
class ItemTurn:
    """A step over one item of a list, where the instruction does not say where the item goes."""

    template: ClassVar[str] = "interpreter/item.j2"
    instruction: str
    item: str


@dataclass(frozen=True, slots=True)
class DecisionTurn:
    """A decision with its labels."""

    template: ClassVar[str] = "interpreter/decision.j2"
    instruction: str
    labels: Sequence[str]
    reason: bool


@dataclass(frozen=True, slots=True)
class SegmentPart:
    """One step of a segment."""

    key: str
    instruction: str
    labels: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SegmentTurn:
    """Several steps to be answered at once."""

    template: ClassVar[str] = "interpreter/segment.j2"
    parts: Sequence[SegmentPart]
    reason: bool


def cards(operators: Mapping[str, Operator]) -> list[str]:
    """One line for each tool, in the order given."""
    return [
        f"{operator.card.name}: {operator.card.description}"
        for operator in operators.values()
        if operator.card.kind == "tool"
    ]


def text(value: Json) -> str:
    """A result as a model reads it: text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
