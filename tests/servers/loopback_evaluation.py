"""The evaluation of the tasks of `loopback_tasks` over real HTTP."""

import json
from collections.abc import Sequence
from pathlib import Path

from loopback_tasks import MAX_TOKENS, STEPS, text_of

from autoflow.bench import BenchConfig, BenchReport, bench
from autoflow.benchmarks import loader
from autoflow.core.benchmark import Benchmark
from autoflow.core.model import Model, Sampling
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.executors.local import Processes
from autoflow.executors.recipe import Executor
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


FILE = """\
name: loopback
description: Numbers.
data: {jsonl: tasks.jsonl, fields: {id: id, text: text, reference: {number: id}}}
scorer: {exact: {field: number}}
"""


def written(folder: Path) -> str:
    """Write the benchmark as a file, which workers can load, and give its path. Of its tasks there is but the first."""
    file = folder / "loopback.yaml"
    file.write_text(FILE)
    (folder / "tasks.jsonl").write_text(json.dumps({"id": "0", "text": text_of(0)}) + "\n")
    return str(file)


def _options(url: str, connections: int, timeout_s: float, seed: int | None) -> ModelOptions:
    return ModelOptions(base_url=url, max_concurrency=connections, timeout_s=timeout_s, max_retries=8, seed=seed)


def opened(url: str, connections: int, *, timeout_s: float = 120.0, seed: int | None = None) -> Model:
    """The model of the server at `url`, with as many retries as `autoflow bench` has."""
    return open_model("openai/loopback", _options(url, connections, timeout_s, seed))


def workers_of(workers: int, url: str, connections: int) -> Executor:
    """Processes that open the same model; they share its connections' number."""
    return Processes(workers, _options(url, connections, 120.0, None))


async def evaluate(
    model: Model,
    url: str,
    tasks: Sequence[Task],
    folder: Path,
    *,
    concurrency: int,
    benchmark: str | None = None,
    executor: Executor | None = None,
) -> BenchReport:
    """Score the workflow on the tasks, or go on with what is in the folder. With an executor, `benchmark` is the path
    of the file that `written` wrote."""
    config = BenchConfig(
        benchmark or BENCHMARK.name,
        "openai/loopback",
        settings=Settings(sampling=Sampling(max_tokens=MAX_TOKENS)),
        base_url=url,
        concurrency=concurrency,
    )
    loaded = BENCHMARK if benchmark is None else loader.load(benchmark)
    return await bench(config, WORKFLOW, loaded, model, tasks=tasks, folder=folder, executor=executor)
