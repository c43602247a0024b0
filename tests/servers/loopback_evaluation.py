"""The evaluation of the tasks of `loopback_tasks` over real HTTP."""

from collections.abc import Sequence
from pathlib import Path

from loopback_tasks import MAX_TOKENS, STEPS, text_of

from autoflow.bench import BenchConfig, BenchReport, bench
from autoflow.core.benchmark import Benchmark
from autoflow.core.model import Model, Sampling
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.interpreter.settings import Settings
from autoflow.models.factory import open_model
from autoflow.models.options import ModelOptions


class Same:
    """1 where the answer is the task's number, else 0."""

    label = "accuracy"

    async def score(self, task: Task, trace: Trace) -> Score:
        """See the class."""
        right = str(trace.answer).strip() == task.reference["number"]
        return Score(1.0) if right else Score(0.0, "wrong")


WORKFLOW = Workflow(
    "three steps",
    (
        Step("read", "process", STEPS[0], next="work"),
        Step("work", "process", STEPS[1], next="state"),
        Step("state", "terminal", STEPS[2]),
    ),
)
BENCHMARK = Benchmark("loopback", "Numbers.", (), (), Same())


def tasks_of(numbers: range) -> list[Task]:
    """One task a number."""
    return [Task(str(number), text_of(number), reference={"number": str(number)}) for number in numbers]


def opened(url: str, connections: int, *, timeout_s: float = 120.0, seed: int | None = None) -> Model:
    """The model of the server at `url`, with as many retries as `autoflow bench` has."""
    options = ModelOptions(base_url=url, max_concurrency=connections, timeout_s=timeout_s, max_retries=8, seed=seed)
    return open_model("openai/loopback", options)


async def evaluate(model: Model, url: str, tasks: Sequence[Task], folder: Path, *, concurrency: int) -> BenchReport:
    """Score the workflow on the tasks, or go on with what is in the folder."""
    config = BenchConfig(
        BENCHMARK.name,
        "openai/loopback",
        settings=Settings(sampling=Sampling(max_tokens=MAX_TOKENS)),
        base_url=url,
        concurrency=concurrency,
    )
    return await bench(config, WORKFLOW, BENCHMARK, model, tasks=tasks, folder=folder)
