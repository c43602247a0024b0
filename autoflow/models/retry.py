"""The one owner of retries: waits and asks again after transient errors, and limits every attempt in time."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from autoflow.core.model import Feature, Model, Reply, Request
from autoflow.errors import ProviderError

FIRST_WAIT_S = 0.5
"""Middle of the first wait; each later one doubles."""

LONGEST_WAIT_S = 30.0
"""Of the waits that we choose; a server's `Retry-After` is honoured as it is."""


SERVER_S = 120.0
"""So long may a server take for one answer."""

HERE_S = 1800.0
"""The same for a model in this process: on a slow machine it is late, but never out of reach."""

SILENT_S = 60.0
"""So long may a server that has answered before leave all calls without an answer; then none is tried again."""

STRANGE_S = 10.0
"""The same for one that has never answered: the address is wrong, or nothing runs there."""


class Timed:
    """Ends an attempt that hangs: a transient `ProviderError` after `request.timeout_s`, or the default."""

    def __init__(self, model: Model, timeout_s: float) -> None:
        self._model = model
        self._timeout_s = timeout_s

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def features(self) -> frozenset[Feature]:
        return self._model.features

    async def complete(self, request: Request) -> Reply:
        limit = self._timeout_s if request.timeout_s is None else request.timeout_s
        try:
            async with asyncio.timeout(limit) as deadline:
                return await self._model.complete(request)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise ProviderError(
                f"{self.name} did not answer within {limit:g} s",
                transient=True,
                hint="a longer time-out may help, or a smaller max_tokens",
            ) from error

    async def aclose(self) -> None:
        await self._model.aclose()


class Retrying:
    """Asks again after a transient `ProviderError`, with exponential, jittered waits; other errors pass at once.

    The last error is raised as it came. Cancellation passes through, also during a wait.
    """

    def __init__(
        self,
        model: Model,
        *,
        retries: int,
        max_wait_s: float,
        rng: random.Random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            retries: Attempts after the first.
            max_wait_s: No attempt begins later than this after the first failure. Waiting for a turn before the
                first attempt does not count, so a long queue alone never ends a call.
        """
        self._model = model
        self._retries = retries
        self._max_wait_s = max_wait_s
        self._rng = rng
        self._sleep = sleep
        self._clock = clock
        self._answered = False
        self._silent_since: float | None = None

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def features(self) -> frozenset[Feature]:
        return self._model.features

    async def complete(self, request: Request) -> Reply:
        started = self._clock()
        try:
            return await self._attempt(request)
        except ProviderError as error:
            if not error.transient or self._retries < 1 or self._gone(0.0):
                raise
            first: ProviderError | None = error
        failed = self._clock()

        async def attempt() -> Reply:
            # The attempt above is tenacity's first: the usual call, which succeeds, pays nothing for the machinery.
            nonlocal first
            if first is not None:
                error, first = first, None
                raise error
            return await self._attempt(request)

        retrying = AsyncRetrying(
            sleep=self._sleep,
            retry=retry_if_exception(_transient),
            wait=self._wait,
            stop=lambda state: self._stop(state, failed),
            reraise=True,
        )
        reply: Reply = await retrying(attempt)
        return replace(reply, seconds=self._clock() - started)

    async def aclose(self) -> None:
        await self._model.aclose()

    async def _attempt(self, request: Request) -> Reply:
        try:
            reply = await self._model.complete(request)
        except ProviderError as error:
            if error.transient and error.status is None and error.retry_after_s is None:
                if self._silent_since is None:
                    self._silent_since = self._clock()
            else:
                self._answered, self._silent_since = True, None
            raise
        self._answered, self._silent_since = True, None
        return reply

    def _gone(self, wait_s: float) -> bool:
        """Whether the server will have been silent for too long after that wait, whoever asked it."""
        if self._silent_since is None:
            return False
        patience = SILENT_S if self._answered else STRANGE_S
        return self._clock() + wait_s - self._silent_since > patience

    def _wait(self, state: RetryCallState) -> float:
        ceiling: float = min(2 * FIRST_WAIT_S * 2 ** (state.attempt_number - 1), LONGEST_WAIT_S)
        wait = ceiling * (0.25 + 0.75 * self._rng.random())
        error = _error(state)
        asked = error.retry_after_s if isinstance(error, ProviderError) else None
        # Many calls are told the same moment; the jitter on top keeps them from arriving together again.
        return wait if asked is None else asked + 0.1 * wait

    def _stop(self, state: RetryCallState, failed: float) -> bool:
        spent, wait = self._clock() - failed, state.upcoming_sleep or 0.0
        # Before tenacity sleeps: an attempt that could not begin in time is not waited for.
        return state.attempt_number > self._retries or spent + wait > self._max_wait_s or self._gone(wait)


def _error(state: RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()


def _transient(error: BaseException) -> bool:
    return isinstance(error, ProviderError) and error.transient
