"""A worker: what runs where the draws are carried out."""

import asyncio
import itertools
import os
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from autoflow.benchmarks import loader
from autoflow.core.model import Model, Reply, Request
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Failure, Trace
from autoflow.errors import DataError
from autoflow.executors.recipe import Recipe
from autoflow.interpreter.checkpoint import Kept, open_postgres
from autoflow.interpreter.run import Interpreter
from autoflow.models.factory import open_model
from autoflow.models.limit import Outcome
from autoflow.models.options import ModelOptions
from autoflow.models.shared import Shared
from autoflow.objective.desk import Role
from autoflow.objective.drawing import Drawn, Here, Runner
from autoflow.objective.judging import ready
from autoflow.objective.metered import AtDesk
from autoflow.operators.library import library
from autoflow.runs import serial
from autoflow.runs.secrets import blotter
from autoflow.zero_shot import Writer

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

T = TypeVar("T")


class Way(Protocol):
    """The way to the clerk that speaks for this worker; calls arrive in the order they were made."""

    async def call(self, method: str, *arguments: object) -> object:
        """Have a method of the clerk carried out and wait for what it gives."""
        ...

    def tell(self, method: str, *arguments: object) -> None:
        """The same without waiting."""
        ...


class Worker:
    """Draws as the recipe says."""

    def __init__(
        self, recipe: Recipe, options: ModelOptions, way: Way, saver: "BaseCheckpointSaver[Any] | None"
    ) -> None:
        """`begun` makes it."""
        self._recipe = recipe
        self._open = AsyncExitStack()
        benchmark = loader.load(recipe.benchmark, scorer=recipe.scorer, options=recipe.options)
        if benchmark.fingerprint != recipe.fingerprint:
            raise DataError(
                f"{os.uname().nodename}: the benchmark {recipe.benchmark!r} is not the driver's; data, code or scorer"
                " differ",
                hint="every node needs the same data, benchmark folder and version of autoflow",
            )
        self._blot = blotter(os.environ)
        numbers = itertools.count()
        gates: dict[str, _Gate] = {}

        def gate(model: str, most: int) -> _Gate:
            gates[model] = _Gate(way, numbers, model, most)
            return gates[model]

        desk = _Desk(way, numbers, gates, self._blot)
        self._models = Shared(lambda spec: open_model(spec, options, gate=gate))

        def at_desk(spec: str, role: Role = "interpreter") -> Model:
            return AtDesk(self._models(spec), desk, role=role)

        interpreter = Interpreter(
            at_desk(recipe.interpreter),
            {**library(), **benchmark.operators},
            recipe.settings,
            open_model=at_desk,
        )
        runner: Runner = interpreter
        if recipe.checkpoints is not None:
            assert saver is not None  # noqa: S101  as `begun` sees to
            runner = Kept(interpreter, saver, recipe.checkpoints[1])
        if recipe.writing is not None:
            runner = Writer(
                recipe.writing,
                at_desk(recipe.writing.generator, "generator"),
                runner,
                benchmark,
                seed=recipe.seed,
                on_workflow=lambda workflow: way.tell("save", workflow),
            )
        self._here = Here(runner, ready(benchmark.scorer, at_desk, recipe.folder))

    @classmethod
    async def begun(cls, recipe: Recipe, options: ModelOptions, way: Way) -> "Worker":
        """Load the benchmark and open the interpreter.

        Raises:
            DataError: If what lies here under the benchmark's name is not what the driver has.
            AutoflowError: As for a run without workers: no such benchmark, model, key or database.
        """
        for name, value in recipe.variables.items():
            os.environ.setdefault(name, value)
        async with AsyncExitStack() as open_:
            saver = None
            if recipe.checkpoints is not None:
                # The driver has made the tables.
                saver = await open_.enter_async_context(open_postgres(make=False))
            worker = cls(recipe, options, way, saver)
            worker._open = open_.pop_all()
        return worker

    async def draw(self, task: Task, sample: int) -> Drawn:
        """As `autoflow.objective.drawing.Drawer.draw`; what leaves this process holds none of its secrets."""
        drawn = await self._here.draw(self._recipe.workflow, task, sample)
        judged = drawn.judged
        return Drawn(
            _blotted(Trace, drawn.trace, self._blot),
            _blotted(Score, judged, self._blot) if isinstance(judged, Score) else _blotted(Failure, judged, self._blot),
        )

    async def aclose(self) -> None:
        """Close what it has open."""
        await self._models.__aexit__(None, None, None)
        await self._open.aclose()


def _blotted(kind: type[T], value: T, blot: Callable[[str], str]) -> T:
    # A key of this node alone is unknown to the driver, which blots what it writes by its own.
    text = serial.dumps(value)
    clean = blot(text)
    return value if clean == text else serial.loads(kind, clean)


_turn: ContextVar[int | None] = ContextVar("turn", default=None)
"""Number of the turn at a gate that a call got together with its slip, until its first attempt takes it."""


class _Gate:
    """The gate of a model's server, which all workers share, as seen from here."""

    def __init__(self, way: Way, numbers: "itertools.count[int]", model: str, most: int) -> None:
        self._way = way
        self._numbers = numbers
        self._model = model
        self.most = most

    async def enter(self) -> int:
        turn = _turn.get()
        if turn is not None:
            _turn.set(None)
            return turn
        number = next(self._numbers)
        try:
            await self._way.call("enter", number, self._model, self.most)
        except asyncio.CancelledError:
            self._way.tell("leave", number, "failed")
            raise
        return number

    def leave(self, turn: int, outcome: Outcome) -> None:
        self._way.tell("leave", turn, outcome)


class _Desk:
    """The run's desk, as seen from here. Slips are numbers. A call is let through with a turn at its model's gate."""

    def __init__(
        self,
        way: Way,
        numbers: "itertools.count[int]",
        gates: Mapping[str, _Gate],
        blot: Callable[[str], str],
    ) -> None:
        self._way = way
        self._numbers = numbers
        self._gates = gates
        self._blot = blot

    async def ask(self, key: str, model: str, role: Role, request: Request) -> Reply | int:
        number = next(self._numbers)
        gate = self._gates.get(model)
        most = None if gate is None else gate.most
        try:
            reply = await self._way.call("ask", number, key, model, role, request, most)
        except asyncio.CancelledError:
            self._way.tell("withdraw", number)
            raise
        if isinstance(reply, Reply):
            return reply
        _turn.set(None if gate is None else number)
        return number

    async def answered(self, slip: int, reply: Reply) -> Reply:
        clean = _blotted(Reply, reply, self._blot)
        recorded = await self._way.call("answered", slip, clean)
        return recorded if isinstance(recorded, Reply) else clean

    def failed(self, slip: int, error: BaseException) -> None:
        if isinstance(error, Exception):
            self._way.tell("failed", slip, error)
        else:
            self._way.tell("withdraw", slip)
