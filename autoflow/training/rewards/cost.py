"""`cost`: the mean score less what the runs took. MetaFlow's reward with its optional cost term."""

from dataclasses import dataclass

from autoflow.errors import UsageError
from autoflow.training.outcome import Outcome, Past

UNITS = ("calls", "tokens", "usd")


@dataclass(frozen=True, slots=True)
class CostAware:
    """r = s - penalty * [invalid] - weight * cost, with the cost of one instance in `unit`."""

    weight: float = 0.01
    unit: str = "calls"
    """`calls`, `tokens` or `usd` (US dollars)."""

    penalty: float = 0.1

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise UsageError(f"the reward cost counts in {', '.join(UNITS)}, not in {self.unit!r}")

    def __call__(self, outcome: Outcome, past: Past) -> float | None:
        """At most 1; an invalid text ran nothing and costs nothing."""
        if not outcome.valid:
            return -self.penalty
        spent: float = getattr(outcome.cost, self.unit)
        return None if outcome.score is None else outcome.score - self.weight * spent


PLUGIN = CostAware
