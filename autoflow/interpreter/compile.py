"""Workflow -> LangGraph `StateGraph`: a node a step, an edge for each way on.

The graph holds nothing of a run: nodes find their `Session` in LangGraph's runtime context, so one compiled graph
serves any number of runs at once.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt

from autoflow.core.workflow import Step, Workflow
from autoflow.errors import WorkflowError
from autoflow.interpreter.approval import Verdict
from autoflow.interpreter.session import Outcome, Program, Session, State, Unsaved
from autoflow.language.references import TASK, references

Graph = CompiledStateGraph[State, Session, State, State]
Builder = StateGraph[State, Session, State, State]


def prepare(workflow: Workflow) -> Program:
    """What every run of the workflow needs.

    Raises:
        WorkflowError: If it cannot be run at all; `autoflow.language.lint` says more, with lines.
    """
    if not workflow.steps:
        raise WorkflowError(f"workflow {workflow.name!r} has no steps")
    repeated = [name for name, count in Counter(step.name for step in workflow.steps).items() if count > 1]
    if repeated:
        raise WorkflowError(f"workflow {workflow.name!r} has several steps named {repeated[0]!r}")
    names = {step.name for step in workflow.steps}
    for step in workflow.steps:
        for target in step.targets():
            if target not in names:
                raise WorkflowError(
                    f"step {step.name!r} leads to {target!r}, which does not exist",
                    hint=f"steps are: {', '.join(step.name for step in workflow.steps)}",
                )
        if step.type == "process" and step.next is None:
            raise WorkflowError(f"process {step.name!r} leads nowhere; give it `next`, or make it a terminal")
        if step.type == "decision" and not step.branches:
            raise WorkflowError(f"decision {step.name!r} has no branches")
        if step.type == "decision" and step.for_each is not None:
            raise WorkflowError(f"decision {step.name!r} has `for_each`: a run can take one branch only")
    return Program(
        workflow=workflow,
        fingerprint=workflow.fingerprint(),
        steps={step.name: step for step in workflow.steps},
        references={
            step.name: tuple(name for name in references(step.instruction) if name != TASK) for step in workflow.steps
        },
    )


def build(workflow: Workflow, *, saved: bool) -> Builder:
    """The graph of a workflow that `prepare` accepts, not compiled yet; `saved`: for a checkpointer.

    A node chooses its successor itself (LangGraph's `Command`): a failure can end the run anywhere, and a person may
    redirect it. `destinations` states the ways that the workflow has, for drawings and Studio.
    """
    # A channel takes time at each step, whether it is used or not.
    schema: Any = State if saved else Unsaved
    builder: Builder = StateGraph(schema, context_schema=Session)
    for step in workflow.steps:
        destinations = (*(node_name(target) for target in step.targets()), END)
        builder.add_node(node_name(step.name), _node(step), destinations=destinations, input_schema=schema)
    builder.add_edge(START, node_name(workflow.entry.name))
    return builder


def node_name(step: str) -> str:
    """What LangGraph calls the node of a step."""
    # LangGraph reserves names and characters of its own; a prefix and escapes keep every step name usable.
    return "step " + step.replace("\\", "\\\\").replace("|", "\\p").replace(":", "\\c")


def _node(step: Step) -> Callable[..., Awaitable[Command[str]]]:
    async def node(state: State, *, runtime: Runtime[Session]) -> Command[str]:
        session = runtime.context
        if session.begin is not None:
            session.target, session.begin = session.begin, None
            return _command(session)
        if session.steered:
            # First of all: LangGraph runs the node again from here once the person has answered.
            verdict = Verdict.restore(interrupt({"step": step.name}))
            if verdict.action == "redirect":
                session.target = verdict.step
                return _command(session)
            if verdict.action == "edit":
                session.edit_last(verdict.result)
            if verdict.action == "replace":
                label = str(verdict.result) if step.type == "decision" else None
                target = step.next if label is None else step.branches[label]
                session.close(session.open(step), Outcome(verdict.result, label, target))
                return _command(session)
        await session.carry_out(session, step)
        return _command(session)

    return node


def _command(session: Session) -> Command[str]:
    goto = END if session.target is None else node_name(session.target)
    update: Any = session.state() if session.saved else None
    return Command(goto=goto, update=update)
