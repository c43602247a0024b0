"""The desk that every model call of a run passes: it answers from the record, shares equal calls and keeps the budget.

One desk serves a run, wherever its calls are made. Who asks is let through with a slip, and brings it back with the
reply; what the reply costs is then known, and the reply is on record before anybody goes on with it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from autoflow.core.model import Reply, Request
from autoflow.errors import AutoflowError, ProviderError
from autoflow.objective.meter import Meter, Ticket

Role = Literal["interpreter", "generator"]


class Record(Protocol):
    """Where replies are kept: `autoflow.runs.ledger.Ledger`, whose methods these are."""

    @property
    def blot(self) -> Callable[[str], str]:
        """Blots secrets out of a text."""
        ...

    def reply(self, key: str) -> Reply | None:
        """The recorded reply."""
        ...

    def add_reply(self, key: str, request: Request, reply: Reply, *, role: str) -> None:
        """Record a reply."""
        ...

    def add_failed_call(self, key: str, model: str, error: str, *, role: str) -> None:
        """Record a call that brought none."""
        ...

    async def committed(self) -> None:
        """Wait until all that was added is on record for good."""
        ...


@dataclass(frozen=True, slots=True)
class Slip:
    """Lets one call through. Brought back once, by `answered`, `failed` or `lost`."""

    key: str
    model: str
    role: Role
    request: Request
    ticket: Ticket


class Desk:
    """For one event loop. Equal requests in flight at the same time are one call."""

    def __init__(self, record: Record, meter: Meter) -> None:
        self._record = record
        self.meter = meter
        self._flying: dict[str, asyncio.Future[Reply | AutoflowError | None]] = {}

    async def ask(self, key: str, model: str, role: Role, request: Request) -> Reply | Slip:
        """The reply, marked as cached, where there is one on record or one is on its way; else a slip for the call.

        Raises:
            BudgetExhaustedError: If the call would pass a limit.
            AutoflowError: What the same call, on its way for another, ended in.
        """
        while True:
            reply = self._record.reply(key)
            if reply is None:
                flying = self._flying.get(key)
                if flying is None:
                    return await self._admitted(key, model, role, request)
                outcome = await asyncio.shield(flying)
                if outcome is None:
                    # The caller that asked was cancelled. This one still wants to know.
                    continue
                if isinstance(outcome, AutoflowError):
                    raise outcome
                reply = outcome
            self.meter.cached(reply.usage)
            return replace(reply, cached=True)

    async def answered(self, slip: Slip, reply: Reply) -> Reply:
        """Record the reply and give it back, as it is on record.

        Raises:
            UsageError: If the budget is in dollars and the call's price is unknown.
            RunError: If it could not be written.
        """
        outcome: Reply | AutoflowError | None = None
        try:
            # Before it is used: a resumed run then goes on with the very text that this one had.
            text = self._record.blot(reply.text)
            if text != reply.text:
                reply = replace(reply, text=text)
            self._record.add_reply(slip.key, slip.request, reply, role=slip.role)
            self.meter.settle(slip.ticket, reply.usage)
            await self._record.committed()
            outcome = reply
            return reply
        except AutoflowError as error:
            outcome = error
            raise
        finally:
            self._land(slip.key, outcome)

    def failed(self, slip: Slip, error: BaseException) -> None:
        """Note that the call brought no reply. Others who wait for it are told, unless it was only cancelled."""
        self.meter.fail(slip.ticket)
        if isinstance(error, ProviderError):
            self._record.add_failed_call(slip.key, slip.model, error.message, role=slip.role)
        self._land(slip.key, error if isinstance(error, AutoflowError) else None)

    def lost(self, slip: Slip) -> None:
        """Note that nobody will bring the slip back. The call may have been paid for, so it counts as a failed one."""
        self.meter.fail(slip.ticket)
        self._record.add_failed_call(slip.key, slip.model, "the worker that made the call is gone", role=slip.role)
        self._land(slip.key, None)

    async def _admitted(self, key: str, model: str, role: Role, request: Request) -> Slip:
        self._flying[key] = asyncio.get_running_loop().create_future()
        try:
            return Slip(key, model, role, request, await self.meter.admit(model, request))
        except BaseException as error:
            self._land(key, error if isinstance(error, AutoflowError) else None)
            raise

    def _land(self, key: str, outcome: Reply | AutoflowError | None) -> None:
        self._flying.pop(key).set_result(outcome)
