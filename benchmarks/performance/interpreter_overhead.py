"""CPU time that a step costs besides the model call: this interpreter beside bare LangGraph.

    python benchmarks/performance/interpreter_overhead.py [--runs 200] [--steps 6] [--json]

The model answers at once. Each row is the median over `--rounds` of the process's CPU time for all runs, divided by
runs and steps; a checkpointer's own thread is in it. One run warms each row up first.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypedDict

from autoflow.core.model import Feature, Reply, Request, Usage
from autoflow.core.task import Task
from autoflow.core.workflow import Step, Workflow
from autoflow.interpreter.checkpoint import open_checkpoints
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import Durability, Settings
from autoflow.operators.library import library

TARGET_MS = 1.5
"""What a step may cost with durability `exit`."""

INSTRUCTION = "Look at the result so far and say in one sentence what should be done next, and why it should be."


class Instant:
    """A model that answers at once."""

    name = "scripted/instant"
    features: frozenset[Feature] = frozenset()

    async def complete(self, request: Request) -> Reply:
        return Reply("Use Image Denoising, then Colorization.", self.name, Usage(100, 8, None, 0.0), finish="stop")

    async def aclose(self) -> None:
        """Nothing is held."""


def workflow(steps: int) -> Workflow:
    """A straight workflow with that many model steps."""
    names = [f"step {index}" for index in range(steps)]
    made = [Step(name, "process", INSTRUCTION, next=names[index + 1]) for index, name in enumerate(names[:-1])]
    return Workflow("overhead", (*made, Step(names[-1], "terminal", INSTRUCTION)))


def bare(steps: int, checkpointer: Any) -> Any:
    """The least that LangGraph can do: as many nodes, each putting one text into a list."""
    from langgraph.graph import END, START, StateGraph

    class State(TypedDict, total=False):
        texts: list[str]

    builder = StateGraph(State)
    for index in range(steps):

        async def node(state: State) -> State:
            return {"texts": [*state.get("texts", []), "Use Image Denoising, then Colorization."]}

        builder.add_node(f"step {index}", node)
        builder.add_edge(f"step {index - 1}" if index else START, f"step {index}")
    builder.add_edge(f"step {steps - 1}", END)
    return builder.compile(checkpointer=checkpointer)


async def measure(one: Callable[[str], Awaitable[object]], label: str, runs: int, rounds: int, steps: int) -> float:
    """CPU milliseconds a step."""
    await one(f"{label} warm")
    found = []
    for turn in range(rounds):
        began = time.process_time()
        for index in range(runs):
            await one(f"{label} {turn} {index}")
        found.append((time.process_time() - began) / runs / steps * 1000)
    return statistics.median(found)


async def main(runs: int, rounds: int, steps: int) -> dict[str, float]:
    """Every row by its name."""
    task = Task("t", "Given noisy blurry grayscale image, how to return the caption in German step by step?")
    program = workflow(steps)
    rows: dict[str, float] = {}
    durabilities: tuple[tuple[str, Durability | None], ...] = (
        ("no checkpoint", None),
        ("SQLite, exit", "exit"),
        ("SQLite, sync", "sync"),
    )
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        for name, durability in durabilities:
            # A write for every step takes long: fewer runs say as much.
            count = runs if durability != "sync" else max(1, runs // 10)
            saver = None
            if durability is not None:
                file = Path(folder) / f"{name}.sqlite"
                saver = await stack.enter_async_context(open_checkpoints(file))
            graph = bare(steps, saver)

            async def one_bare(thread: str, graph: Any = graph, durability: Any = durability) -> object:
                config = {"configurable": {"thread_id": thread}}
                return await graph.ainvoke({"texts": []}, config, durability=durability)

            interpreter = Interpreter(Instant(), library(), Settings(durability=durability or "exit"))

            async def one(thread: str, interpreter: Any = interpreter, saver: Any = saver) -> object:
                trace = await interpreter.run(
                    program, task, thread=thread if saver is not None else None, checkpointer=saver
                )
                assert len(trace.steps) == steps
                assert trace.answer
                return trace

            rows[f"bare LangGraph, {name}"] = await measure(one_bare, "bare", count, rounds, steps)
            rows[f"autoflow, {name}"] = await measure(one, "autoflow", count, rounds, steps)
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = asyncio.run(main(given.runs, given.rounds, given.steps))
    met = found["autoflow, SQLite, exit"] <= TARGET_MS
    if given.json:
        report = {
            "schema": 1,
            "unit": "CPU ms a step",
            "runs": given.runs,
            "rounds": given.rounds,
            "steps": given.steps,
            "python": sys.version.split()[0],
            "cpus": os.cpu_count(),
            "target_ms": TARGET_MS,
            "target_met": met,
            "rows": found,
        }
        print(json.dumps(report, indent=2))
    else:
        print(f"CPU ms a step; {given.runs} runs of {given.steps} steps, median of {given.rounds} rounds")
        for label, value in found.items():
            print(f"{label:32} {value:6.2f}")
        print(f"target for durability exit: {TARGET_MS} ms: {'met' if met else 'NOT MET'}")
    sys.exit(0 if met else 3)
