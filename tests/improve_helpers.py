"""A run to improve on: a benchmark of numbered tasks that a workflow of "level N" solves up to the N-th, and models
that count what they are asked."""

import asyncio
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from autoflow.core.benchmark import Benchmark
from autoflow.core.model import Feature, Reply, Request, Usage
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.improve import Collaborators, ImproveConfig, ImproveEvent, ImproveReport, improve
from autoflow.language.dump import dump


class Model:
    """Answers by a function of the request; `asked` keeps every request that was carried out."""

    def __init__(self, name: str, answer: Callable[[Request], str], features: frozenset[Feature] = frozenset()) -> None:
        self.name = name
        self.answer = answer
        self.features = features
        self.asked: list[Request] = []
        self.closed = 0
        self.after: Callable[[], None] = lambda: None

    async def complete(self, request: Request) -> Reply:
        self.asked.append(request)
        self.after()
        await asyncio.sleep(0)
        text = self.answer(request)
        return Reply(text, self.name, Usage(10, 2, cost_usd=0.001), seconds=0.5, finish="stop")

    async def aclose(self) -> None:
        self.closed += 1


class Exact:
    label = "exact match"

    async def score(self, task: Task, trace: Trace) -> Score:
        right = trace.answer == task.reference["answer"]
        return Score(float(right), "" if right else "wrong_answer", {"gold": task.reference["canary"]})


def level(number: int, word: str = "Answer") -> Workflow:
    return Workflow(f"level-{number}", (Step("answer", "terminal", f"{word} at level {number}."),))


def tasks(split: str, count: int = 5) -> tuple[Task, ...]:
    return tuple(
        Task(
            f"{split}-{number}",
            f"Number {number} of {split}?",
            reference={"answer": f"right {number}", "canary": f"CANARY-{split}-{number}"},
        )
        for number in range(count)
    )


MANUAL = level(2)


def benchmark(baseline: Workflow | None = MANUAL, count: int = 5) -> Benchmark:
    return Benchmark(
        "numbers",
        "Answer numbered questions.",
        tasks("train", count),
        tasks("validation", count),
        Exact(),
        baseline=baseline,
        fingerprint="1",
        notes=("Made for the tests.",),
    )


def solve(request: Request) -> str:
    text = "\n".join(message.text for message in request.messages)
    number = int(re.findall(r"Number (\d+) of", text)[-1])
    reach = int(re.findall(r"level (\d+)", text)[-1])
    return f"right {number}" if number < reach else f"lost on {number}"


def writer(*levels: Workflow | str) -> Model:
    """Writes these in turn, by round, the last one again and again."""

    def answer(request: Request) -> str:
        flow = levels[min(request.sample // 100_000, len(levels)) - 1]
        return flow if isinstance(flow, str) else dump(flow)

    return Model("test/writer", answer)


class Bench:
    """A run's collaborators, and what the run did to them."""

    def __init__(self, generator: Model, *, baseline: Workflow | None = MANUAL, count: int = 5) -> None:
        self.generator = generator
        self.interpreter = Model("test/solver", solve)
        self.events: list[ImproveEvent] = []
        self.test_reads = 0
        self.stop = asyncio.Event()
        self.benchmark = benchmark(baseline, count)
        self.count = count

    def test(self) -> Sequence[Task]:
        self.test_reads += 1
        return tasks("test", self.count)

    def collaborators(self) -> Collaborators:
        return Collaborators(
            benchmark=self.benchmark,
            test=self.test,
            generator=self.generator,
            interpreter=self.interpreter,
            on_event=self.events.append,
            stop=self.stop,
        )

    async def improve(self, folder: Path, config: ImproveConfig | None = None) -> ImproveReport:
        return await improve(config or CONFIG, self.collaborators(), folder=folder)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events if event.kind != "progress"]

    @property
    def asked(self) -> list[Request]:
        return self.generator.asked + self.interpreter.asked


CONFIG = ImproveConfig(
    "numbers",
    "test/writer",
    "test/solver",
    rounds=2,
    references=False,
    concurrency=2,
    command="autoflow improve numbers",
)


def text_of(request: Request) -> str:
    return "\n".join(message.text for message in request.messages)
