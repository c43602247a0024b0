"""Workflows, models and tools that the interpreter's tests share."""

import asyncio
from collections.abc import Callable, Mapping

from autoflow.core.json import Json
from autoflow.core.model import Feature, Reply, Request, Usage
from autoflow.core.operator import Card, Invocation, Operator
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import Settings
from autoflow.models.scripted import Rule, Scripted
from autoflow.operators.library import library

TASK = Task("t1", "Count the apples.")


def flow(*steps: Step) -> Workflow:
    return Workflow("w", steps)


def process(name: str, following: str, instruction: str | None = None, **more: object) -> Step:
    return Step(name, "process", f"Do {name}." if instruction is None else instruction, next=following, **more)  # type: ignore[arg-type]


def terminal(name: str = "done", instruction: str = "Say it.", **more: object) -> Step:
    return Step(name, "terminal", instruction, **more)  # type: ignore[arg-type]


def decision(name: str, branches: Mapping[str, str], **more: object) -> Step:
    return Step(name, "decision", f"Is {name} so?", branches=branches, **more)  # type: ignore[arg-type]


def linear(count: int = 3) -> Workflow:
    """a -> b -> ... -> done, with `count` steps in all."""
    names = [chr(ord("a") + index) for index in range(count - 1)]
    steps = [process(name, following) for name, following in zip(names, [*names[1:], "done"], strict=True)]
    return flow(*steps, terminal())


def script(*rules: tuple[str, str | list[str]], features: frozenset[Feature] = frozenset()) -> Scripted:
    """A scripted model: (text in the last user turn, reply or replies)."""
    return Scripted(
        [Rule((replies,) if isinstance(replies, str) else tuple(replies), when=when) for when, replies in rules],
        features=features,
    )


def echo() -> "Answering":
    """A model that answers each prompt with its last line."""
    return Answering(lambda request: "re: " + request.messages[-1].text.splitlines()[-1])


class Answering:
    """A model that answers by a function, at once or after `seconds`; `requests` keeps what it was asked."""

    def __init__(
        self,
        answer: Callable[[Request], str],
        *,
        seconds: float = 0.0,
        name: str = "test/answering",
        features: str = "",
    ) -> None:
        self.answer = answer
        self.seconds = seconds
        self.requests: list[Request] = []
        self.running = self.most = 0
        self.closed = False
        self.name = name
        self.features: frozenset[Feature] = frozenset(features.split())  # type: ignore[arg-type]

    async def complete(self, request: Request) -> Reply:
        self.requests.append(request)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.seconds)
            return Reply(self.answer(request), self.name, Usage(1, 1, None, 0.0), finish="stop")
        finally:
            self.running -= 1

    async def aclose(self) -> None:
        self.closed = True


class Tool:
    """A tool operator that works by a function."""

    def __init__(
        self,
        name: str,
        work: Callable[[Invocation], Json],
        *,
        inputs: tuple[str, ...] = ("text",),
        parameters: Mapping[str, Mapping[str, Json]] | None = None,
    ) -> None:
        self.card = Card(name, f"{name} does its work.", inputs, "text", parameters or {}, "tool")
        self.work = work

    async def run(self, call: Invocation) -> Json:
        return self.work(call)


async def run(
    workflow: Workflow,
    model: object,
    *,
    tools: tuple[Operator, ...] = (),
    task: Task = TASK,
    settings: Settings | None = None,
    **more: object,
) -> Trace:
    operators = {**library(), **{tool.card.name: tool for tool in tools}}
    return await Interpreter(model, operators, settings or Settings()).run(workflow, task, **more)  # type: ignore[arg-type]


def chat(request: Request) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in request.messages]


def path(trace: Trace) -> list[str]:
    return [record.step for record in trace.steps]


def reason_of(trace: Trace) -> str | None:
    return None if trace.failure is None else f"{trace.failure.kind}/{trace.failure.reason}"
