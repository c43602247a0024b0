"""What outputs are measured by: one file a metric."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from autoflow.core.json import Json

from ..expert import Value
from ..samples import Sample


@dataclass(frozen=True, slots=True)
class Measured:
    """One sample's result."""

    score: float
    """Of which `Metric.batch` makes the figure of a batch."""

    parts: dict[str, Json] = field(default_factory=dict)
    """The figures that it is made of."""


class Metric(Protocol):
    """Judges outputs by the samples they belong to."""

    @property
    def name(self) -> str:
        """What the number is called."""
        ...

    @property
    def is_score(self) -> bool:
        """Whether it lies in [0, 1], higher better. What does not is reported and never a score or a reward."""
        ...

    def measure(self, outputs: Sequence[Value], samples: Sequence[Sample]) -> list[Measured]:
        """One result a sample, in order; outputs have the type that the task asks for."""
        ...

    def batch(self, scores: Sequence[float]) -> float:
        """The figure of a batch."""
        ...
