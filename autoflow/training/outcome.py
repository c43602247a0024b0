"""What came of one sampled text, and what a reward may look back on."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Cost:
    """What a workflow's runs took, as a mean over its instances. Calls answered from the record count as asked."""

    calls: float = 0.0
    tokens: float = 0.0
    """Input and output together."""

    usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One sampled text, parsed, and run where it is a workflow."""

    valid: bool
    """Whether it is a workflow that passes lint, as drawn: nothing was repaired."""

    readable: bool
    """Whether it could be read as a workflow, whatever lint says of it."""

    score: float | None
    """Mean over the instances, in [0, 1]; 0 for an invalid text; `None` where a fault left it unknown."""

    cost: Cost = Cost()


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier samples of the same prompt scored. All in [0, 1]."""

    baseline: float | None = None
    """The hand-written workflow on the validation tasks; `None` where there is none."""

    best: float | None = None
    """The best score of all earlier updates."""

    previous: float | None = None
    """The best score of the update before."""

    def after(self, scores: list[float]) -> "Past":
        """The past of the next update, once this one's samples scored `scores`."""
        if not scores:
            return self
        top = max(scores)
        return Past(self.baseline, top if self.best is None else max(self.best, top), top)


class Reward(Protocol):
    """A reward structure with its options."""

    def __call__(self, outcome: Outcome, past: Past) -> float | None:
        """The reward of one sample; `None` skips it."""
        ...
