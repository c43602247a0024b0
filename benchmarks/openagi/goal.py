"""What a task asks for: inputs with their stated defects, and the output wanted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from autoflow.core.json import Json

from .modules import MODULES

ValueType = Literal["image", "text"]
Role = Literal["image", "text", "document", "query"]


@dataclass(frozen=True, slots=True)
class Input:
    """One value that the task brings."""

    role: Role
    defects: tuple[str, ...] = ()
    """As the sentence words them, in its order."""

    language: str | None = None
    """Of a text; `None` for an image."""

    @property
    def type(self) -> ValueType:
        """What modules see of it."""
        return "image" if self.role == "image" else "text"


@dataclass(frozen=True, slots=True)
class Goal:
    """A task without its words."""

    inputs: tuple[Input, ...]
    """In the order that `Input Text 0`, `Input Text 1` count them: a document before its query."""

    core: str | None
    """The module that makes the content asked for; `None` where the input's own content is (restore, translate)."""

    output: ValueType
    language: str | None = None
    """Of a text output; `None` for an image."""

    def operands(self) -> tuple[int, ...]:
        """Indices of the inputs in the core module's operand order, the lowest on the stack first."""
        indices = range(len(self.inputs))
        if self.core is None or not MODULES[self.core].roles:
            return tuple(indices)
        roles = MODULES[self.core].roles
        return tuple(sorted(indices, key=lambda index: roles.index(self.inputs[index].role)))

    def category(self) -> str:
        """For example `image-text` or `image+text-text`."""
        return f"{'+'.join(item.type for item in self.inputs)}-{self.output}"


def to_json(goal: Goal) -> dict[str, Json]:
    """As `Task.reference` keeps it."""
    return {
        "inputs": [
            {"role": item.role, "defects": list(item.defects), "language": item.language} for item in goal.inputs
        ],
        "core": goal.core,
        "output": goal.output,
        "language": goal.language,
    }


def from_json(value: Mapping[str, Json]) -> Goal:
    """The inverse of `to_json`; keys beside its own are ignored."""
    data = cast("dict[str, Any]", value)
    inputs = tuple(Input(item["role"], tuple(item["defects"]), item["language"]) for item in data["inputs"])
    return Goal(inputs, data["core"], data["output"], data["language"])
