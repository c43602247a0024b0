"""Runs a plan on data: its dataflow as a LangGraph graph, a node a module, an edge for each value that flows.

A plan with one input is a chain; one with two is a tree, whose branches LangGraph runs side by side as far as the
models, which take turns, allow.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from .crew import Crew, Outcome
from .machine import Application


def _merged(left: Mapping[int, Any], right: Mapping[int, Any]) -> dict[int, Any]:
    return {**left, **right}


class Values(TypedDict):
    """What is there so far: number of the value, as `Application` counts them -> one outcome a sample."""

    values: Annotated[dict[int, list[Outcome]], _merged]


PlanGraph = CompiledStateGraph[Values, None, Values, Values]


def compile_plan(applications: Sequence[Application], inputs: int, crew: Crew) -> PlanGraph:
    """The graph of a plan that the plan machine ran; `inputs` is how many values the task brings."""
    builder = StateGraph(Values)
    consumed = {operand for application in applications for operand in application.operands}
    for place, application in enumerate(applications, inputs):
        builder.add_node(_name(place), _node(place, application, crew))
        before = sorted({operand for operand in application.operands if operand >= inputs})
        if before:
            # A list waits for all of them, single edges would run the node once for each.
            builder.add_edge([_name(operand) for operand in before], _name(place))
        else:
            builder.add_edge(START, _name(place))
        if place not in consumed:
            builder.add_edge(_name(place), END)
    return builder.compile()


async def run_batch(graph: PlanGraph, given: Sequence[Sequence[Outcome]]) -> dict[int, list[Outcome]]:
    """Every value of the plan for one batch; `given` has, for each input of the task, one value a sample.

    Raises:
        ExpertFaultError: If a model broke.
    """
    start: Values = {"values": {place: list(column) for place, column in enumerate(given)}}
    # A step of the graph is a module at most: the bound never bites.
    done = await graph.ainvoke(start, {"recursion_limit": len(graph.nodes) + 5})
    values: dict[int, list[Outcome]] = done["values"]
    return values


def _name(place: int) -> str:
    return f"value {place}"


def _node(place: int, application: Application, crew: Crew) -> Any:
    async def node(state: Values) -> Any:
        rows = list(zip(*(state["values"][operand] for operand in application.operands), strict=True))
        made = await asyncio.get_running_loop().run_in_executor(crew.pool, crew.apply, application.module, rows)
        return {"values": {place: made}}

    return node
