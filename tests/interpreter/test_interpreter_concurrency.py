"""Many runs at once through one compiled graph, the order of events, and cancellation."""

import asyncio
import random

import pytest
from interpreter_helpers import TASK, Answering, decision, echo, flow, linear, process, terminal

from autoflow.core.model import Request
from autoflow.core.task import Task
from autoflow.interpreter import compile as compiling
from autoflow.interpreter import run as running
from autoflow.interpreter.events import Event, RunFinished, StepFinished, StepStarted
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import Settings
from autoflow.operators.library import library


class Jittery(Answering):
    """Answers after a random short time, so that runs interleave."""

    def __init__(self) -> None:
        super().__init__(self._say)
        self.rng = random.Random(1)

    def _say(self, request: Request) -> str:
        mine = request.messages[1].text.splitlines()[0]
        assert all("Task:" not in message.text or mine in message.text for message in request.messages)
        return f"{mine} / {len(request.messages)}"

    async def complete(self, request: Request) -> object:  # type: ignore[override]
        await asyncio.sleep(self.rng.random() / 100)
        return await super().complete(request)


async def test_fifty_runs_at_once_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def build(workflow: object, *, saved: bool) -> object:
        built.append(workflow)
        return compiling.build(workflow, saved=saved)  # type: ignore[arg-type]

    monkeypatch.setattr(running, "build", build)
    interpreter = Interpreter(Jittery(), library())
    tasks = [Task(str(index), f"number {index}") for index in range(50)]
    # An equal workflow, read anew for each task, is compiled once all the same.
    traces = await asyncio.gather(*(interpreter.run(linear(4), task) for task in tasks))
    for index, trace in enumerate(traces):
        assert trace.task == str(index)
        assert [record.result for record in trace.steps] == [f"Task: number {index} / {2 + 2 * n}" for n in range(4)]
        assert trace.answer == f"Task: number {index} / 8"
    assert len(built) == 1


async def test_events_come_in_order_and_end_with_the_trace() -> None:
    events: list[Event] = []
    trace = await Interpreter(echo(), library()).run(linear(3), TASK, on_event=events.append)
    assert [type(event) for event in events] == [StepStarted, StepFinished] * 3 + [RunFinished]
    started = [event for event in events if isinstance(event, StepStarted)]
    finished = [event for event in events if isinstance(event, StepFinished)]
    assert [(event.step, event.index) for event in started] == [("a", 0), ("b", 1), ("done", 2)]
    assert [event.index for event in finished] == [0, 1, 2]
    assert tuple(event.record for event in finished) == trace.steps
    assert events[-1] == RunFinished(trace)


async def test_started_comes_before_the_call() -> None:
    model = echo()
    order: list[str] = []

    def on_event(event: Event) -> None:
        order.append(f"{type(event).__name__} after {len(model.requests)}")

    await Interpreter(model, library()).run(flow(terminal()), TASK, on_event=on_event)
    assert order == ["StepStarted after 0", "StepFinished after 1", "RunFinished after 1"]


async def test_segment_tells_each_of_its_steps() -> None:
    events: list[Event] = []
    model = Answering(lambda request: '{"step_1": "A", "step_2": "B", "step_3": "C"}')
    await Interpreter(model, library(), Settings(protocol="segment")).run(linear(3), TASK, on_event=events.append)
    assert [type(event) for event in events] == [StepStarted, StepFinished] * 3 + [RunFinished]


async def test_cancelling_a_run_cancels_it() -> None:
    model = Answering(lambda request: "x", seconds=10)
    running_ = asyncio.create_task(Interpreter(model, library()).run(linear(3), TASK))
    await asyncio.sleep(0.05)
    running_.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running_
    assert model.running == 0


async def test_interpreter_keeps_a_bounded_number_of_compiled_workflows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "KEPT", 3)
    interpreter = Interpreter(echo(), library())
    for index in range(6):
        await interpreter.run(flow(process(f"s{index}", "done"), terminal()), TASK)
    assert len(interpreter._compiled) == len(interpreter._seen) == 3


async def test_graph_draws_the_workflows_ways() -> None:
    workflow = flow(process("a", "check"), decision("check", {"yes": "done", "no": "a"}, otherwise="done"), terminal())
    edges = {(edge.source, edge.target) for edge in compiling.build(workflow, saved=True).compile().get_graph().edges}
    assert {("step a", "step check"), ("step check", "step done"), ("step check", "step a")} <= edges
