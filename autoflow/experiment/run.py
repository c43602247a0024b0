"""Runs an experiment: one matrix a seed under one budget, each resumable, then the pooled report."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from autoflow.bench import Outcome
from autoflow.core.benchmark import Benchmark
from autoflow.core.budget import Budget
from autoflow.core.model import Model
from autoflow.core.task import Task
from autoflow.experiment.config import Experiment, matrix_config
from autoflow.experiment.report import ExperimentReport, pooled
from autoflow.lineup import Entry, Watch
from autoflow.matrix import Follow, MatrixReport, matrix
from autoflow.objective.meter import Price
from autoflow.runs.folder import default_name
from autoflow.summary import total

OpenSeeded = Callable[[int], AbstractAsyncContextManager[Callable[[str], Model]]]
"""Given a seed, a context that lends models which sample with it."""


async def run(
    experiment: Experiment,
    entries: Sequence[Entry],
    benchmark: Benchmark,
    opened: OpenSeeded,
    *,
    folder: Path,
    tasks: Sequence[Task] | None = None,
    budget: Budget | None = None,
    concurrency: int = 8,
    command: str = "",
    price: Price | None = None,
    watch: Watch = lambda _: nullcontext(),
    follow: Follow = nullcontext,
    stop: asyncio.Event | None = None,
) -> ExperimentReport:
    """Fill the table for each seed in turn and write the report into `folder`.

    The budget holds for all seeds. A seed that does not come to its end ends the experiment; the same call resumes.

    Args:
        tasks: The split's tasks; `None` reads them, test included.

    Raises:
        AutoflowError: As `autoflow.matrix.matrix`.
    """
    limits = budget or Budget()
    made: list[MatrixReport] = []
    for seed in experiment.seeds:
        left = _left(limits, made)
        if left is None:
            break
        config = matrix_config(experiment, entries, seed, budget=left, concurrency=concurrency, command=command)
        async with opened(seed) as open_model:
            report = await matrix(
                config,
                benchmark,
                open_model,
                tasks=tasks,
                folder=folder / f"seed-{seed}",
                price=price,
                watch=watch,
                follow=follow,
                stop=stop,
            )
        made.append(report)
        if report.state != "complete":
            break
    found = ExperimentReport(
        folder=folder,
        state=_state(experiment, made),
        command=command,
        config=experiment.model_dump(mode="json"),
        seeds=experiment.seeds[: len(made)],
        matrices=tuple(made),
        cells=pooled(made),
        published=experiment.published,
    )
    _write(found)
    return found


def run_path(experiment: Experiment, benchmark: Benchmark, runs: Path = Path("runs")) -> Path:
    """The folder below `runs` that this experiment makes, or finds again."""
    return runs / default_name("experiment", benchmark.name, experiment.model_dump(mode="json"))


def _left(budget: Budget, made: Sequence[MatrixReport]) -> Budget | None:
    spent = total([report.spend for report in made])
    cells = [cell for report in made for cell in report.cells]
    spent = replace(spent, calls=spent.calls + sum(cell.failed_calls for cell in cells))
    return budget.less(spent, sum(cell.seconds for cell in cells))


def _state(experiment: Experiment, made: Sequence[MatrixReport]) -> Outcome:
    if made and made[-1].state != "complete":
        return made[-1].state
    return "complete" if len(made) == len(experiment.seeds) else "budget"


def _write(report: ExperimentReport) -> None:
    report.folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "report.json": json.dumps(report.to_json(), indent=1, allow_nan=False) + "\n",
        "report.txt": report.to_text(),
        "report.md": report.to_markdown(),
    }
    for name, content in contents.items():
        new = report.folder / f"{name}.new"
        new.write_text(content, encoding="utf-8")
        new.replace(report.folder / name)
