"""Workers that are actors of a Ray cluster: `autoflow bench --executor ray`. Needs the extra `ray`.

One actor, on the driver's own node, has the run's desk: its budget, its rate limits, and who waits for which call. It
reads the driver's ledger and never writes it: what is to be recorded goes to the driver, which is the only one that
writes, and a reply is let through to its worker once the driver has it on record.

A worker takes one CPU of a node. Where a node is lost, its workers' draws go to others, and new workers are asked for;
they start as soon as a node has room.
"""

import asyncio
import itertools
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from autoflow import garbage
from autoflow.core.budget import Budget, Spend
from autoflow.core.model import Reply, Request
from autoflow.core.task import Task
from autoflow.core.workflow import Workflow
from autoflow.errors import MissingDependencyError, RunError, WorkerError
from autoflow.executors.clerk import METHODS, Clerk
from autoflow.executors.link import portable
from autoflow.executors.pool import Lost, Pool
from autoflow.executors.recipe import Office, Recipe
from autoflow.executors.worker import Worker
from autoflow.models.limit import Adaptive
from autoflow.models.options import ModelOptions
from autoflow.objective.desk import Desk
from autoflow.objective.drawing import Drawer, Drawn
from autoflow.objective.meter import Meter, Price
from autoflow.runs.ledger import Ledger
from autoflow.telemetry import exporting

STOP_S = 10.0
"""So long a worker has to end by itself."""

_AT_ONCE = 10_000
# Methods of an actor under way at once, most of them waiting. Ray's own limit, 1,000, would let calls that wait for a
# turn keep out those that give theirs back.

_ANSWER_S = 10.0

_STORE_BYTES = 256 * 2**20
# Shared memory of a cluster that is started here: traces are small, and Ray's default is a third of the machine.

Outcome = tuple[Literal["gave", "raised"], Any]
"""What a method came to. Ray would wrap an error in one of its own, with its traceback as the message."""


@dataclass(frozen=True, slots=True)
class RayCluster:
    """The cluster that `RAY_ADDRESS` names or that runs on this machine; where there is none, one of this machine alone
    for as long as the run lasts."""

    options: ModelOptions
    """What models are opened with."""

    workers: int | None = None
    """`None`: one for each CPU of the cluster."""

    say: Callable[[str], None] | None = None

    @asynccontextmanager
    async def at_work(self, recipe: Recipe, office: Office) -> AsyncIterator[Drawer]:
        """Workers of which one at least is ready; the others join as their nodes have room for them."""
        ray = load()
        joined = not ray.is_initialized() and _connect(ray, self.workers)
        try:
            size = self.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
            async with _desk(ray, office) as (desk, pump):
                names = itertools.count(1)

                async def hire() -> _Actor:
                    return await _Actor.begun(ray, f"worker {next(names)}", desk, recipe, self.options)

                async with Pool(hire, recipe.workflow, size, say=self.say) as pool:
                    pump.add_done_callback(lambda done: _tell(done, pool))
                    yield pool
        finally:
            if joined:
                ray.shutdown()


def load() -> Any:
    """The package.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    # Ray reports on its use to its makers unless it is told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise MissingDependencyError(
            "--executor ray needs the package ray", hint="pip install 'autoflow[ray]'"
        ) from error
    return ray


def _connect(ray: Any, workers: int | None) -> bool:
    quiet = {"configure_logging": False, "log_to_driver": False}
    address = os.environ.get("RAY_ADDRESS", "")
    _check(address)
    try:
        ray.init(address="auto", **quiet)
    except ray.exceptions.AuthenticationError as error:
        raise WorkerError(
            f"the Ray cluster wants another token: {str(error).splitlines()[0]}",
            hint="every machine needs the first one's ~/.ray/auth_token, and RAY_AUTH_MODE=token",
        ) from error
    except ConnectionError as error:
        if address:
            raise WorkerError(f"what listens at RAY_ADDRESS={address} is no Ray cluster") from error
        ray.init(
            address="local",
            num_cpus=workers,
            include_dashboard=False,
            object_store_memory=_STORE_BYTES,
            _node_ip_address="127.0.0.1",
            **quiet,
        )
    return True


def _check(address: str) -> None:
    """Makes sure that something listens where the environment says: Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or "://" in host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), _ANSWER_S).close()
    except OSError as error:
        raise WorkerError(
            f"no Ray cluster answers at RAY_ADDRESS={address}", hint="start one: ray start --head"
        ) from error


# The driver's side


@asynccontextmanager
async def _desk(ray: Any, office: Office) -> AsyncIterator[tuple[Any, "asyncio.Task[None]"]]:
    """The actor with the desk, and the task that records what it hands on."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    meter = office.desk.meter
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    desk = ray.remote(DeskActor).options(num_cpus=0, max_concurrency=_AT_ONCE, scheduling_strategy=here).remote()
    await desk.begin.remote(str(office.ledger.path.absolute()), meter.budget, meter.spend, meter.seconds, office.price)
    pump = asyncio.create_task(_record(desk, office))
    try:
        yield desk, pump
    finally:
        pump.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await pump
        with suppress(ray.exceptions.RayError):
            _write(office, *await desk.rest.remote())
            await office.ledger.committed()
        ray.kill(desk)


async def _record(desk: Any, office: Office) -> None:
    """Write what the desk hands on, and tell it when it is on record, until cancelled."""
    written = 0
    while True:
        items, spend = await desk.take.remote(written)
        try:
            _write(office, items, spend)
            await office.ledger.committed()
        except RunError as error:
            await desk.broken.remote(error)
            raise
        written += len(items)


def _write(office: Office, items: "list[Item]", spend: Spend) -> None:
    for kind, *values in items:
        if kind == "reply":
            key, request, reply, role = values
            office.ledger.add_reply(key, request, reply, role=role)
        elif kind == "failed call":
            key, model, error, role = values
            office.ledger.add_failed_call(key, model, error, role=role)
        else:
            office.save(values[0])
    office.desk.meter.counted(spend)


def _tell(done: "asyncio.Task[None]", pool: Pool) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        lost = WorkerError(f"the run's desk is gone: {error}", hint="the same command resumes")
        pool.fail(error if isinstance(error, RunError) else lost)


class _Actor:
    """A worker actor, from the driver's side."""

    def __init__(self, ray: Any, name: str, actor: Any, desk: Any) -> None:
        self._ray = ray
        self._name = name
        self._actor = actor
        self._desk = desk
        self._dismissed = False

    @classmethod
    async def begun(cls, ray: Any, name: str, desk: Any, recipe: Recipe, options: ModelOptions) -> "_Actor":
        """Ask for an actor and wait until it can draw, however long no node has room.

        Raises:
            Lost: It ended while it started.
            AutoflowError: What stood in its way.
        """
        actor = (
            ray.remote(WorkerActor)
            .options(num_cpus=1, max_concurrency=_AT_ONCE, scheduling_strategy="SPREAD", max_restarts=0)
            .remote()
        )
        worker = cls(ray, name, actor, desk)
        try:
            await desk.open.remote(name)
            await worker._result(actor.begin.remote(name, recipe, options, desk))
        except BaseException:
            await worker.dismiss()
            raise
        return worker

    async def draw(self, task: Task, sample: int) -> Drawn:
        """Have the actor draw."""
        drawn: Drawn = await self._result(self._actor.draw.remote(task, sample))
        return drawn

    async def dismiss(self) -> None:
        """Have the actor close its models, and end it."""
        if self._dismissed:
            return
        self._dismissed = True
        with suppress(self._ray.exceptions.RayError):
            await self._desk.close.remote(self._name)
        with suppress(TimeoutError, self._ray.exceptions.RayError):
            async with asyncio.timeout(STOP_S):
                await self._actor.end.remote()
        self._ray.kill(self._actor)

    async def _result(self, asked: Any) -> Any:
        errors = self._ray.exceptions
        try:
            kind, content = await asked
        except errors.RayTaskError as error:
            raise WorkerError(f"{self._name} failed: {error}") from error
        except errors.RayError as error:
            raise Lost(f"{self._name}: {type(error).__name__}") from error
        if kind == "raised":
            raise content
        return content


# The desk's actor

Item = tuple[Any, ...]
"""What is to be recorded: what it is, then the arguments of the ledger's method, or a workflow."""


class _Outbox:
    """The record, as the desk's actor has it: it reads the ledger, and hands on what is to be written."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.blot = ledger.blot
        self._items: list[Item] = []
        self._added = self._taken = self._written = 0
        self._more = asyncio.Event()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._broken: Exception | None = None

    def reply(self, key: str) -> Reply | None:
        return self._ledger.reply(key)

    def add_reply(self, key: str, request: Request, reply: Reply, *, role: str) -> None:
        self.add(("reply", key, request, reply, role))

    def add_failed_call(self, key: str, model: str, error: str, *, role: str) -> None:
        self.add(("failed call", key, model, error, role))

    def add(self, item: Item) -> None:
        """Hand an item on."""
        self._items.append(item)
        self._added += 1
        self._more.set()

    async def committed(self) -> None:
        if self._broken is not None:
            raise self._broken
        if self._written < self._added:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((self._added, waiter))
            await waiter

    async def take(self, written: int) -> list[Item]:
        """Note that so many items, from the first on, are on record; wait for more."""
        self._written = written
        due = [waiter for count, waiter in self._waiting if count <= written]
        self._waiting = [item for item in self._waiting if item[0] > written]
        for waiter in due:
            if not waiter.done():
                waiter.set_result(None)
        if not self._items:
            self._more.clear()
            await self._more.wait()
        return self.rest()

    def rest(self) -> list[Item]:
        """What was not taken yet."""
        items, self._items = self._items, []
        return items

    def broken(self, error: Exception) -> None:
        """Nothing can be written any more."""
        self._broken = error
        waiting, self._waiting = self._waiting, []
        for _, waiter in waiting:
            if not waiter.done():
                waiter.set_exception(error)


class DeskActor:
    """The one owner of budget and rate limits. Its methods are called by the driver and by workers."""

    async def begin(self, ledger: str, budget: Budget, spent: Spend, seconds: float, price: Price | None) -> None:
        """Take over from the driver, which has spent so much in so many seconds of earlier sittings."""
        # Here and not when it is made: SQLite wants one thread, and an actor is made in another.
        self._outbox = _Outbox(Ledger.reading(Path(ledger)))
        self._meter = Meter(budget, time.time, spent, earlier_seconds=seconds, price=price)
        self._desk = Desk(self._outbox, self._meter)
        self._gates: dict[str, Adaptive] = {}
        self._clerks: dict[str, Clerk] = {}

    async def take(self, written: int) -> tuple[list[Item], Spend]:
        """For the driver: what is to be recorded next, and what was spent so far."""
        items = await self._outbox.take(written)
        return items, self._meter.spend

    async def rest(self) -> tuple[list[Item], Spend]:
        """For the driver, at the end: what is still to be recorded."""
        return self._outbox.rest(), self._meter.spend

    async def broken(self, error: Exception) -> None:
        """From the driver: the ledger cannot be written."""
        self._outbox.broken(error)

    async def open(self, worker: str) -> None:
        """Expect a worker of this name."""
        self._clerks[worker] = Clerk(self._desk, self._gates, self._save)

    async def close(self, worker: str) -> None:
        """Take back what that worker holds; it is not heard any more."""
        clerk = self._clerks.pop(worker, None)
        if clerk is not None:
            clerk.close()

    async def call(self, worker: str, method: str, *arguments: object) -> Outcome:
        """Carry out what a worker calls."""
        clerk = self._clerks.get(worker)
        if clerk is None or method not in METHODS:
            return "raised", WorkerError(f"{worker} was given up; its tasks are with others")
        try:
            found = getattr(clerk, method)(*arguments)
            return "gave", await found if asyncio.iscoroutine(found) else found
        except asyncio.CancelledError:
            # Withdrawn: nobody waits for it.
            return "gave", None
        except Exception as error:  # noqa: BLE001  boundary: it is raised where it was called from
            return "raised", portable(error)

    def _save(self, workflow: Workflow) -> None:
        self._outbox.add(("workflow", workflow))


# The workers' actors


class _ToDesk:
    """The way to the desk's actor."""

    def __init__(self, desk: Any, name: str) -> None:
        self._desk = desk
        self._name = name

    async def call(self, method: str, *arguments: object) -> object:
        kind, content = await self._desk.call.remote(self._name, method, *arguments)
        if kind == "raised":
            raise content
        return content

    def tell(self, method: str, *arguments: object) -> None:
        self._desk.call.remote(self._name, method, *arguments)


class WorkerActor:
    """A worker with a CPU of its own."""

    async def begin(self, name: str, recipe: Recipe, options: ModelOptions, desk: Any) -> Outcome:
        """Get ready to draw."""
        self._open = ExitStack()
        self._open.enter_context(exporting())
        self._open.enter_context(garbage.seldom())
        # On another machine it may not be there; then only what is named by a relative path is missed, by its name.
        with suppress(OSError):
            os.chdir(recipe.working_folder)
        try:
            self._worker = await Worker.begun(recipe, options, _ToDesk(desk, name))
        except Exception as error:  # noqa: BLE001  boundary: the driver raises it
            return "raised", portable(error)
        return "gave", None

    async def draw(self, task: Task, sample: int) -> Outcome:
        """Draw a task."""
        try:
            return "gave", await self._worker.draw(task, sample)
        except Exception as error:  # noqa: BLE001  boundary: the driver raises it
            return "raised", portable(error)

    async def end(self) -> None:
        """Close the models and send what is left of spans."""
        await self._worker.aclose()
        self._open.close()
