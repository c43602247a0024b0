"""Runs one workflow on a held-out split and reports. Only this module reads test tasks.

`report.json` holds what equal work makes equal, byte for byte, however often the run was interrupted; what no two
executions share (seconds, sittings, cache hits) is in `timing.json`.
"""

import asyncio
import json
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from autoflow import garbage
from autoflow.bench_report import BenchReport, Explained, Outcome, Row, Seconds, Written, collect
from autoflow.benchmarks import held_out
from autoflow.core.benchmark import Benchmark
from autoflow.core.budget import Budget
from autoflow.core.json import Json, digest
from autoflow.core.model import Model, Sampling
from autoflow.core.score import ChecksFirst
from autoflow.core.strategy import TaskResult
from autoflow.core.task import Task
from autoflow.core.workflow import Workflow
from autoflow.errors import UnknownNameError, UsageError
from autoflow.executors.recipe import CARRIED, Executor, Office, Recipe
from autoflow.interpreter.checkpoint import Checkpointer, Kept
from autoflow.interpreter.checkpoint import opener as open_checkpointer
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import Settings
from autoflow.objective.desk import Desk, Role
from autoflow.objective.drawing import Drawer, Runner
from autoflow.objective.judging import ready
from autoflow.objective.meter import Meter, Price
from autoflow.objective.metered import Metered
from autoflow.objective.objective import Objective, Progress, Tally, result_of
from autoflow.operators.library import library
from autoflow.runs.folder import FREE_KEYS, RunFolder, default_name
from autoflow.runs.ledger import Ledger, Place, Result
from autoflow.runs.traces import Traces
from autoflow.shard import Shard
from autoflow.spool import Picked
from autoflow.statistics import mean_interval
from autoflow.summary import Secondaries, Timing, total
from autoflow.zero_shot import INVALID, Writer, Writing

__all__ = ["BenchConfig", "BenchReport", "Outcome", "bench", "resolved", "run_path", "select", "settings_of"]


@dataclass(frozen=True, slots=True)
class BenchConfig:
    """What is measured and how. Budget, concurrency, command and `retry_errors` may change between sittings."""

    benchmark: str
    """Name, or path of a benchmark folder."""

    interpreter: str
    """`provider/model`, as the user wrote it."""

    split: str = "test"
    tasks: str | None = None
    """Ids within the split: "0-14,105"; `None`: all of them."""

    sample_ids: tuple[str, ...] = ()
    """Ids as they are, commas and dashes included; besides `tasks`."""

    limit: int | None = None
    """The first so many of them."""

    shard: str | None = None
    """Of these, the part that this run measures: "2/4"; `None`: all. `autoflow.merge` makes one run of the parts."""

    epochs: int = 1
    seed: int = 0
    """Of the order of tasks, of the sampling and of the intervals."""

    settings: Settings = field(default_factory=Settings)
    """Of the interpreter; its seed is this one's."""

    scorer: str | None = None
    """`None`: the benchmark's own."""

    options: Mapping[str, Json] = field(default_factory=dict)
    """Of the benchmark."""

    base_url: str | None = None
    retry_errors: bool = True
    """Whether what an earlier sitting lost to a fault is tried again; False reports it as it stands, without a call."""

    budget: Budget = field(default_factory=Budget)
    concurrency: int = 8
    command: str = ""
    """The command line, for the report."""

    rescored: str | None = None
    """Name of the run whose traces are judged anew, where no workflow is run."""

    checkpointer: Checkpointer | None = None
    """Where each task's states are kept while it runs, so that a killed run goes on in mid-task; `None`: nowhere. May
    change between sittings. Workers need "postgres"."""

    writing: Writing | None = None
    """Who writes a workflow for each task; epochs are independent drafts. `None`: one workflow is run on all."""


def resolved(config: BenchConfig, workflow: Workflow, benchmark: Benchmark) -> dict[str, Json]:
    """The configuration as the run folder keeps it; it names the folder and decides whether a run is resumed."""
    settings = asdict(replace(config.settings, seed=config.seed))
    return {
        "kind": "bench",
        **({} if config.rescored is None else {"rescored": config.rescored}),
        "command": config.command,
        "benchmark": benchmark.name,
        "data": benchmark.fingerprint,
        "options": dict(config.options),
        "split": config.split,
        "tasks": config.tasks,
        # Absent where there are none: runs made before there was such a key are found again.
        **({"sample_ids": list(config.sample_ids)} if config.sample_ids else {}),
        "limit": config.limit,
        **({} if config.shard is None else {"shard": str(Shard.parse(config.shard))}),
        "scorer": benchmark.scorer.label,
        "workflow": {"name": workflow.name, "fingerprint": workflow.fingerprint()},
        **({} if config.writing is None else {"writing": asdict(config.writing)}),
        "interpreter": config.interpreter,
        "base_url": config.base_url,
        "settings": json.loads(json.dumps(settings)),
        "epochs": config.epochs,
        "seed": config.seed,
        "concurrency": config.concurrency,
        "budget": asdict(config.budget),
    }


def settings_of(stored: Mapping[str, Any]) -> Settings:
    """The interpreter's settings from the `settings` of a run folder's configuration."""
    kept = dict(stored)
    sampling = dict(kept.pop("sampling"))
    return Settings(**kept, sampling=Sampling(**{**sampling, "stop": tuple(sampling["stop"])}))


def run_path(config: BenchConfig, workflow: Workflow, benchmark: Benchmark, runs: Path) -> Path:
    """The folder below `runs` that this command makes, or finds again."""
    return runs / default_name("bench", benchmark.name, resolved(config, workflow, benchmark))


async def bench(
    config: BenchConfig,
    workflow: Workflow,
    benchmark: Benchmark,
    model: Model | Traces,
    *,
    tasks: Sequence[Task] | None = None,
    runs: Path = Path("runs"),
    folder: Path | None = None,
    open_model: Callable[[str], Model] | None = None,
    price: Price | None = None,
    clock: Callable[[], float] = time.time,
    on_progress: Callable[[Progress], None] | None = None,
    stop: asyncio.Event | None = None,
    executor: Executor | None = None,
) -> BenchReport:
    """Score `workflow` on a split and write the report into the run folder; what is recorded there is not done again.

    A run that is stopped (budget, `stop`, provider gone) reports what it has, with its state; the same call resumes.

    Args:
        model: The interpreter, which the caller closes; or recorded traces, which are judged as they are.
        workflow: `zero_shot.PLACEHOLDER` where `config.writing` has one written for each task.
        tasks: The split's tasks; `None` reads them, test included.
        runs: Where the folder is made, unless `folder` names it.
        open_model: For steps with a model of their own, and for the generator.
        executor: Has the draws carried out elsewhere, by models that its workers open; the record, the budget and the
            report stay here. `None`: in this process.

    Raises:
        UnknownNameError: For an unknown split or task id.
        UsageError: If no task is left to run, or a dollar budget meets a model without a price.
        RunError: If the folder is held by another process or holds another configuration.
    """
    chosen = tasks_of(config, split_of(config) if tasks is None else tasks)
    if isinstance(benchmark.scorer, ChecksFirst):
        benchmark.scorer.check(chosen)
    settled = resolved(config, workflow, benchmark)
    path = folder if folder is not None else run_path(config, workflow, benchmark, runs)
    async with AsyncExitStack() as stack:
        stack.enter_context(garbage.seldom())
        run = stack.enter_context(RunFolder.open(path, settled, clock=clock))

        def save(written: Workflow) -> None:
            run.save_workflow(written.fingerprint()[:12], written)

        save(workflow)
        meter = Meter.resuming(config.budget, run.ledger, clock, price=price)
        desk = Desk(run.ledger, meter)
        opened: dict[str, Metered] = {}

        def open_metered(spec: str, role: Role = "interpreter") -> Model:
            if open_model is None:
                raise UsageError(f"this run asks for the model {spec}, and it opens no models")
            if (key := f"{role} {spec}") not in opened:
                opened[key] = Metered(open_model(spec), run.ledger, meter, role=role, desk=desk)
                stack.push_async_callback(opened[key].aclose)
            return opened[key]

        checkpoints: tuple[Checkpointer, str] | None = None
        saver = None
        if config.checkpointer is not None:
            if config.checkpointer == "sqlite" and executor is not None:
                raise UsageError("workers cannot share a checkpoint file", hint="take --checkpointer postgres")
            # Another run in this very place, earlier or later, is not this one.
            checkpoints = (config.checkpointer, digest([str(path.absolute()), run.ledger.events()[0].created]))
            opened_saver = open_checkpointer(config.checkpointer, path / "checkpoints.sqlite")
            saver = await stack.enter_async_context(opened_saver)
        runner: Runner
        if isinstance(model, Traces):
            runner = model
        else:
            interpreter = Interpreter(
                Metered(model, run.ledger, meter, desk=desk),
                {**library(), **benchmark.operators},
                _settled(config),
                open_model=open_metered,
            )
            runner = interpreter
            if saver is not None and checkpoints is not None:
                runner = Kept(interpreter, saver, checkpoints[1])
            if config.writing is not None:
                generator = open_metered(config.writing.generator, "generator")
                runner = Writer(config.writing, generator, runner, benchmark, seed=config.seed, on_workflow=save)
        drawer: Drawer | None = None
        if executor is not None:
            if isinstance(model, Traces):
                raise ValueError("recorded traces are judged in this process")
            office = Office(desk, run.ledger, price, save)
            drawer = await stack.enter_async_context(
                executor.at_work(_recipe(config, workflow, benchmark, path, checkpoints), office)
            )
        objective = Objective(
            benchmark.name,
            ready(benchmark.scorer, open_metered, path),
            runner,
            run.ledger,
            epochs=config.epochs,
            concurrency=config.concurrency,
            seed=config.seed,
            retry_faults=config.retry_errors,
            on_progress=on_progress,
            stop=stop,
            drawer=drawer,
        )
        tally = await objective.record_all(workflow, chosen, config.split)
        beside, explained, drafts = Secondaries(benchmark.scorer), Explained(benchmark.scorer), Counter[str]()
        found = _rows(config, workflow, chosen, tally, run.ledger)
        rows, scores = collect(_noted(found, beside, explained, drafts), config.seed)
        report = BenchReport(
            folder=path,
            state=tally.ended,
            config={key: value for key, value in run.config.items() if key not in FREE_KEYS},
            command=str(run.config["command"]),
            notes=benchmark.notes,
            label=benchmark.scorer.label,
            rows=rows,
            scores=scores,
            secondary=beside.found(config.seed),
            groupings=explained.groupings(config.seed),
            facts=explained.facts(),
            answered=tuple(sorted({*run.ledger.models(), *(model.answered if isinstance(model, Traces) else ())})),
            spend=run.ledger.spend(),
            timing=Timing(meter.seconds, meter.spend.cached_calls, run.ledger.failed_calls(), Seconds(rows)),
            written=None if config.writing is None else _written(config.writing, config, rows, drafts),
        )
        run.write_pieces("report.json", report.json_pieces(run.ledger.blot))
        run.write_pieces("report.txt", report.text_pieces(run.ledger.blot))
        run.write_pieces("timing.json", report.timing_pieces(run.ledger.blot))
        run.end(tally.ended)
        return report


def _settled(config: BenchConfig) -> Settings:
    settings = replace(config.settings, seed=config.seed)
    return settings if config.checkpointer is None else replace(settings, durability="sync")


def _recipe(
    config: BenchConfig,
    workflow: Workflow,
    benchmark: Benchmark,
    folder: Path,
    checkpoints: tuple[Checkpointer, str] | None,
) -> Recipe:
    return Recipe(
        workflow=workflow,
        benchmark=config.benchmark,
        scorer=config.scorer,
        options=config.options,
        fingerprint=benchmark.fingerprint,
        interpreter=config.interpreter,
        settings=_settled(config),
        seed=config.seed,
        checkpoints=checkpoints,
        writing=config.writing,
        folder=folder.absolute(),
        working_folder=Path.cwd(),
        variables={name: os.environ[name] for name in CARRIED if name in os.environ},
    )


def split_of(config: BenchConfig) -> Sequence[Task]:
    """Every task of the split, test included.

    Raises:
        UnknownNameError: For an unknown benchmark, split or option.
        DataError: If the data is at fault.
    """
    return held_out.load_split(config.benchmark, config.split, options=config.options)


def tasks_of(config: BenchConfig, split: Sequence[Task]) -> Sequence[Task]:
    """Those of the split's tasks that are measured.

    Raises:
        UnknownNameError: For an unknown task id.
        UsageError: If no task is left to run.
    """
    chosen = select(split, config.tasks, config.limit, config.split, config.sample_ids)
    return chosen if config.shard is None else Shard.parse(config.shard).part(chosen)


@dataclass(frozen=True, slots=True)
class _Found:
    """A task with all that is known of it."""

    task: Task
    result: TaskResult
    drawn: tuple[Result | None, ...]
    """By epoch."""

    @property
    def done(self) -> list[Result]:
        return [item for item in self.drawn if item is not None]


def _rows(
    config: BenchConfig, workflow: Workflow, tasks: Sequence[Task], tally: Tally, ledger: Ledger
) -> Iterator[_Found]:
    candidate = workflow.fingerprint()
    for index, task in enumerate(tasks):
        drawn = tally.drawn(
            ledger, index, [Place(candidate, config.split, task.id, epoch) for epoch in range(config.epochs)]
        )
        yield _Found(task, result_of(task.id, drawn, tally.reasons(index, config.epochs)), tuple(drawn))


def _noted(found: Iterable[_Found], beside: Secondaries, explained: Explained, drafts: Counter[str]) -> Iterator[Row]:
    """A row a task. Gathered on the way: measures beside the score, groups, how often each reason was given."""
    for item in found:
        task, result, done = item.task, item.result, item.done
        first = item.drawn[0]
        for draw in done:
            drafts[draw.score.reason] += 1
        if result.value is not None:
            beside.add([draw.score for draw in done])
        explained.add(task, result.value, result.reason, done[0].score.details if done else None)
        yield Row(
            id=task.id,
            category=task.category,
            text=task.text,
            score=result.value,
            reason=result.reason,
            answer=result.answer,
            details=first.score.details if first is not None else {},
            epochs=tuple(draw.score.value if draw is not None else None for draw in item.drawn),
            spend=total([draw.spend for draw in done]),
            seconds=math.fsum(draw.seconds for draw in done) if done else None,
        )


def check_held_out(scorer: ChecksFirst, benchmark: str, options: Mapping[str, Json], limit: int | None) -> None:
    """Let the scorer check that it can judge the test split, of which nothing is handed on.

    Raises:
        MissingDependencyError, DataError: Naming everything that is missing.
    """
    scorer.check(held_out.load_split(benchmark, "test", options=options)[:limit])


def _written(writing: Writing, config: BenchConfig, rows: Sequence[Row], drafts: Counter[str]) -> Written:
    best = [max(value for value in row.epochs if value is not None) for row in rows if row.score is not None]
    return Written(
        writing.generator,
        drafts.total(),
        drafts[INVALID],
        config.epochs,
        mean_interval(best, seed=config.seed) if best and config.epochs > 1 else None,
    )


def select(
    tasks: Sequence[Task], ids: str | None, limit: int | None, split: str, sample_ids: Sequence[str] = ()
) -> Sequence[Task]:
    """The tasks named by `ids` ("0-14,105") or `sample_ids` (each one id), in the split's order, then the first
    `limit` of them; named by neither: all.

    Raises:
        UnknownNameError: For an id or a range with none of the split's tasks.
        UsageError: If nothing is left.
    """
    chosen = tasks
    if ids is not None or sample_ids:
        names = [task.id for task in tasks]
        known = set(names)
        unknown = next((name for name in sample_ids if name not in known), None)
        if unknown is not None:
            raise UnknownNameError(f"task id in split {split!r}:", unknown, _some(names))
        wanted = set(sample_ids)
        for part in (part.strip() for part in ids.split(",")) if ids is not None else ():
            first, dash, last = part.partition("-")
            if part in known:
                wanted.add(part)
            elif dash and first.strip().isdecimal() and last.strip().isdecimal():
                # From the split's side: a range of any length costs no more than the split.
                inside = {name for name in known if name.isdecimal() and int(first) <= int(name) <= int(last)}
                if not inside:
                    raise UnknownNameError(f"range of task ids in split {split!r}:", part, _some(names))
                wanted |= inside
            else:
                raise UnknownNameError(f"task id in split {split!r}:", part, _some(names))
        chosen = Picked(tasks, [place for place, name in enumerate(names) if name in wanted])
    if limit is not None:
        chosen = chosen[:limit]
    if not chosen:
        raise UsageError(f"split {split!r} leaves no task to run")
    return chosen


def _some(names: Sequence[str]) -> list[str]:
    return list(names) if len(names) <= 20 else [*names[:20], f"and {len(names) - 20} more"]
