"""Speaks for one worker at the run's desk and gates, and gives back what the worker holds when it is gone.

Calls are known by numbers that the worker gives them, so that it can withdraw one before it has heard of it.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from autoflow.core.model import Reply, Request
from autoflow.core.workflow import Workflow
from autoflow.errors import WorkerError
from autoflow.models.limit import Adaptive, Outcome
from autoflow.objective.desk import Desk, Role, Slip

METHODS = frozenset({"ask", "answered", "failed", "withdraw", "enter", "leave", "save"})
"""What a worker may call."""


class Clerk:
    """One for each worker; `gates` are those of all."""

    def __init__(self, desk: Desk, gates: dict[str, Adaptive], save: Callable[[Workflow], None]) -> None:
        self._desk = desk
        self._gates = gates
        self._save = save
        self._waiting: dict[int, asyncio.Task[Any]] = {}
        self._slips: dict[int, Slip] = {}
        self._turns: dict[int, tuple[Adaptive, int]] = {}
        self._gone = False

    async def ask(self, number: int, key: str, model: str, role: Role, request: Request) -> Reply | None:
        """The reply, or `None`: the call may be made.

        Raises:
            AutoflowError: As `Desk.ask`.
        """
        found = await self._wait(number, self._desk.ask(key, model, role, request))
        if isinstance(found, Reply):
            return found
        self._slips[number] = found
        return None

    async def answered(self, number: int, reply: Reply) -> Reply:
        """As `Desk.answered`."""
        return await self._desk.answered(self._slip(number), reply)

    def failed(self, number: int, error: BaseException) -> None:
        """As `Desk.failed`."""
        self._desk.failed(self._slip(number), error)

    def withdraw(self, number: int) -> None:
        """The worker no longer wants to know, whether it was let through or not."""
        if number in self._slips:
            self._desk.failed(self._slips.pop(number), asyncio.CancelledError())
        elif number in self._waiting:
            self._waiting.pop(number).cancel()

    async def enter(self, number: int, model: str, most: int) -> None:
        """Wait for a turn at the model's gate."""
        gate = self._gates.setdefault(model, Adaptive(most))
        turn = await self._wait(number, gate.enter())
        self._turns[number] = (gate, turn)

    def leave(self, number: int, outcome: Outcome) -> None:
        """Give the turn back, also one that was still waited for."""
        if number in self._turns:
            gate, turn = self._turns.pop(number)
            gate.leave(turn, outcome)
        elif number in self._waiting:
            self._waiting.pop(number).cancel()

    def save(self, workflow: Workflow) -> None:
        """Keep a workflow that was written for a task."""
        self._save(workflow)

    def close(self) -> None:
        """The worker is gone: nobody waits any more, and what it held is free for others."""
        self._gone = True
        for task in self._waiting.values():
            task.cancel()
        for gate, turn in self._turns.values():
            gate.leave(turn, "failed")
        for slip in self._slips.values():
            self._desk.lost(slip)
        self._waiting, self._turns, self._slips = {}, {}, {}

    async def _wait(self, number: int, wanted: Any) -> Any:
        if self._gone:
            wanted.close()
            raise WorkerError("this worker was given up; its tasks are with others")
        task = asyncio.ensure_future(wanted)
        self._waiting[number] = task
        try:
            return await task
        finally:
            self._waiting.pop(number, None)

    def _slip(self, number: int) -> Slip:
        try:
            return self._slips.pop(number)
        except KeyError:
            raise WorkerError("this worker was given up; its tasks are with others") from None
