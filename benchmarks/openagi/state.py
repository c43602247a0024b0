"""A value on the plan machine's stack, and what its content is."""

from dataclasses import dataclass, replace
from typing import TypeAlias

from .goal import Goal, ValueType

Content: TypeAlias = tuple[str, tuple[int, ...]] | None
"""Module that made it ("" for an input as it came) and the inputs it was made of; `None`: nothing that any asks."""


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of an image or a text without looking at it."""

    type: ValueType
    content: Content
    language: str | None = None
    source: int | None = None
    """The input that it still is, restored or translated; `None` once a module has made new content."""

    defects: tuple[str, ...] = ()

    def without(self, defect: str) -> "Value":
        """The value restored."""
        return replace(self, defects=tuple(item for item in self.defects if item != defect))


def given(goal: Goal, index: int) -> Value:
    """The goal's input of that index, as it comes."""
    item = goal.inputs[index]
    return Value(item.type, ("", (index,)), item.language, index, item.defects)


def asked(goal: Goal) -> Content:
    """The content that the goal's output must have."""
    return (goal.core or "", goal.operands())
