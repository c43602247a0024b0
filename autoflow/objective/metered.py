"""The layer between a run and a model: answers from the record, shares equal calls, keeps the budget, records."""

import asyncio
from dataclasses import replace
from typing import Literal

from autoflow.core.model import Feature, Model, Reply, Request
from autoflow.errors import AutoflowError, ProviderError
from autoflow.objective.meter import Meter
from autoflow.runs.ledger import Ledger

Role = Literal["interpreter", "generator"]


class Metered:
    """A model whose replies are recorded. A recorded reply costs nothing and comes back with `cached` set.

    Equal requests in flight at the same time are one call. A reply is in the ledger before `complete` returns.
    """

    def __init__(self, model: Model, ledger: Ledger, meter: Meter, *, role: Role = "interpreter") -> None:
        """Wrap `model`.

        Raises:
            UsageError: If the budget is in dollars and the model has no known price.
        """
        meter.check(model.name)
        self._model = model
        self._ledger = ledger
        self._meter = meter
        self._role = role
        self._flying: dict[str, asyncio.Future[Reply | AutoflowError | None]] = {}

    @property
    def name(self) -> str:
        """Of the model within."""
        return self._model.name

    @property
    def features(self) -> frozenset[Feature]:
        """Of the model within."""
        return self._model.features

    async def complete(self, request: Request) -> Reply:
        """Answer from the record, else ask the model and record its answer.

        Raises:
            ProviderError: From the model.
            BudgetExhaustedError: Before the call that would pass a limit.
        """
        key = request.key(self._model.name)
        while True:
            reply = self._ledger.reply(key)
            if reply is None:
                flying = self._flying.get(key)
                if flying is None:
                    return await self._ask(key, request)
                outcome = await asyncio.shield(flying)
                if outcome is None:
                    # The caller that asked was cancelled. This one still wants to know.
                    continue
                if isinstance(outcome, AutoflowError):
                    raise outcome
                reply = outcome
            self._meter.cached(reply.usage)
            return replace(reply, cached=True)

    async def _ask(self, key: str, request: Request) -> Reply:
        flying: asyncio.Future[Reply | AutoflowError | None] = asyncio.get_running_loop().create_future()
        self._flying[key] = flying
        outcome: Reply | AutoflowError | None = None
        try:
            ticket = await self._meter.admit(self._model.name, request)
            try:
                reply = await self._model.complete(request)
            except BaseException as error:
                self._meter.fail(ticket)
                if isinstance(error, ProviderError):
                    self._ledger.add_failed_call(key, self._model.name, error.message, role=self._role)
                raise
            # Before it is used: a resumed run then goes on with the very text that this one had.
            text = self._ledger.blot(reply.text)
            if text != reply.text:
                reply = replace(reply, text=text)
            self._ledger.add_reply(key, request, reply, role=self._role)
            self._meter.settle(ticket, reply.usage)
            await self._ledger.committed()
            outcome = reply
            return reply
        except AutoflowError as error:
            outcome = error
            raise
        finally:
            del self._flying[key]
            flying.set_result(outcome)

    async def aclose(self) -> None:
        """Close the model within."""
        await self._model.aclose()
