"""A workflow as a LangGraph graph that needs nobody around it: the task comes in as state, the answer leaves as state.

`Interpreter.run` keeps a run in a `Session` that only its caller holds. A LangGraph server holds nothing but the state:
here every node rebuilds the session from it, as a resumed run does, carries out its step, and writes it back.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, NotRequired, Required, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from autoflow.core.json import Json
from autoflow.core.task import Task
from autoflow.core.trace import Failure
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import AutoflowError, ProviderError, RunError, SandboxError, UsageError
from autoflow.interpreter.compile import node_name, prepare
from autoflow.interpreter.run import Interpreter, same_run
from autoflow.interpreter.session import FaultError, Session, State

BEGIN = "begin"
"""The node before the first step: a task may come to a thread that has done another."""

TASK_ID = "task"


class Given(TypedDict):
    """What the graph is called with."""

    task: Required[str]
    context: NotRequired[dict[str, Any]]
    """What operators may read besides, such as documents."""


class Left(TypedDict, total=False):
    """What it leaves."""

    answer: Any
    failure: list[Any] | None
    """Kind, reason, message and step, where the run has no answer."""

    records: list[dict[str, Any]]
    """Every visit of a step: its result, where it led, its calls."""


class Whole(State, total=False):
    """The state: the interpreter's own, with the task and the answer."""

    task: str
    context: dict[str, Any]
    answer: Any


Standalone = CompiledStateGraph[Whole, None, Given, Left]


def standalone(workflow: Workflow, interpreter: Interpreter) -> Standalone:
    """The graph of `workflow`, a node a step, run by `interpreter`; call it with `ainvoke` or `astream`.

    A workflow's failure is the state's `failure`. A fault of the model or the sandbox is raised: the thread then goes
    on after its last finished step when it is invoked with `None`.

    Raises:
        WorkflowError: If the workflow cannot be run at all.
        UnknownNameError: If a step names an operator that is not in reach.
    """
    program = prepare(workflow)

    def session(state: Whole) -> Session:
        text = state.get("task")
        if not isinstance(text, str) or not text.strip():
            raise UsageError("the input has no task", hint='call the graph with {"task": "..."}')
        made = interpreter.session(workflow, Task(TASK_ID, text, state.get("context") or {}))
        made.saved = True
        made.identity = interpreter.identity(made)
        return made

    async def begin(state: Whole) -> dict[str, Any]:
        made = session(state)
        return {**made.state(), "done": False, "answer": None}

    # A state of its own for what comes in and what goes out: Studio draws its form by them.
    builder = StateGraph(Whole, input_schema=Given, output_schema=Left)
    builder.add_node(BEGIN, begin)
    builder.add_edge(START, BEGIN)
    builder.add_edge(BEGIN, node_name(program.workflow.entry.name))
    for step in workflow.steps:
        destinations = (*(node_name(target) for target in step.targets()), END)
        builder.add_node(node_name(step.name), _node(step, session), destinations=destinations)
    # Steps are counted by the interpreter; LangGraph's bound must only lie above.
    return builder.compile().with_config(recursion_limit=10_000 + interpreter.settings.max_steps)


def _node(step: Step, session: Callable[[Whole], Session]) -> Callable[..., Awaitable[Command[str]]]:
    async def node(state: Whole) -> Command[str]:
        made = session(state)
        found = state.get("run") or {}
        same_run("of this state", found, made.identity)
        made.restore(state)
        try:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_carried_out(made, step), _loop()))
        except FaultError as error:
            raise _raised(error.failure) from error
        update: dict[str, Any] = {**made.state(), "answer": _answer(made)}
        return Command(goto=END if made.target is None else node_name(made.target), update=update)

    return node


async def _carried_out(session: Session, step: Step) -> None:
    await session.carry_out(session, step)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Where all steps run. A server may run its graphs on several loops, and a model's connections belong to one."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="autoflow", daemon=True).start()
    return loop


def _answer(session: Session) -> Json:
    return session.trace(0.0).answer


def _raised(failure: Failure) -> AutoflowError:
    if failure.reason == "sandbox":
        return SandboxError(failure.message)
    if failure.reason == "provider":
        return ProviderError(failure.message, transient=False)
    return RunError(failure.message)
