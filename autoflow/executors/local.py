"""Workers that are processes of this machine: `autoflow bench --workers N`."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from autoflow.core.task import Task
from autoflow.executors.clerk import METHODS, Clerk
from autoflow.executors.link import Closed, Link
from autoflow.executors.pool import Lost, Pool
from autoflow.executors.recipe import Office, Recipe
from autoflow.models.limit import Adaptive
from autoflow.models.options import ModelOptions
from autoflow.objective.drawing import Drawer, Drawn

STOP_S = 10.0
"""So long a worker has to end by itself."""


@dataclass(frozen=True, slots=True)
class Processes:
    """So many worker processes."""

    workers: int
    options: ModelOptions
    """What models are opened with; what it is told of progress appears on stderr."""

    say: Callable[[str], None] | None = None

    @asynccontextmanager
    async def at_work(self, recipe: Recipe, office: Office) -> AsyncIterator[Drawer]:
        """Workers that are ready; those that are not end with the first error of any."""
        gates: dict[str, Adaptive] = {}

        async def hire() -> "_Process":
            return await _Process.begun(recipe, self.options, Clerk(office.desk, gates, office.save))

        # A child starts, however slowly on a busy machine, or its end is noticed.
        async with Pool(hire, recipe.workflow, self.workers, say=self.say, patience_s=None) as pool:
            yield pool


class _Process:
    """A child process with the driver's end of the link to it."""

    def __init__(self, child: "subprocess.Popen[bytes]", lifeline: int, link: Link, clerk: Clerk) -> None:
        self._child = child
        self._lifeline = lifeline
        self._link = link
        self._clerk = clerk
        self._serving = asyncio.create_task(self._serve())
        self._dismissed = False

    @classmethod
    async def begun(cls, recipe: Recipe, options: ModelOptions, clerk: Clerk) -> "_Process":
        """Start a child and wait until it can draw.

        Raises:
            Lost: It ended while it started.
            AutoflowError: What stood in its way.
        """
        ours, theirs = socket.socketpair()
        # Its other end closes with this process, however that ends, and the child then knows.
        theirs_alive, ours_alive = os.pipe()
        with theirs:
            program = (
                f"import sys; sys.path = {sys.path!r}; from autoflow.executors.process import main;"
                f" main({theirs.fileno()}, {theirs_alive})"
            )
            child = subprocess.Popen(  # noqa: S603, ASYNC220  this very program; it returns at once
                [sys.executable, "-c", program],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), theirs_alive),
                # Ctrl-C is for the driver, which lets what is in flight end.
                start_new_session=True,
            )
        os.close(theirs_alive)
        reader, writer = await asyncio.open_unix_connection(sock=ours)

        def handle(method: str, arguments: tuple[Any, ...]) -> object:
            assert method in METHODS  # noqa: S101  our own child
            found: object = getattr(clerk, method)(*arguments)
            return found

        process = cls(child, ours_alive, Link(reader, writer, handle), clerk)
        try:
            await process._call("begin", recipe, options)
        except BaseException:
            await process.dismiss()
            raise
        return process

    async def draw(self, task: Task, sample: int) -> Drawn:
        """Have the child draw."""
        drawn: Drawn = await self._call("draw", task, sample)
        return drawn

    async def dismiss(self) -> None:
        """Close the link; the child ends by itself, or is killed."""
        if self._dismissed:
            return
        self._dismissed = True
        self._link.close()
        await self._serving
        try:
            await asyncio.to_thread(self._child.wait, STOP_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            await asyncio.to_thread(self._child.wait)
        os.close(self._lifeline)

    async def _call(self, method: str, *arguments: object) -> Any:
        try:
            return await self._link.call(method, *arguments)
        except Closed:
            raise Lost(f"process {self._child.pid}") from None

    async def _serve(self) -> None:
        await self._link.serve()
        self._clerk.close()
