"""Runs one workflow on a held-out split and reports. Only this module reads test tasks.

`report.json` holds what equal work makes equal, byte for byte, however often the run was interrupted; what no two
executions share (seconds, sittings, cache hits) is in `timing.json`.
"""

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from autoflow import __version__
from autoflow.benchmarks import held_out
from autoflow.core.benchmark import Benchmark
from autoflow.core.budget import Budget, Spend
from autoflow.core.json import Json
from autoflow.core.model import Model
from autoflow.core.score import Score
from autoflow.core.strategy import Evaluation
from autoflow.core.task import Task
from autoflow.core.workflow import Workflow
from autoflow.errors import UnknownNameError, UsageError
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import Settings
from autoflow.objective.judging import ready
from autoflow.objective.meter import Meter, Price
from autoflow.objective.metered import Metered
from autoflow.objective.objective import (
    NOT_RUN,
    BudgetReachedError,
    Interrupted,
    Objective,
    Progress,
    ProviderGoneError,
)
from autoflow.operators.library import library
from autoflow.runs.folder import FREE_KEYS, RunFolder, default_name
from autoflow.runs.ledger import Ledger, Place
from autoflow.runs.traces import Traces
from autoflow.statistics import Interval, mean_interval
from autoflow.summary import Secondary, secondary, secondary_json

SCHEMA = 1
"""Version of `report.json`."""

NOT_COVERED = "not_covered"
"""Reason of a scorer's `None` where the benchmark has no way to judge a task."""

Outcome = Literal["complete", "budget", "interrupted", "provider"]


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


@dataclass(frozen=True, slots=True)
class Row:
    """One task in the report."""

    id: str
    category: str
    text: str
    score: float | None
    """Averaged over epochs."""

    reason: str
    """Why it failed or has no score; empty where all is well."""

    answer: Json
    """Of the first epoch, as `details`."""

    details: Mapping[str, Json]
    epochs: tuple[float | None, ...]
    spend: Spend
    """Of every call that the task's traces made, whether asked or read from the record."""


@dataclass(frozen=True, slots=True)
class Group:
    """The tasks of one category."""

    category: str
    interval: Interval | None
    """`None` where none is scored."""

    unscored: int


@dataclass(frozen=True, slots=True)
class Timing:
    """What no two executions share."""

    seconds: float
    """Of all sittings."""

    cached_calls: int
    """In this sitting: answers taken from the record."""

    failed_calls: int
    """In all sittings: calls that brought no reply."""

    rows: Mapping[str, float]
    """Seconds of each finished task, as first recorded, its epochs together."""


@dataclass(frozen=True, slots=True)
class BenchReport:
    """A workflow's scores on a split, with all that a reader needs to judge them."""

    folder: Path
    state: Outcome
    config: Mapping[str, Json]
    """As in the folder's `config.yaml`, without what may change between sittings."""

    command: str
    notes: tuple[str, ...]
    label: str
    """What the number is called: the scorer's label."""

    interval: Interval | None
    """Over scored tasks; `None` where there are none."""

    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    """One a category, in the order of the tasks; empty where there are fewer than two."""

    secondary: tuple[Secondary, ...]
    """What the scorer measures beside the score, over the same tasks."""

    answered: tuple[str, ...]
    """The models that answered."""

    spend: Spend
    """What was paid for: each recorded call once, other sittings' included."""

    timing: Timing

    @property
    def unscored(self) -> int:
        """Tasks without a score, for whatever reason."""
        return sum(row.score is None for row in self.rows)

    @property
    def not_covered(self) -> int:
        """Of `unscored`: tasks that the scorer cannot judge."""
        return sum(row.score is None and row.reason == NOT_COVERED for row in self.rows)

    @property
    def reasons(self) -> dict[str, int]:
        """How many tasks carry which reason, the commonest first."""
        counts = Counter(row.reason for row in self.rows if row.reason)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def exit_code(self) -> int:
        """0 complete, 5 the provider was gone or nothing at all could be scored for it, 6 budget, 130 interrupted."""
        faults = [row for row in self.rows if row.reason == "provider"]
        if self.state == "complete":
            return 5 if self.interval is None and faults else 0
        return {"budget": 6, "interrupted": 130, "provider": 5}[self.state]

    def to_json(self) -> dict[str, Any]:
        """The content of `report.json`."""
        return {
            "schema": SCHEMA,
            "kind": "bench",
            "autoflow": __version__,
            "state": self.state,
            "command": self.command,
            "config": dict(self.config),
            "notes": list(self.notes),
            "score": self.label,
            "tasks": len(self.rows),
            **_interval(self.interval),
            "unscored": self.unscored,
            "not_covered": self.not_covered,
            "reasons": self.reasons,
            "categories": [
                {"category": group.category, **_interval(group.interval), "unscored": group.unscored}
                for group in self.groups
            ],
            "secondary": secondary_json(self.secondary),
            "answered": list(self.answered),
            "spend": _spend(self.spend),
            "rows": [
                {
                    "id": row.id,
                    "category": row.category,
                    "text": row.text,
                    "score": row.score,
                    "reason": row.reason,
                    "answer": _plain(row.answer),
                    "details": _plain(row.details),
                    "epochs": list(row.epochs),
                    **_spend(row.spend),
                }
                for row in self.rows
            ],
        }

    def to_text(self) -> str:
        """The content of `report.txt`: the summary and a line a task."""
        lines = [f"{self.label} on {self.config['benchmark']}, split {self.config['split']}: {_said(self.interval)}"]
        if self.state != "complete":
            missing = sum(row.reason == NOT_RUN for row in self.rows)
            lines.append(f"not complete ({self.state}): {missing} of {len(self.rows)} tasks to do")
        lines += [f"{item.measure}: {_said(item.interval)}" for item in self.secondary]
        lines.append(f"unscored {self.unscored} of {len(self.rows)}, of which not covered {self.not_covered}")
        if self.reasons:
            lines.append("reasons: " + ", ".join(f"{reason} {count}" for reason, count in self.reasons.items()))
        lines += [
            f"  {group.category or '(none)'}: {_said(group.interval)}, unscored {group.unscored}"
            for group in self.groups
        ]
        spend = self.spend
        lines.append(
            f"spent: {spend.calls} calls, {spend.input_tokens} tokens in, {spend.output_tokens} out,"
            f" ${spend.usd:.4f}{f' and {spend.unpriced} calls without a price' if spend.unpriced else ''}"
        )
        lines.append(f"model {self.config['interpreter']}, seed {self.config['seed']}, epochs {self.config['epochs']}")
        if self.command:
            lines.append(f"command: {self.command}")
        lines += [f"note: {note}" for note in self.notes]
        lines.append("")
        width = max((len(row.id) for row in self.rows), default=0)
        lines += [
            f"{row.id:<{width}}  {'-' if row.score is None else f'{row.score:.3f}':>5}  {row.reason}".rstrip()
            for row in self.rows
        ]
        return "\n".join(lines) + "\n"


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
        "scorer": benchmark.scorer.label,
        "workflow": {"name": workflow.name, "fingerprint": workflow.fingerprint()},
        "interpreter": config.interpreter,
        "base_url": config.base_url,
        "settings": json.loads(json.dumps(settings)),
        "epochs": config.epochs,
        "seed": config.seed,
        "concurrency": config.concurrency,
        "budget": asdict(config.budget),
    }


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
) -> BenchReport:
    """Score `workflow` on a split and write the report into the run folder; what is recorded there is not done again.

    A run that is stopped (budget, `stop`, provider gone) reports what it has, with its state; the same call resumes.

    Args:
        model: The interpreter, which the caller closes; or recorded traces, which are judged as they are.
        tasks: The split's tasks; `None` reads them, test included.
        runs: Where the folder is made, unless `folder` names it.
        open_model: For steps with a model of their own.

    Raises:
        UnknownNameError: For an unknown split or task id.
        UsageError: If no task is left to run, or a dollar budget meets a model without a price.
        RunError: If the folder is held by another process or holds another configuration.
    """
    chosen = tasks_of(config, split_of(config) if tasks is None else tasks)
    settled = resolved(config, workflow, benchmark)
    path = folder if folder is not None else run_path(config, workflow, benchmark, runs)
    async with AsyncExitStack() as stack:
        run = stack.enter_context(RunFolder.open(path, settled, clock=clock))
        run.save_workflow(workflow.fingerprint()[:12], workflow)
        meter = Meter.resuming(config.budget, run.ledger, clock, price=price)
        opened: dict[str, Metered] = {}

        def open_metered(spec: str) -> Model:
            if open_model is None:
                raise UsageError(f"a step or the scorer asks for the model {spec}, and this run opens no models")
            if spec not in opened:
                opened[spec] = Metered(open_model(spec), run.ledger, meter)
                stack.push_async_callback(opened[spec].aclose)
            return opened[spec]

        objective = Objective(
            benchmark.name,
            ready(benchmark.scorer, open_metered),
            model
            if isinstance(model, Traces)
            else Interpreter(
                Metered(model, run.ledger, meter),
                {**library(), **benchmark.operators},
                replace(config.settings, seed=config.seed),
                open_model=open_metered,
            ),
            run.ledger,
            epochs=config.epochs,
            concurrency=config.concurrency,
            seed=config.seed,
            retry_faults=config.retry_errors,
            on_progress=on_progress,
            stop=stop,
        )
        state: Outcome = "complete"
        try:
            evaluation = await objective.score_all(workflow, chosen, config.split)
        except BudgetReachedError as error:
            state, evaluation = "budget", error.evaluation
        except Interrupted as error:
            state, evaluation = "interrupted", error.evaluation
        except ProviderGoneError as error:
            state, evaluation = "provider", error.evaluation
        report = _report(
            path=path,
            state=state,
            config=config,
            settled=run.config,
            benchmark=benchmark,
            workflow=workflow,
            tasks=chosen,
            evaluation=evaluation,
            ledger=run.ledger,
            meter=meter,
            answered=model.answered if isinstance(model, Traces) else (),
        )
        run.write("report.json", _dumped(report.to_json()))
        run.write("report.txt", report.to_text())
        run.write("timing.json", _dumped(asdict(report.timing)))
        run.end(state)
        return report


def split_of(config: BenchConfig) -> tuple[Task, ...]:
    """Every task of the split, test included.

    Raises:
        UnknownNameError: For an unknown benchmark, split or option.
        DataError: If the data is at fault.
    """
    return held_out.load_split(config.benchmark, config.split, options=config.options)


def tasks_of(config: BenchConfig, split: Sequence[Task]) -> tuple[Task, ...]:
    """Those of the split's tasks that are measured.

    Raises:
        UnknownNameError: For an unknown task id.
        UsageError: If no task is left to run.
    """
    return select(split, config.tasks, config.limit, config.split, config.sample_ids)


def select(
    tasks: Sequence[Task], ids: str | None, limit: int | None, split: str, sample_ids: Sequence[str] = ()
) -> tuple[Task, ...]:
    """The tasks named by `ids` ("0-14,105") or `sample_ids` (each one id), in the split's order, then the first
    `limit` of them; named by neither: all.

    Raises:
        UnknownNameError: For an id or a range with none of the split's tasks.
        UsageError: If nothing is left.
    """
    chosen = tuple(tasks)
    if ids is not None or sample_ids:
        known = {task.id for task in chosen}
        unknown = next((name for name in sample_ids if name not in known), None)
        if unknown is not None:
            raise UnknownNameError(f"task id in split {split!r}:", unknown, _some(chosen))
        wanted = set(sample_ids)
        for part in (part.strip() for part in ids.split(",")) if ids is not None else ():
            first, dash, last = part.partition("-")
            if part in known:
                wanted.add(part)
            elif dash and first.strip().isdecimal() and last.strip().isdecimal():
                # From the split's side: a range of any length costs no more than the split.
                inside = {name for name in known if name.isdecimal() and int(first) <= int(name) <= int(last)}
                if not inside:
                    raise UnknownNameError(f"range of task ids in split {split!r}:", part, _some(chosen))
                wanted |= inside
            else:
                raise UnknownNameError(f"task id in split {split!r}:", part, _some(chosen))
        chosen = tuple(task for task in chosen if task.id in wanted)
    if limit is not None:
        chosen = chosen[:limit]
    if not chosen:
        raise UsageError(f"split {split!r} leaves no task to run")
    return chosen


def _some(tasks: Sequence[Task]) -> list[str]:
    names = [task.id for task in tasks]
    return names if len(names) <= 20 else [*names[:20], f"and {len(names) - 20} more"]


def _report(
    *,
    path: Path,
    state: Outcome,
    config: BenchConfig,
    settled: Mapping[str, Json],
    benchmark: Benchmark,
    workflow: Workflow,
    tasks: Sequence[Task],
    evaluation: Evaluation,
    ledger: Ledger,
    meter: Meter,
    answered: Sequence[str],
) -> BenchReport:
    rows: list[Row] = []
    scored: list[list[Score]] = []
    seconds: dict[str, float] = {}
    candidate = workflow.fingerprint()
    for task, result in zip(tasks, evaluation.results, strict=True):
        drawn = [ledger.result(Place(candidate, config.split, task.id, epoch)) for epoch in range(config.epochs)]
        done = [item for item in drawn if item is not None]
        if done:
            seconds[task.id] = math.fsum(item.seconds for item in done)
        if result.value is not None:
            scored.append([item.score for item in done])
        rows.append(
            Row(
                id=task.id,
                category=task.category,
                text=task.text,
                score=result.value,
                reason=result.reason,
                answer=result.answer,
                details=drawn[0].score.details if drawn[0] is not None else {},
                epochs=tuple(item.score.value if item is not None else None for item in drawn),
                spend=_summed([item.spend for item in done]),
            )
        )
    return BenchReport(
        folder=path,
        state=state,
        config={key: value for key, value in settled.items() if key not in FREE_KEYS},
        command=str(settled["command"]),
        notes=benchmark.notes,
        label=benchmark.scorer.label,
        interval=_mean(rows, config.seed),
        rows=tuple(rows),
        groups=_groups(rows, config.seed),
        secondary=secondary(benchmark.scorer, scored, config.seed),
        answered=tuple(sorted({*ledger.models(), *answered})),
        spend=ledger.spend(),
        timing=Timing(meter.seconds, meter.spend.cached_calls, ledger.failed_calls(), seconds),
    )


def _summed(spends: Sequence[Spend]) -> Spend:
    total = sum(spends, Spend())
    # Which of equal calls was the one that paid is a matter of timing, and so is the order of a plain sum.
    return replace(total, usd=math.fsum(spend.usd for spend in spends), cached_calls=0)


def _groups(rows: Sequence[Row], seed: int) -> tuple[Group, ...]:
    categories: dict[str, list[Row]] = {}
    for row in rows:
        categories.setdefault(row.category, []).append(row)
    if len(categories) < 2:
        return ()
    return tuple(
        Group(category, _mean(members, seed), sum(row.score is None for row in members))
        for category, members in categories.items()
    )


def _mean(rows: Sequence[Row], seed: int) -> Interval | None:
    values = [row.score for row in rows if row.score is not None]
    return mean_interval(values, seed=seed) if values else None


def _interval(interval: Interval | None) -> dict[str, Json]:
    if interval is None:
        return {"mean": None, "low": None, "high": None, "n": 0, "interval": None}
    return {
        "mean": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "n": interval.n,
        "interval": f"95 % {interval.method}",
    }


def _said(interval: Interval | None) -> str:
    if interval is None:
        return "no task scored"
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}], n = {interval.n}"


def _spend(spend: Spend) -> dict[str, Json]:
    return {
        "calls": spend.calls,
        "input_tokens": spend.input_tokens,
        "output_tokens": spend.output_tokens,
        "usd": spend.usd,
        "unpriced": spend.unpriced,
        "uncounted": spend.uncounted,
    }


def _plain(value: Json) -> Json:
    # A model's JSON may hold NaN, which the ledger keeps but no strict reader of the report would take.
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _dumped(value: Mapping[str, Any]) -> str:
    # ASCII, since a model's text can hold lone surrogates that no file stores as UTF-8.
    return json.dumps(value, indent=1, allow_nan=False) + "\n"
