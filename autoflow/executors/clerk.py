"""Speaks for one worker at the run's desk and gates, and gives back what the worker holds when it is gone.

Calls are known by numbers that the worker gives them, so that it can withdraw one before it has heard of it.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

    async def ask(  # noqa: PLR0917  a link carries positions
        self, number: int, key: str, model: str, role: Role, request: Request, most: int | None
    ) -> Reply | None:
        """The reply, or `None`: the call may be made. With `most` it then has its first turn at the model's gate, too,
        which `leave` gives back by the same number.

        Raises:
            AutoflowError: As `Desk.ask`.
        """
        with self._waits(number):
            found = await self._desk.ask(key, model, role, request)
            if isinstance(found, Reply):
                return found
            self._slips[number] = found
            if most is not None:
                await self._enter(number, model, most)
        return None

    async def answered(self, number: int, reply: Reply) -> Reply | None:
        """As `Desk.answered`; `None`: the reply is on record as it came."""
        # Whoever waited for the turn of this call is told first: recording takes longer, and holds no connection up.
        await asyncio.sleep(0)
        recorded = await self._desk.answered(self._slip(number), reply)
        return None if recorded is reply else recorded

    def failed(self, number: int, error: BaseException) -> None:
        """As `Desk.failed`."""
        self._desk.failed(self._slip(number), error)

    def withdraw(self, number: int) -> None:
        """The worker no longer wants to know, whether it was let through or not."""
        self.leave(number, "failed")
        if number in self._slips:
            self._desk.failed(self._slips.pop(number), asyncio.CancelledError())

    async def enter(self, number: int, model: str, most: int) -> None:
        """Wait for a turn at the model's gate: for attempts after a call's first."""
        with self._waits(number):
            await self._enter(number, model, most)

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

    async def _enter(self, number: int, model: str, most: int) -> None:
        gate = self._gates.setdefault(model, Adaptive(most))
        self._turns[number] = (gate, await gate.enter())

    @contextmanager
    def _waits(self, number: int) -> Iterator[None]:
        """The task that is under way may be cancelled by this number."""
        if self._gone:
            raise WorkerError("this worker was given up; its tasks are with others")
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  calls are carried out by tasks
        self._waiting[number] = task
        try:
            yield
        finally:
            self._waiting.pop(number, None)

    def _slip(self, number: int) -> Slip:
        try:
            return self._slips.pop(number)
        except KeyError:
            raise WorkerError("this worker was given up; its tasks are with others") from None
