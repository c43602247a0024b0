"""Judges the recorded traces of a run by another scorer. No workflow is run and its model is not asked; only a scorer
that is itself a model makes calls, on this run's budget."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from autoflow.bench import BenchConfig, BenchReport, bench, resolved, settings_of, tasks_of
from autoflow.benchmarks import folder as folders
from autoflow.benchmarks import held_out, loader
from autoflow.core.benchmark import Benchmark
from autoflow.core.budget import Budget
from autoflow.core.json import Json
from autoflow.core.model import Model
from autoflow.core.task import Task
from autoflow.core.workflow import Workflow
from autoflow.errors import DataError, RunError, UnknownNameError, UsageError
from autoflow.language import document
from autoflow.objective.meter import Price
from autoflow.objective.objective import Progress
from autoflow.runs.folder import default_name, info
from autoflow.runs.ledger import Ledger
from autoflow.runs.traces import Traces
from autoflow.scorers.llm_judge import NeedsModel
from autoflow.summary import count

LEARNING = ("train", "validation")
"""The splits whose traces lie in the folder of an improving run itself; those of test are bench runs below `test/`."""


@dataclass(frozen=True, slots=True)
class RescoreConfig:
    """Which traces are judged, and how."""

    run: Path
    """The folder of a bench run, or of an improving run."""

    scorer: str | None = None
    """As `--scorer` of bench; `None`: the benchmark's own, as it is now."""

    scorer_options: Mapping[str, Json] = field(default_factory=dict)
    """The scorer's parameters, over those of the definition."""

    trial: str | None = None
    """Of an improving run: whose traces."""

    split: str = "validation"
    """Of an improving run: on which split."""

    benchmark: str | None = None
    """Name or path; `None`: the name in the run's configuration."""

    data: str | None = None
    """Where the data lie; `None`: as in the run."""

    budget: Budget = field(default_factory=Budget)
    """Of a scorer that is a model."""

    concurrency: int = 8
    command: str = ""


async def rescore(
    config: RescoreConfig,
    *,
    runs: Path = Path("runs"),
    folder: Path | None = None,
    open_model: Callable[[str], Model] | None = None,
    price: Price | None = None,
    clock: Callable[[], float] = time.time,
    on_progress: Callable[[Progress], None] | None = None,
    stop: asyncio.Event | None = None,
) -> BenchReport:
    """Judge the traces and write the report into a run folder of its own; the run that is judged is left as it is.

    The report is that of a bench run: a task that the workflow failed on keeps its 0, one that was left without a
    trace its fault. A sitting that is stopped resumes by the same call.

    Args:
        runs: Where the folder is made, unless `folder` names it.
        open_model: Opens the model of a scorer that is one.

    Raises:
        RunError: If there is no such run, or its record is damaged.
        UnknownNameError: For an unknown trial, split, benchmark or scorer.
        UsageError: If nothing was recorded, or a dollar budget meets a model without a price.
        DataError: If the benchmark's tasks are not those of the run.
    """
    source = _source(config)
    options: dict[str, Json] = {**source.options, **({} if config.data is None else {"data": config.data})}
    name = config.benchmark or folders.recorded(source.benchmark, str(source.config["command"]))
    benchmark = loader.load(name, scorer=config.scorer, scorer_options=config.scorer_options, options=options)
    with Ledger.reading(source.folder / "ledger.sqlite") as ledger:
        settings = settings_of(source.config["settings"])
        measured = BenchConfig(
            benchmark=name,
            interpreter=source.config["interpreter"],
            split=source.split,
            tasks=source.config.get("tasks"),
            sample_ids=tuple(source.config.get("sample_ids", ())),
            limit=source.limit,
            shard=source.config.get("shard"),
            epochs=source.config["epochs"],
            seed=source.config["seed"],
            settings=settings,
            options=options,
            base_url=source.config["base_url"],
            budget=config.budget,
            concurrency=config.concurrency,
            command=config.command,
            rescored=source.name,
        )
        tasks = held_out.load_split(name, source.split, options=options)
        chosen = tasks_of(measured, tasks)
        notes = [*_same_data(source, chosen, loader.load(name, options=options)), *_judge(benchmark)]
        recorded = _recorded(source, chosen, measured.epochs, ledger)
        if len(recorded) < len(chosen):
            notes.append(
                f"{len(chosen) - len(recorded)} of {count(len(chosen), 'task')} have no trace and are left out."
            )
            measured, tasks = replace(measured, tasks=None, sample_ids=(), limit=None, shard=None), recorded
        benchmark = replace(benchmark, notes=(*benchmark.notes, *_what(source), *notes))
        path = folder or runs / default_name("rescore", benchmark.name, resolved(measured, source.workflow, benchmark))
        return await bench(
            measured,
            source.workflow,
            benchmark,
            Traces(ledger, source.split),
            tasks=tasks,
            folder=path,
            open_model=open_model,
            price=price,
            clock=clock,
            on_progress=on_progress,
            stop=stop,
        )


@dataclass(frozen=True, slots=True)
class _Source:
    """The traces to judge."""

    folder: Path
    name: str
    """Of the run, with the trial where there are several."""

    config: Mapping[str, Any]
    workflow: Workflow
    split: str
    limit: int | None
    report: Mapping[str, Any] | None
    """Of a bench run that has one."""

    @property
    def benchmark(self) -> str:
        return str(self.config["benchmark"])

    @property
    def options(self) -> Mapping[str, Json]:
        options: Mapping[str, Json] = self.config["options"]
        return options


def _source(given: RescoreConfig) -> _Source:
    config = info(given.run).config
    kind = None if config is None else config.get("kind")
    if config is None or kind not in ("bench", "improve"):
        raise RunError(
            f"{given.run} is a run of kind {kind!r}", hint="name a run of autoflow bench or autoflow improve"
        )
    if kind == "bench":
        if given.trial is not None:
            raise UsageError(f"{given.run} is a bench run of one workflow: it has no trials", hint="leave --trial out")
        recorded: Any = config["workflow"]
        workflow = _workflow(given.run, recorded["fingerprint"][:12])
        if workflow.fingerprint() != recorded["fingerprint"]:
            raise RunError(f"{given.run}: its workflow is not the one that was run")
        limit: Any = config["limit"]
        return _Source(given.run, given.run.name, config, workflow, str(config["split"]), limit, _report(given.run))
    if given.split not in LEARNING:
        raise UnknownNameError(
            "split of an improving run", given.split, list(LEARNING), hint=f"test runs are below {given.run / 'test'}"
        )
    with Ledger.reading(given.run / "ledger.sqlite") as ledger:
        known = [trial.id for trial in ledger.trials() if trial.proposal.workflow is not None]
    if given.trial not in known:
        raise UnknownNameError("trial (--trial)", given.trial or "", known)
    limit = config[f"{given.split}_limit"]
    name = f"{given.run.name}/{given.trial}"
    return _Source(given.run, name, config, _workflow(given.run, given.trial), given.split, limit, None)


def _workflow(run: Path, name: str) -> Workflow:
    return document.load(run / "workflows" / f"{name}.yaml").workflow


def _report(run: Path) -> Mapping[str, Any] | None:
    file = run / "report.json"
    try:
        found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RunError(f"{file}: cannot be read: {error}") from error
    return found


def _recorded(source: _Source, tasks: Sequence[Task], epochs: int, ledger: Ledger) -> tuple[Task, ...]:
    attempted = ledger.attempted(source.workflow.fingerprint(), source.split)
    found = tuple(task for task in tasks if all((task.id, epoch) in attempted for epoch in range(epochs)))
    if not found:
        raise UsageError(f"{source.folder} holds no trace of {source.name} on the split {source.split!r}")
    return found


def _same_data(source: _Source, tasks: Sequence[Task], now: Benchmark) -> list[str]:
    """Refuses other tasks than those that were answered; says so where something else may have changed."""
    texts = {task.id: task.text for task in tasks}
    for row in () if source.report is None else source.report["rows"]:
        if texts.get(row["id"]) != row["text"]:
            raise DataError(
                f"task {row['id']} of {source.benchmark} is not the one that {source.name} answered",
                hint="rescoring needs the tasks of the run: the same data, by --data or --benchmark",
            )
    if now.scorer.label != source.config["scorer"]:
        return []
    if now.fingerprint != source.config["data"]:
        return ["The benchmark's data, code or scorer are no longer those of that run: its fingerprint has changed."]
    return []


def _what(source: _Source) -> list[str]:
    said = f"Rescored: the recorded traces of {source.name} were judged anew, and no workflow was run."
    report = source.report
    if report is None or report["mean"] is None:
        return [said]
    interval = f"{report['mean']:.3f} [{report['low']:.3f}, {report['high']:.3f}], n = {report['n']}"
    return [said, f"The {report['score']} of that run was {interval}."]


def _judge(benchmark: Benchmark) -> list[str]:
    if isinstance(benchmark.scorer, NeedsModel):
        return [f"The judge is a model, {benchmark.scorer.model}: what was spent is its."]
    return []
