"""Deals draws out to workers, gives what a lost worker had in hand to others, and replaces the lost one.

Work is carried out at least once: a draw whose worker is lost is drawn again. Its replies are on record, so what was
paid for is not paid again, and of two results of one place the ledger keeps the first.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from autoflow.core.task import Task
from autoflow.core.trace import Failure, Trace
from autoflow.core.workflow import Workflow
from autoflow.errors import WorkerError
from autoflow.objective.drawing import Drawn
from autoflow.summary import count

ATTEMPTS = 3
"""Workers that a draw may take down with it before it is given up as a fault."""

PATIENCE_S = 120.0
"""So long may a run have no worker at all, where one may never come."""


class Lost(Exception):  # noqa: N818  what happens to workers, not an error of ours
    """The worker is gone, and whatever it was doing."""


class Hand(Protocol):
    """A worker, from the driver's side."""

    async def draw(self, task: Task, sample: int) -> Drawn:
        """As `Drawer.draw`, of the workflow that it knows.

        Raises:
            Lost: The worker is gone.
        """
        ...

    async def dismiss(self) -> None:
        """Stop the worker, if it still runs, and give back what it held. Safe to call twice."""
        ...


class Pool:
    """`size` workers, got by `hire`, which returns when the worker is ready. Use as a context manager."""

    def __init__(
        self,
        hire: Callable[[], Awaitable[Hand]],
        workflow: Workflow,
        size: int,
        *,
        say: Callable[[str], None] | None = None,
        patience_s: float | None = PATIENCE_S,
    ) -> None:
        """`workflow` is what the workers draw. `say` is told in one line of a worker that was lost. A run that has no
        worker for `patience_s` ends; `None`: each hire is certain to end, with a worker or without."""
        self._hire = hire
        self._workflow = workflow
        self._size = size
        self._say = say
        self._patience_s = patience_s
        self._busy: dict[Hand, int] = {}
        self._hiring: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._error: BaseException | None = None
        self._lost_in_a_row = 0
        self._leaving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Pool":
        for _ in range(self._size):
            self._replace()
        try:
            await self._free()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    @property
    def ready(self) -> int:
        """Workers that can draw now."""
        return len(self._busy)

    async def draw(self, workflow: Workflow, task: Task, sample: int) -> Drawn:
        """Have a worker draw the task; where workers are lost with it, others, up to three."""
        if workflow is not self._workflow:
            raise ValueError("these workers know another workflow")
        for _ in range(ATTEMPTS):
            hand = await self._free()
            self._busy[hand] += 1
            try:
                drawn = await hand.draw(task, sample)
            except Lost as lost:
                self._drop(hand, str(lost))
                continue
            finally:
                if hand in self._busy:
                    self._busy[hand] -= 1
            self._lost_in_a_row = 0
            return drawn
        failure = Failure("fault", "worker", f"{count(ATTEMPTS, 'worker')} were lost while they ran this task")
        return Drawn(Trace(workflow.fingerprint(), task.id, (), failure=failure), failure)

    async def _free(self) -> Hand:
        """The worker with the least to do."""
        try:
            async with asyncio.timeout(self._patience_s):
                while not self._busy:
                    if self._error is not None:
                        raise self._error
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise WorkerError(
                f"no worker was to be had for {self._patience_s:g} s",
                hint="make room for one: each takes a CPU of a node; what is recorded stays",
            ) from None
        if self._error is not None:
            raise self._error
        return min(self._busy, key=self._busy.__getitem__)

    def _drop(self, hand: Hand, why: str) -> None:
        if self._busy.pop(hand, None) is None:
            return
        if self._say is not None:
            self._say(f"a worker was lost ({why}); others draw its tasks")
        self._keep(self._leaving, hand.dismiss())
        self._mourn(why)

    def _mourn(self, why: str) -> None:
        """Replace a lost worker, unless none of so many got anything done: then it is not the tasks."""
        self._lost_in_a_row += 1
        if self._lost_in_a_row > ATTEMPTS * self._size:
            lost = count(self._lost_in_a_row, "worker")
            self.fail(WorkerError(f"{lost} in a row were lost without a task done; the last: {why}"))
        else:
            self._replace()

    def _replace(self) -> None:
        self._keep(self._hiring, self._join())

    def _keep(self, tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _join(self) -> None:
        try:
            hand = await self._hire()
        except Lost as lost:
            self._mourn(str(lost))
        except Exception as error:  # noqa: BLE001  boundary: told to whoever draws next
            self.fail(error)
        else:
            self._busy[hand] = 0
            self._changed.set()

    def fail(self, error: Exception) -> None:
        """Have this raised by every draw that begins from now on."""
        self._error = self._error or error
        self._changed.set()

    async def _close(self) -> None:
        for task in list(self._hiring):
            task.cancel()
        await asyncio.gather(*self._hiring, return_exceptions=True)
        hands, self._busy = list(self._busy), {}
        await asyncio.gather(*self._leaving, *(hand.dismiss() for hand in hands))
