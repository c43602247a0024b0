"""Calls in flight: a limit that grows while the server keeps up and halves when it says "too many" (AIMD)."""

import asyncio
from collections import deque

from autoflow.core.model import Feature, Model, Reply, Request
from autoflow.errors import ProviderError

_TOO_MANY = (429, 503)


class Limited:
    """Lets at most `limit` calls through at once, first come, first served.

    The limit starts at `most`, which is what the user asked for: a server that cannot take so much says so at once, and
    one that can loses no time. It halves, down to 1, on a 429 or 503, and rises by one for each round of successes;
    failures of calls that began before the last halving do not halve it again.
    """

    def __init__(self, model: Model, *, most: int) -> None:
        self._model = model
        self._most = max(1, most)
        self._limit = float(self._most)
        self._flying = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._epoch = 0

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def features(self) -> frozenset[Feature]:
        return self._model.features

    @property
    def limit(self) -> int:
        """Calls allowed in flight now."""
        return int(self._limit)

    @property
    def concurrency(self) -> int:
        """Calls worth having under way at most: more only wait."""
        return self._most

    async def complete(self, request: Request) -> Reply:
        await self._enter()
        epoch = self._epoch
        try:
            reply = await self._model.complete(request)
        except ProviderError as error:
            if error.status in _TOO_MANY and epoch == self._epoch:
                self._epoch += 1
                self._limit = max(1.0, self._limit / 2)
            raise
        else:
            self._limit = min(float(self._most), self._limit + 1.0 / self._limit)
            return reply
        finally:
            self._flying -= 1
            self._wake()

    async def aclose(self) -> None:
        await self._model.aclose()

    async def _enter(self) -> None:
        if self._flying < int(self._limit) and not self._waiting:
            self._flying += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # The turn came together with the cancellation: pass it on.
                self._flying -= 1
                self._wake()
            else:
                self._waiting.remove(turn)
            raise

    def _wake(self) -> None:
        while self._waiting and self._flying < int(self._limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self._flying += 1
                turn.set_result(None)
