"""`best-so-far`: steps for beating what came before, as in W4S (METHODS.md, section 4)."""

from dataclasses import dataclass
from typing import ClassVar

from autoflow.training.outcome import Outcome, Past


@dataclass(frozen=True, slots=True)
class BestSoFar:
    """1 above the best of all earlier updates, 0.5 above the best of the update before, else 0; less `malus` where the
    score is below `floor`. Before the first update the hand-written workflow is the best, 0 where there is none."""

    uses_baseline: ClassVar[bool] = True

    malus: float = 0.1
    """0 leaves it out."""

    floor: float = 0.3

    def __call__(self, outcome: Outcome, past: Past) -> float | None:
        """One of 1, 0.5, 0, each possibly less `malus`."""
        score = outcome.score
        if score is None:
            return None
        start = past.baseline or 0.0
        best = start if past.best is None else past.best
        previous = start if past.previous is None else past.previous
        steps = 1.0 if score > best else 0.5 if score > previous else 0.0
        return steps - (self.malus if score < self.floor else 0.0)


PLUGIN = BestSoFar
