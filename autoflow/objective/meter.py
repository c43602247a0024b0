"""The meter: lets a call start only if the budget can hold it, and adds up what calls took."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from autoflow.core.budget import Budget, Spend
from autoflow.core.model import Request, Usage
from autoflow.errors import BudgetExhaustedError, UsageError
from autoflow.runs.ledger import Ledger

Price = Callable[[str, int, int], float | None]
"""US dollars of a call to (model, input tokens, output tokens); `None`: no price is known."""

_CHARACTERS_A_TOKEN = 4
_HINT = "what is recorded stays; the same command with a larger budget resumes"


@dataclass(frozen=True, slots=True)
class Ticket:
    """An admitted call: what the meter holds back for it until it ends."""

    model: str
    tokens: int
    usd: float


class Meter:
    """One budget for every call of a run, the generator's included. For one event loop.

    Calls count when they start, also those that fail. Of tokens and dollars a call reserves its worst case: its
    prompt (4 characters a token) and `max_tokens`, or the longest reply so far where a request has no maximum. While
    others hold so much that a call does not fit, it waits for them: what they leave may be enough. So a limit is
    passed only by what a prompt or an unbounded reply was underestimated.
    """

    def __init__(
        self,
        budget: Budget,
        clock: Callable[[], float],
        start: Spend = Spend(),  # noqa: B008  frozen
        *,
        earlier_seconds: float = 0.0,
        price: Price | None = None,
    ) -> None:
        """`start` and `earlier_seconds` are what earlier sittings took; `price` is asked before a call is paid for."""
        self.budget = budget
        self._clock = clock
        self._began = clock()
        self._earlier_s = earlier_seconds
        self._price = price
        self._settled = start
        self._calls = start.calls
        self._held_tokens = 0
        self._held_usd = 0.0
        self._longest = 0
        self._dearest: dict[str, float] = {}
        self._waiting: list[asyncio.Future[None]] = []

    @classmethod
    def resuming(
        cls, budget: Budget, ledger: Ledger, clock: Callable[[], float], *, price: Price | None = None
    ) -> "Meter":
        """A meter that goes on from what the ledger says was spent, failed calls and earlier sittings included."""
        spent = ledger.spend()
        spent = replace(spent, calls=spent.calls + ledger.failed_calls())
        return cls(budget, clock, spent, earlier_seconds=ledger.earlier_seconds, price=price)

    @property
    def spend(self) -> Spend:
        """What was spent so far, earlier sittings included."""
        return replace(self._settled, calls=self._calls)

    @property
    def seconds(self) -> float:
        """Age of the run, earlier sittings included."""
        return self._earlier_s + max(0.0, self._clock() - self._began)

    def check(self, model: str) -> None:
        """Make sure that a limit in dollars can be kept for this model.

        Raises:
            UsageError: If the budget is in dollars and the model has no known price.
        """
        if self.budget.usd is not None and self._price is not None and self._price(model, 1, 1) is None:
            raise _unpriced(model)

    async def admit(self, model: str, request: Request) -> Ticket:
        """Let a call start, once the budget has room for it. Follow with `settle` or `fail`.

        Raises:
            BudgetExhaustedError: If the call would pass a limit even if nothing else were in flight.
        """
        ticket = self._ticket(model, request)
        while not self._fits(ticket):
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        self._calls += 1
        self._held_tokens += ticket.tokens
        self._held_usd += ticket.usd
        return ticket

    def settle(self, ticket: Ticket, usage: Usage) -> None:
        """Replace a call's reservation by what it took.

        Raises:
            UsageError: If the budget is in dollars and the call's price is unknown.
        """
        self._release(ticket)
        self._settled = self._settled.plus(usage)
        self._longest = max(self._longest, usage.output_tokens or 0)
        tokens = (usage.input_tokens or 0) + (usage.output_tokens or 0)
        if usage.cost_usd is None:
            if self.budget.usd is not None:
                raise _unpriced(ticket.model)
        elif tokens:
            self._dearest[ticket.model] = max(self._dearest.get(ticket.model, 0.0), usage.cost_usd / tokens)

    def fail(self, ticket: Ticket) -> None:
        """Release the reservation of a call that brought no reply."""
        self._release(ticket)

    def cached(self, usage: Usage) -> None:
        """Count an answer that was taken from the record."""
        self._settled = self._settled.plus(usage, cached=True)

    def counted(self, spend: Spend) -> None:
        """Take over what another meter, which counts in this one's place, has come to."""
        self._settled, self._calls = spend, spend.calls

    def _ticket(self, model: str, request: Request) -> Ticket:
        if self.budget.tokens is None and self.budget.usd is None:
            return Ticket(model, 0, 0.0)
        prompt = math.ceil(sum(len(message.text) for message in request.messages) / _CHARACTERS_A_TOKEN)
        answer = request.sampling.max_tokens or self._longest
        if self._price is not None and self.budget.usd is not None:
            usd = self._price(model, prompt, answer)
            if usd is None:
                raise _unpriced(model)
        else:
            usd = self._dearest.get(model, 0.0) * (prompt + answer)
        return Ticket(model, prompt + answer, usd)

    def _fits(self, ticket: Ticket) -> bool:
        budget, spend = self.budget, self._settled
        if budget.seconds is not None and self.seconds >= budget.seconds:
            raise BudgetExhaustedError(f"the budget of {budget.seconds:g} seconds is used up", hint=_HINT)
        if budget.calls is not None and self._calls >= budget.calls:
            raise BudgetExhaustedError(f"the budget of {budget.calls} calls is used up", hint=_HINT)
        if budget.tokens is not None and spend.tokens + ticket.tokens > budget.tokens:
            raise BudgetExhaustedError(
                f"the next call may take {ticket.tokens} tokens, and {spend.tokens} of the budget of"
                f" {budget.tokens} are used",
                hint=_HINT,
            )
        if budget.usd is not None and spend.usd + ticket.usd > budget.usd:
            raise BudgetExhaustedError(
                f"the next call may cost ${ticket.usd:.4f}, and ${spend.usd:.4f} of the budget of"
                f" ${budget.usd:.4f} are spent",
                hint=_HINT,
            )
        return (budget.tokens is None or spend.tokens + self._held_tokens + ticket.tokens <= budget.tokens) and (
            budget.usd is None or spend.usd + self._held_usd + ticket.usd <= budget.usd
        )

    def _release(self, ticket: Ticket) -> None:
        self._held_tokens -= ticket.tokens
        self._held_usd -= ticket.usd
        if not self._held_tokens:
            # Float sums drift; with nothing held they must be exactly nothing, or the last call waits for ever.
            self._held_usd = 0.0
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)


def _unpriced(model: str) -> UsageError:
    return UsageError(
        f"no price is known for {model}, so a budget in dollars cannot be kept",
        hint="give its price in the configuration, or a budget in tokens or calls",
    )
