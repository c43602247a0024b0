"""Memory and time of an evaluation by its number of tasks: the first time, and read again from its ledger.

    python benchmarks/performance/evaluation_memory.py [--tasks 1000 10000 100000] [--steps 1] [--json]

Each row is a process of its own that writes a benchmark of that many tasks to a file, then loads it, runs a workflow of
`--steps` steps on every task with a model that answers at once, and writes the report; then a second one that runs the
same again and finds everything on record. Peak memory is what the kernel says of the process (resident set).

Flat means: at most 40 MB more at the largest number of tasks than at the smallest.
"""

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from autoflow.core.model import Feature, Reply, Request, Usage

FLAT_MB = 40.0
AGAIN_PER_S = 3000.0
"""Tasks a second that a finished evaluation is read again with, at least."""

DEFINITION = """\
name: counted
description: Numbers.
data:
  jsonl: tasks.jsonl
  fields: {text: question, id: id, reference: {answer: answer}, category: kind}
splits: {test: all}
scorer: exact
"""
WORDS = "a library lends books to readers who bring them back late and pay a fee for every day " * 4


class Instant:
    """Answers with the number in the prompt, at once; counts its calls."""

    name = "scripted/instant"
    features: frozenset[Feature] = frozenset()

    def __init__(self) -> None:
        self.calls = 0

    async def complete(self, request: Request) -> Reply:
        self.calls += 1
        number = request.messages[1].text.partition("#")[2].partition("#")[0]
        return Reply(number, self.name, Usage(100, 1, None, 0.0), 0.001, "stop")

    async def aclose(self) -> None:
        """Nothing is held."""


def write(folder: Path, tasks: int) -> None:
    """A benchmark of so many tasks, about 500 bytes each."""
    (folder / "benchmark.yaml").write_text(DEFINITION)
    with (folder / "tasks.jsonl").open("w") as file:
        for number in range(tasks):
            row = {"id": f"t{number}", "question": f"Problem #{number}#: {WORDS}", "answer": str(number)}
            file.write(json.dumps({**row, "kind": f"kind {number % 7}"}) + "\n")


def sitting(folder: Path, steps: int) -> dict[str, float]:
    """One evaluation in this process."""
    from autoflow.bench import BenchConfig, bench
    from autoflow.benchmarks import loader
    from autoflow.core.workflow import Step, Workflow

    names = [f"step {number}" for number in range(steps)]
    made = [Step(name, "process", f"Do {name}.", next=following) for name, following in pairwise(names)]
    workflow = Workflow("counted", (*made, Step(names[-1], "terminal", "Say the number.")))
    model = Instant()
    began, cpu = time.perf_counter(), time.process_time()
    benchmark = loader.load(str(folder))
    loaded = time.perf_counter()
    config = BenchConfig(str(folder), model.name, concurrency=64)
    report = asyncio.run(bench(config, workflow, benchmark, model, folder=folder / "run"))
    assert report.scores.interval is not None
    assert report.scores.interval.mean == 1.0
    return {
        "tasks": report.scores.interval.n,
        "calls": model.calls,
        "load_s": loaded - began,
        "run_s": time.perf_counter() - loaded,
        "cpu_s": time.process_time() - cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "report_mb": (folder / "run" / "report.json").stat().st_size / 2**20,
        "ledger_mb": (folder / "run" / "ledger.sqlite").stat().st_size / 2**20,
    }


def measured(tasks: int, steps: int) -> dict[str, dict[str, float]]:
    """Both sittings, each in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), tasks)
        found = {}
        for label in ("first", "again"):
            command = [sys.executable, __file__, "--sitting", name, "--steps", str(steps)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found[label] = json.loads(done.stdout)
    return found


def main() -> int:
    """Print the table; 3 if memory is not flat, a call was made again, or reading again is too slow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sitting", metavar="FOLDER", help="one evaluation in this process, of the benchmark there")
    options = parser.parse_args()
    if options.sitting is not None:
        print(json.dumps(sitting(Path(options.sitting), options.steps)))
        return 0
    rows = {tasks: measured(tasks, options.steps) for tasks in options.tasks}
    few, many = rows[min(rows)], rows[max(rows)]
    more_mb = max(many[label]["peak_mb"] - few[label]["peak_mb"] for label in few)
    slowest = many["again"]["tasks"] / many["again"]["run_s"]
    targets = {
        f"at most {FLAT_MB:g} MB more for {max(rows)} tasks than for {min(rows)}": more_mb <= FLAT_MB,
        "no call is made again": all(row["again"]["calls"] == 0 for row in rows.values()),
        f"at least {AGAIN_PER_S:g} tasks a second from the ledger": slowest >= AGAIN_PER_S,
    }
    if options.json:
        head = {"schema": 1, "steps": options.steps, "python": sys.version.split()[0], "cpus": os.cpu_count()}
        print(json.dumps({**head, "rows": rows, "more_mb": more_mb, "targets": targets}, indent=2))
    else:
        print(f"workflows of {options.steps} steps; first: every call made; again: all from the ledger")
        heads = f"{'load s':>7} {'run s':>7} {'tasks/s':>8} {'peak MB':>8} {'report MB':>10}"
        print(f"{'tasks':>7} {'':6} {'calls':>7} {heads}")
        for tasks, row in rows.items():
            for label, one in row.items():
                print(
                    f"{tasks:>7} {label:6} {one['calls']:>7.0f} {one['load_s']:>7.2f} {one['run_s']:>7.2f} "
                    f"{one['tasks'] / one['run_s']:>8.0f} {one['peak_mb']:>8.0f} {one['report_mb']:>10.1f}"
                )
        for what, met in targets.items():
            print(f"target, {what}: {'met' if met else 'NOT MET'}")
    return 0 if all(targets.values()) else 3


if __name__ == "__main__":
    sys.exit(main())
