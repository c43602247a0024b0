"""Calls in flight: a limit that grows while the server keeps up and halves when it says "too many" (AIMD)."""

import asyncio
from collections import deque
from typing import Literal, Protocol

from autoflow.core.model import Feature, Model, Reply, Request
from autoflow.errors import ProviderError

_TOO_MANY = (429, 503)

Outcome = Literal["answered", "too many", "failed"]
"""How a call ended, as far as the limit is concerned."""


class Gate(Protocol):
    """Lets calls through; one in this process, or the way to one that several processes share."""

    async def enter(self) -> int:
        """Wait for a turn. Returns what `leave` is given."""
        ...

    def leave(self, turn: int, outcome: Outcome) -> None:
        """Tell how the call ended."""
        ...


class Adaptive:
    """Lets at most `limit` calls through at once, first come, first served.

    The limit starts at `most`, which is what the user asked for: a server that cannot take so much says so at once, and
    one that can loses no time. It halves, down to 1, on a 429 or 503, and rises by one for each round of successes;
    failures of calls that began before the last halving do not halve it again.
    """

    def __init__(self, most: int) -> None:
        self.most = max(1, most)
        self._limit = float(self.most)
        self._flying = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._epoch = 0

    @property
    def limit(self) -> int:
        """Calls allowed in flight now."""
        return int(self._limit)

    async def enter(self) -> int:
        """Wait for a turn; returns the number of halvings so far."""
        if self._flying < int(self._limit) and not self._waiting:
            self._flying += 1
            return self._epoch
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # The turn came together with the cancellation: pass it on.
                self._flying -= 1
                self._wake()
            elif turn in self._waiting:
                # Otherwise a call that left in between has passed over it already.
                self._waiting.remove(turn)
            raise
        return self._epoch

    def leave(self, turn: int, outcome: Outcome) -> None:
        """Adapt the limit to the call's outcome and let the next one through."""
        if outcome == "answered":
            self._limit = min(float(self.most), self._limit + 1.0 / self._limit)
        elif outcome == "too many" and turn == self._epoch:
            self._epoch += 1
            self._limit = max(1.0, self._limit / 2)
        self._flying -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self._flying < int(self._limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self._flying += 1
                turn.set_result(None)


class Limited:
    """A model whose calls pass a gate."""

    def __init__(self, model: Model, *, most: int, gate: Gate | None = None) -> None:
        """`gate` is one that others share; `None`: an own one of `most` calls."""
        self._model = model
        self._most = max(1, most)
        self._own = Adaptive(most)
        self._gate = gate or self._own

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def features(self) -> frozenset[Feature]:
        return self._model.features

    @property
    def limit(self) -> int:
        """Calls that the own gate allows in flight now."""
        return self._own.limit

    @property
    def concurrency(self) -> int:
        """Calls worth having under way at most: more only wait."""
        return self._most

    async def complete(self, request: Request) -> Reply:
        turn = await self._gate.enter()
        outcome: Outcome = "failed"
        try:
            reply = await self._model.complete(request)
            outcome = "answered"
            return reply
        except ProviderError as error:
            if error.status in _TOO_MANY:
                outcome = "too many"
            raise
        finally:
            self._gate.leave(turn, outcome)

    async def aclose(self) -> None:
        await self._model.aclose()
