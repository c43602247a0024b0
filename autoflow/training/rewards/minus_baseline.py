"""`minus-baseline`: the mean score over what the hand-written workflow has on the validation tasks.

Within a group of samples of one prompt a constant changes no advantage. It makes rewards of several benchmarks
comparable: in curves, in `scale_rewards: batch`, and in the weights of `rlao`.
"""

from dataclasses import dataclass
from typing import ClassVar

from autoflow.errors import UsageError
from autoflow.training.outcome import Outcome, Past


@dataclass(frozen=True, slots=True)
class MinusBaseline:
    """r = s - b - penalty * [invalid], with s = 0 for an invalid text."""

    uses_baseline: ClassVar[bool] = True

    penalty: float = 0.1

    def __call__(self, outcome: Outcome, past: Past) -> float | None:
        """In [-1 - penalty, 1].

        Raises:
            UsageError: If the prompt has no hand-written workflow to compare with.
        """
        if past.baseline is None:
            raise UsageError(
                "the reward minus-baseline needs a benchmark with a hand-written workflow", hint="reward: {name: score}"
            )
        if not outcome.valid:
            return -past.baseline - self.penalty
        return None if outcome.score is None else outcome.score - past.baseline


PLUGIN = MinusBaseline
