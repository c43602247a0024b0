"""`score`: the mean score, less a penalty for a text that is no workflow. MetaFlow's verifiable reward."""

from dataclasses import dataclass

from autoflow.training.outcome import Outcome, Past


@dataclass(frozen=True, slots=True)
class ScoreReward:
    """r = s - penalty * [invalid], with s = 0 for an invalid text."""

    penalty: float = 0.1

    def __call__(self, outcome: Outcome, past: Past) -> float | None:
        """In [-penalty, 1]."""
        return outcome.score if outcome.valid else -self.penalty


PLUGIN = ScoreReward
