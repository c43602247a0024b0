"""One problem that a workflow is run on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from autoflow.core.json import Json


@dataclass(frozen=True, slots=True)
class Task:
    """What the workflow reads, and apart from it what only the scorer may see."""

    id: str
    text: str
    """The problem as the model reads it."""

    context: Mapping[str, Json] = field(default_factory=dict)
    """More that operators read: documents to search, public tests, file handles. Shown in no prompt by itself: what
    every model must see belongs into `text`."""

    reference: Mapping[str, Json] = field(default_factory=dict)
    """What the scorer needs: the gold answer. Never in a prompt, never in feedback."""

    category: str = ""
    """Groups tasks in reports; empty where the benchmark has no groups."""
