"""What a second worker brings on a CPU-bound benchmark: tasks a second of two Ray nodes of one CPU each beside one.

    python benchmarks/performance/ray_scaling.py [--where ray|local] [--tasks 24] [--rounds 3] [--work 8000000] [--json]

The benchmark is made up here: one step, answered by a script, and a judge that computes for some tenths of a second. A
round runs it with one worker and with two, on the same cluster, in turns; the time is that from all workers' being
ready to the last task's end. Needs two free cores. Ends with 1 if the median ratio over the rounds is below 1.8.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from autoflow.bench import BenchConfig, bench
from autoflow.benchmarks import loader
from autoflow.core.task import Task
from autoflow.core.workflow import Step, Workflow
from autoflow.executors.local import Processes
from autoflow.executors.pool import Pool
from autoflow.executors.ray_cluster import RayCluster, load
from autoflow.executors.recipe import Executor, Office, Recipe
from autoflow.models.factory import open_model
from autoflow.models.options import ModelOptions
from autoflow.objective.drawing import Drawer, Drawn

LEAST = 1.8

BENCHMARK = """\
name: busy
description: Keep a processor busy.
data: {jsonl: tasks.jsonl, fields: {id: id, text: text, reference: {answer: text}}}
scorer: {"judge:judge": {work: WORK}}
"""

JUDGE = """\
async def judge(task, answer, work):
    total = 0
    for number in range(work):
        total += number & 3
    return float(total > 0)
"""

WORKFLOW = Workflow("one step", (Step("answer", "terminal", "Answer."),))


class Timed:
    """Waits until all workers are ready, and keeps when the first draw began and the last ended."""

    def __init__(self, executor: Executor, workers: int) -> None:
        self._executor = executor
        self._workers = workers
        self.began = self.ended = 0.0

    @asynccontextmanager
    async def at_work(self, recipe: Recipe, office: Office) -> AsyncIterator[Drawer]:
        """As of the executor within."""
        async with self._executor.at_work(recipe, office) as pool:
            assert isinstance(pool, Pool)
            while pool.ready < self._workers:  # noqa: ASYNC110  the pool tells nobody
                await asyncio.sleep(0.05)
            self._pool = pool
            self.began = time.perf_counter()
            yield self

    async def draw(self, workflow: Workflow, task: Task, sample: int) -> Drawn:
        """As of the pool, with the time."""
        drawn = await self._pool.draw(workflow, task, sample)
        self.ended = time.perf_counter()
        return drawn


@contextmanager
def two_nodes() -> Any:
    """A cluster of two nodes with a CPU each, on loopback; the driver is on the first."""
    load()
    # Else workers give way to everything else on the machine.
    os.environ.setdefault("RAY_worker_niceness", "0")
    from ray.cluster_utils import Cluster

    # Not 127.0.0.1, which Ray replaces by an address that other machines can reach.
    node = {
        "num_cpus": 1,
        "object_store_memory": 80 * 2**20,
        "include_dashboard": False,
        "node_ip_address": "127.0.0.2",
    }
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        cluster.add_node(**node)
        os.environ["RAY_ADDRESS"] = cluster.address
        yield
    finally:
        cluster.shutdown()


@contextmanager
def nothing() -> Any:
    """Processes need no cluster."""
    yield


async def rate(make: Callable[[int], Executor], workers: int, tasks: int, folder: Path) -> float:
    """Tasks a second."""
    benchmark = loader.load("busy.yaml")
    timed = Timed(make(workers), workers)
    config = BenchConfig("busy.yaml", "scripted/answers.yaml", split="test", concurrency=2 * workers)
    model = open_model(config.interpreter)
    report = await bench(config, WORKFLOW, benchmark, model, folder=folder, executor=timed)
    assert report.interval is not None
    assert (report.state, report.interval.n, report.interval.mean) == ("complete", tasks, 1.0)
    return tasks / (timed.ended - timed.began)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--where", choices=("ray", "local"), default="ray")
    parser.add_argument("--tasks", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=int, default=8_000_000, help="Turns of the judge's loop for each task.")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    options = ModelOptions()
    make: Callable[[int], Executor]
    make, place = (
        (lambda workers: RayCluster(options, workers), two_nodes)
        if given.where == "ray"
        else (lambda workers: Processes(workers, options), nothing)
    )
    found: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("busy.yaml").write_text(BENCHMARK.replace("WORK", str(given.work)))
        Path("judge.py").write_text(JUDGE)
        Path("answers.yaml").write_text("- replies: [done]\n")
        rows = [json.dumps({"id": f"t{number}", "text": f"task {number}"}) for number in range(given.tasks)]
        Path("tasks.jsonl").write_text("\n".join(rows) + "\n")
        context: AbstractContextManager[None] = place()
        with context:
            for number in range(given.rounds):
                for workers in (1, 2):
                    run = Path("runs", f"{number}-{workers}")
                    found[workers].append(asyncio.run(rate(make, workers, given.tasks, run)))
        os.chdir("/")
    ratios = [two / one for one, two in zip(found[1], found[2], strict=True)]
    ratio = statistics.median(ratios)
    if given.json:
        print(json.dumps({"where": given.where, "tasks_a_second": found, "ratios": ratios, "ratio": ratio}))
    else:
        for workers in (1, 2):
            print(f"{workers} worker{'s' * (workers > 1)}: {statistics.median(found[workers]):6.2f} tasks/s")
        print(f"ratio {ratio:.2f} (rounds: {', '.join(f'{item:.2f}' for item in ratios)}), at least {LEAST}")
    return 0 if ratio >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
