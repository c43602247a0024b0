"""Limits of a run and what has been spent of them."""

from dataclasses import dataclass, fields

from autoflow.core.model import Usage


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits; `None` is no limit. The generator's own spending counts."""

    usd: float | None = None
    tokens: int | None = None
    """Input and output tokens together."""

    calls: int | None = None
    seconds: float | None = None
    """Wall-clock time of the run, earlier sittings of a resumed one included."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None and not value > 0:
                raise ValueError(f"budget {item.name} must be positive, not {value}")

    def less(self, spend: "Spend", seconds: float) -> "Budget | None":
        """What is left once so much is spent; `None` where a limit is used up."""
        usd = None if self.usd is None else self.usd - spend.usd
        tokens = None if self.tokens is None else self.tokens - spend.tokens
        calls = None if self.calls is None else self.calls - spend.calls
        left = None if self.seconds is None else self.seconds - seconds
        if any(value is not None and value <= 0 for value in (usd, tokens, calls, left)):
            return None
        return Budget(usd, tokens, calls, left)


@dataclass(frozen=True, slots=True)
class Spend:
    """What calls took. `unpriced` and `uncounted` say how many calls the sums leave out."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    unpriced: int = 0
    """Calls without a known price: where above 0, `usd` is a lower bound."""

    uncounted: int = 0
    """Calls whose tokens the provider did not report."""

    cached_calls: int = 0
    """Answers taken from the record; in none of the other sums."""

    def plus(self, usage: Usage, *, cached: bool = False) -> "Spend":
        """The spend after one more call."""
        if cached:
            return Spend(
                self.calls,
                self.input_tokens,
                self.output_tokens,
                self.usd,
                self.unpriced,
                self.uncounted,
                self.cached_calls + 1,
            )
        return Spend(
            calls=self.calls + 1,
            input_tokens=self.input_tokens + (usage.input_tokens or 0),
            output_tokens=self.output_tokens + (usage.output_tokens or 0),
            usd=self.usd + (usage.cost_usd or 0.0),
            unpriced=self.unpriced + (usage.cost_usd is None),
            uncounted=self.uncounted + (usage.input_tokens is None or usage.output_tokens is None),
            cached_calls=self.cached_calls,
        )

    def __add__(self, other: "Spend") -> "Spend":
        return Spend(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.usd + other.usd,
            self.unpriced + other.unpriced,
            self.uncounted + other.uncounted,
            self.cached_calls + other.cached_calls,
        )

    @property
    def tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens
