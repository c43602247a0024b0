"""`validity`: the mean score, with a graded penalty that leads from no workflow at all to a sound one."""

from dataclasses import dataclass

from autoflow.training.outcome import Outcome, Past


@dataclass(frozen=True, slots=True)
class ValidityShaped:
    """s for a valid text, -`unsound` for one that lint refuses, -`unreadable` for one that is no workflow at all.

    For a generator whose samples are nearly all invalid: equal penalties would leave nothing to learn from.
    """

    unsound: float = 0.1
    unreadable: float = 0.2

    def __call__(self, outcome: Outcome, past: Past) -> float | None:
        """In [-unreadable, 1]."""
        if outcome.valid:
            return outcome.score
        return -self.unsound if outcome.readable else -self.unreadable


PLUGIN = ValidityShaped
