"""The door of the interpreter: `Interpreter.run(workflow, task) -> Trace`."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from autoflow import telemetry
from autoflow.core.json import digest
from autoflow.core.model import Message, Model
from autoflow.core.operator import Operator
from autoflow.core.task import Task
from autoflow.core.trace import Failure, Trace
from autoflow.core.workflow import Workflow
from autoflow.errors import RunError, UnknownNameError, UsageError
from autoflow.interpreter.approval import Pause, Verdict
from autoflow.interpreter.changed import Changed
from autoflow.interpreter.compile import Graph, build, prepare
from autoflow.interpreter.conversation import SystemTurn, cards
from autoflow.interpreter.core_protocol import core
from autoflow.interpreter.events import Event, RunFinished
from autoflow.interpreter.fused import fused
from autoflow.interpreter.segment import segment
from autoflow.interpreter.session import CarryOut, FaultError, Program, Session
from autoflow.interpreter.settings import ProtocolName, Settings
from autoflow.prompts import render

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

CARRY_OUT: Mapping[ProtocolName, CarryOut] = {"fused": fused, "segment": segment, "core": core}

KEPT = 256
"""Compiled workflows kept; the longest unused one goes first."""

_STOPPED = Failure("fault", "cancelled", "stopped by the person at the run; it can be resumed from its checkpoint")


class Interpreter:
    """Runs workflows. One interpreter serves any number of concurrent runs."""

    def __init__(
        self,
        model: Model,
        operators: Mapping[str, Operator],
        settings: Settings = Settings(),  # noqa: B008  (frozen)
        *,
        open_model: Callable[[str], Model] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`operators` by the name that steps use; `open_model` opens the model of a step that names its own."""
        self.model = model
        self.operators = operators
        self.settings = settings
        self._open_model = open_model
        self._clock = clock
        self._models: dict[str, Model] = {}
        self._system = Message("system", render(SystemTurn(cards(operators) if settings.show_cards else [])))
        self._compiled: OrderedDict[str, _Compiled] = OrderedDict()
        self._seen: OrderedDict[int, tuple[Workflow, _Compiled]] = OrderedDict()

    async def run(
        self,
        workflow: Workflow,
        task: Task,
        *,
        sample: int = 0,
        on_event: Callable[[Event], None] | None = None,
        thread: str | None = None,
        checkpointer: "BaseCheckpointSaver[Any] | None" = None,
        approve: Callable[[Pause], Awaitable[Verdict]] | None = None,
        changed: Changed | None = None,
    ) -> Trace:
        """Run `workflow` on `task`. Whatever goes wrong with the run is the trace's `failure`.

        Args:
            sample: Which independent run of this task this is; equal samples draw equally.
            on_event: Told of each step as it happens, in order.
            thread: Name of the run in `checkpointer`. A thread that was killed, paused or ended in a fault goes on
                after its last finished step; one that came to its end gives its trace again without any call.
            approve: Asked before each step; the run waits for the verdict.
            changed: Go on from another run of the same workflow on the same task, one result changed. Its steps before
                are not run again. Under protocol `core` the notebook begins empty.

        Raises:
            WorkflowError: If the workflow cannot be run at all.
            UnknownNameError: If a step names an operator that is not in reach.
            UsageError: If the arguments, or a person's verdict, do not fit.
            RunError: If `thread` belongs to another run.
        """
        with telemetry.workflow_span(workflow, task) as span:
            trace = await self._run(
                workflow,
                task,
                sample,
                on_event,
                thread=thread,
                checkpointer=checkpointer,
                approve=approve,
                changed=changed,
            )
            if trace.failure is not None:
                telemetry.failed(span, trace.failure.reason)
            else:
                telemetry.resulted(span, trace.answer)
            return trace

    async def _run(
        self,
        workflow: Workflow,
        task: Task,
        sample: int,
        on_event: Callable[[Event], None] | None,
        *,
        thread: str | None,
        checkpointer: "BaseCheckpointSaver[Any] | None",
        approve: Callable[[Pause], Awaitable[Verdict]] | None,
        changed: Changed | None,
    ) -> Trace:
        if (thread is None) != (checkpointer is None):
            raise UsageError("a run with a checkpoint needs both a checkpointer and the name of its thread")
        if changed is not None and (approve is not None or checkpointer is not None):
            raise UsageError("a changed run is neither approved step by step nor kept in a checkpoint")
        if approve is not None and checkpointer is None:
            from langgraph.checkpoint.memory import InMemorySaver

            checkpointer, thread = InMemorySaver(), "run"
        compiled = self._compile(workflow)
        graph = compiled.graph(checkpointer)
        session = self._session(compiled.program, task, sample, on_event)
        session.steered = approve is not None
        session.saved = checkpointer is not None
        if changed is not None:
            session.take_up(changed)
            if session.begin is None:
                return self._end(session, 0.0)
        # Steps are counted by us: LangGraph's own bound must only lie above what pauses and redirections can need.
        config: dict[str, Any] = {"recursion_limit": 10_000 + self.settings.max_steps}
        payload: Any = {"done": False}
        before = 0.0
        if checkpointer is not None:
            config["configurable"] = {"thread_id": thread}
            session.identity = self.identity(session)
            state = (await graph.aget_state(config)).values  # type: ignore[arg-type]
            if state:
                same_run(str(thread), state.get("run") or session.identity, session.identity)
                session.restore(state)
                before = sum(record.seconds for record in session.records)
                if state.get("done"):
                    return self._end(session, before)
                payload = None
            else:
                payload = {"run": session.identity, "done": False}
        took = 0.0
        while True:
            began = self._clock()
            pause = await self._advance(graph, session, payload, config, took)
            took += self._clock() - began
            if pause is None or approve is None:
                break
            verdict = await approve(pause)
            verdict.check(pause, workflow)
            if verdict.action == "stop":
                session.failure = _STOPPED
                break
            from langgraph.types import Command

            payload = Command(resume=verdict.plain())
        return self._end(session, before + took)

    def session(self, workflow: Workflow, task: Task) -> Session:
        """A run of `workflow` on `task` that has not begun, for a graph that carries it in its own state.

        Raises:
            WorkflowError, UnknownNameError: As `run`.
        """
        return self._session(self._compile(workflow).program, task, 0, None)

    async def aclose(self) -> None:
        """Close the models that steps named. The run's own model belongs to whoever opened it."""
        while self._models:
            _, model = self._models.popitem()
            await model.aclose()

    async def _advance(self, graph: Graph, session: Session, payload: Any, config: Any, took_s: float) -> Pause | None:
        """Let the graph run until it ends (`None`) or waits for a person."""
        limit_s = self.settings.task_timeout_s
        try:
            async with asyncio.timeout(None if limit_s is None else limit_s - took_s) as scope:
                # Of a run that is not saved nobody reads the state, so none is put together after each step.
                shown: Any = "values" if session.saved else []
                state = await graph.ainvoke(
                    payload, config, context=session, durability=_durability(self, config), stream_mode=shown
                )
        except TimeoutError:
            if not scope.expired():
                raise
            name = session.current.step.name if session.current is not None else None
            session.interrupt(Failure("workflow", "timeout", f"the task took longer than {limit_s:g} s", name))
            return None
        except FaultError as error:
            session.failure = error.failure
            return None
        interrupts = state.get("__interrupt__") if session.saved else None
        if not interrupts:
            return None
        step = session.program.steps[interrupts[0].value["step"]]
        return Pause(
            step=step,
            visit=session.visits.get(step.name, 0) + 1,
            instruction=session.instruction(step),
            last=session.records[-1] if session.records else None,
        )

    def _end(self, session: Session, seconds: float) -> Trace:
        trace = session.trace(seconds)
        if session.on_event is not None:
            session.on_event(RunFinished(trace))
        return trace

    def _session(
        self,
        program: Program,
        task: Task,
        sample: int,
        on_event: Callable[[Event], None] | None,
    ) -> Session:
        return Session(
            program=program,
            task=task,
            model=self.model,
            models=self._models,
            operators=self.operators,
            settings=self.settings,
            system=self._system,
            carry_out=CARRY_OUT[self.settings.protocol],
            clock=self._clock,
            sample=sample,
            on_event=on_event,
        )

    def identity(self, session: Session) -> dict[str, str]:
        """What a kept run must have in common with one that goes on with it."""
        return {
            "workflow": session.program.fingerprint,
            "task": digest([session.task.id, session.task.text]),
            "model": self.model.name,
            "protocol": self.settings.protocol,
            # What decides about prompts and draws; limits may change between sittings.
            "settings": digest(
                [
                    asdict(self.settings.sampling),
                    self.settings.seed,
                    self.settings.decision_reason,
                    self._system.text,
                    self.settings.core_retrieval,
                    self.settings.core_temperature,
                    self.settings.core_max_tokens,
                    self.settings.core_tools,
                ]
            ),
            "sample": str(session.sample),
        }

    def _compile(self, workflow: Workflow) -> "_Compiled":
        # Hashing a workflow takes longer than running a step: the object itself is looked up first.
        seen = self._seen.get(id(workflow))
        if seen is not None and seen[0] is workflow:
            return seen[1]
        program = prepare(workflow)
        compiled = self._compiled.get(program.fingerprint)
        if compiled is None:
            for step in workflow.steps:
                if step.operator not in self.operators:
                    raise UnknownNameError("operator", step.operator, sorted(self.operators))
                self._own_model(step.model)
            compiled = _Compiled(program)
            self._compiled[program.fingerprint] = compiled
            if len(self._compiled) > KEPT:
                self._compiled.popitem(last=False)
        self._seen[id(workflow)] = (workflow, compiled)
        if len(self._seen) > KEPT:
            self._seen.popitem(last=False)
        return compiled

    def _own_model(self, spec: str | None) -> None:
        if spec is None or spec in self._models:
            return
        if self._open_model is None:
            raise UsageError(f"a step names its own model, {spec!r}, and this interpreter cannot open models")
        self._models[spec] = self._open_model(spec)


class _Compiled:
    """A workflow's program with its graph, compiled once for each checkpointer in use."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._graph: Graph | None = None
        self._saved: tuple[object, Graph] | None = None

    def graph(self, checkpointer: "BaseCheckpointSaver[Any] | None") -> Graph:
        if checkpointer is None:
            if self._graph is None:
                self._graph = build(self.program.workflow, saved=False).compile()
            return self._graph
        if self._saved is None or self._saved[0] is not checkpointer:
            graph = build(self.program.workflow, saved=True).compile(checkpointer=checkpointer)
            self._saved = (checkpointer, graph)
        return self._saved[1]


def _durability(interpreter: Interpreter, config: Mapping[str, Any]) -> Any:
    return interpreter.settings.durability if "configurable" in config else None


def same_run(thread: str, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Refuse to go on with a run as another.

    Raises:
        RunError: Naming what differs.
    """
    differing = sorted(key for key in wanted if found.get(key) != wanted[key])
    if differing:
        raise RunError(
            f"thread {thread!r} belongs to another run; different are: {', '.join(differing)}",
            hint="name another thread, or run it as it was begun",
        )
