"""A benchmark of riddles, models and trials that the strategies' tests share."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence

from autoflow.core.benchmark import Benchmark
from autoflow.core.json import Json
from autoflow.core.model import Feature, Model, Reply, Request, Usage
from autoflow.core.operator import Card
from autoflow.core.score import Score
from autoflow.core.strategy import Cost, Evaluation, Proposal, Situation, TaskResult, Trial, Tried
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.language.dump import dump
from autoflow.operators.library import library

# Fixed: a new operator of the library must not change every golden prompt.
CARDS = (
    *(library()[name].card for name in ("generate", "ensemble")),
    Card("look-up", "Find a page.", kind="tool"),
)


class Exact:
    label = "exact"

    async def score(self, task: Task, trace: Trace) -> Score:
        return Score(float(trace.answer == task.reference["answer"]))


class Writer:
    """Answers by a function of the request; remembers what it was asked."""

    name = "test/writer"

    def __init__(self, answer: Callable[[Request], str], features: frozenset[Feature] = frozenset()) -> None:
        self.answer = answer
        self.features = features
        self.requests: list[Request] = []

    async def complete(self, request: Request) -> Reply:
        self.requests.append(request)
        await asyncio.sleep(0)
        return Reply(self.answer(request), self.name, Usage(10, 2, cost_usd=0.0), finish="stop")

    async def aclose(self) -> None:
        pass

    @property
    def last(self) -> str:
        """The last user turn of the last request."""
        return self.requests[-1].messages[-1].text

    @property
    def everything(self) -> str:
        return "\n".join(turn.text for request in self.requests for turn in request.messages)


class Room:
    """A laboratory without runs: attempts end as `fails` says, which names the failing step by workflow name."""

    def __init__(self, fails: Mapping[str, str] | None = None) -> None:
        self.fails = fails or {}
        self.attempts: list[tuple[str, str]] = []

    async def attempt(self, workflow: Workflow, task: str) -> Tried:
        from autoflow.core.trace import Failure

        self.attempts.append((workflow.name, task))
        failure = None
        if workflow.name in self.fails:
            failure = Failure("workflow", "operator", "it broke", self.fails[workflow.name])
        return Tried(TaskResult(task, 0.0), Trace(workflow.fingerprint(), task, (), None, failure))

    def trace(self, workflow: Workflow, split: str, task: str) -> Trace | None:
        return None

    async def rerun(self, workflow: Workflow, split: str, task: str, visit: int, result: Json) -> Tried:
        raise AssertionError("nothing was run, so nothing can be re-run")


def flow(instruction: str, name: str = "riddle", output: Json = None) -> Workflow:
    assert output is None or isinstance(output, dict)
    return Workflow(name, (Step("answer", "terminal", instruction, output=output),))


def chain(*instructions: str, name: str = "chain") -> Workflow:
    """Steps `s1`, `s2`, ... and a terminal `answer`."""
    *before, last = instructions
    names = [f"s{number}" for number in range(1, len(before) + 1)]
    steps = [
        Step(own, "process", text, next=after)
        for own, after, text in zip(names, [*names[1:], "answer"], before, strict=True)
    ]
    return Workflow(name, (*steps, Step("answer", "terminal", last)))


def tasks(split: str, count: int = 5) -> tuple[Task, ...]:
    return tuple(
        Task(f"{split}-{number}", f"Riddle {number} of {split}?", reference={"answer": f"GOLD-{split}-{number}"})
        for number in range(count)
    )


def benchmark(baseline: Workflow | None = None) -> Benchmark:
    return Benchmark("riddles", "Answer riddles.", tasks("train"), tasks("validation"), Exact(), {}, baseline)


def evaluation(
    split: str, *values: float | None, answer: Json = "a shoe", cost: Cost | None = None, epochs: Sequence[float] = ()
) -> Evaluation:
    """A value a task; `epochs`: shifts of every value in each epoch."""
    return Evaluation(
        split,
        tuple(
            TaskResult(
                f"{split}-{number}",
                value,
                "" if value == 1 else "wrong",
                answer,
                cost,
                tuple((value or 0) + shift for shift in epochs),
            )
            for number, value in enumerate(values)
        ),
    )


def trial(
    id_: str,
    round_: int,
    workflow: Workflow | None,
    validation: Sequence[float | None] | float | None = None,
    train: Sequence[float | None] | float | None = None,
    **proposal: object,
) -> Trial:
    """A scored trial; a single number stands for five tasks of that score."""

    def on(split: str, values: Sequence[float | None] | float | None) -> Evaluation | None:
        if values is None or workflow is None:
            return None
        return evaluation(split, *([values] * 5 if isinstance(values, int | float) else values))

    made = Proposal(workflow, "" if workflow is None else dump(workflow), "reason", **proposal)  # type: ignore[arg-type]
    return Trial(id_, round_, made, on("train", train), on("validation", validation))


def situation(
    generator: Model,
    trials: Sequence[Trial] = (),
    round_: int = 1,
    *,
    seed: str = "s",
    room: object = None,
    baseline: Workflow | None = None,
) -> Situation:
    by_hand = next((item.proposal.workflow for item in trials if item.round == 0), baseline)
    return Situation(
        benchmark(by_hand),
        CARDS,
        tuple(trials),
        generator,
        random.Random(seed),
        round_,
        room or Room(),  # type: ignore[arg-type]
    )
