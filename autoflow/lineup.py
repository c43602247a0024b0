"""Several workflows on the same tasks, one after the other under one budget, each compared with the first.

Each has a run folder of its own, as if it were measured alone.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from autoflow.baselines import EQUAL, Baseline, sampled, samples_for
from autoflow.bench import BenchConfig, BenchReport, Outcome, bench
from autoflow.core.benchmark import Benchmark
from autoflow.core.budget import Spend
from autoflow.core.json import Json
from autoflow.core.model import Model
from autoflow.core.operator import Operator
from autoflow.core.task import Task
from autoflow.core.workflow import Workflow
from autoflow.executors.recipe import Executor
from autoflow.interpreter.settings import Settings
from autoflow.objective.meter import Price
from autoflow.objective.objective import Progress
from autoflow.operators.library import library
from autoflow.statistics import Comparison, Interval, holm, paired, verdict
from autoflow.summary import aligned
from autoflow.summary import total as summed
from autoflow.zero_shot import Writing

Watch = Callable[[str], AbstractContextManager[Callable[[Progress], None] | None]]
"""Given what is measured, a context that shows its progress."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A workflow that takes part."""

    label: str
    workflow: Workflow
    baseline: Baseline | None = None
    """The reference method that it is; `None`: a workflow under test."""

    writing: Writing | None = None
    """Who writes a workflow for each task, where there is none for all."""


@dataclass(frozen=True, slots=True)
class Row:
    """A workflow that was measured."""

    label: str
    baseline: bool
    note: str
    """How its number of samples was chosen; empty where it was not."""

    report: BenchReport
    against: Comparison | None
    """With the first, on the tasks scored for both; `None` for the first itself, and where there is no such task."""

    p_holm: float | None
    """The comparison's p-value, adjusted for their number."""


@dataclass(frozen=True, slots=True)
class Lineup:
    """What came of it."""

    rows: tuple[Row, ...]
    """In the order given; the first that stopped ends it."""

    missing: tuple[str, ...]
    """Those that were not begun."""

    @property
    def state(self) -> Outcome:
        """`complete`, or how the last row stopped; with all rows complete and some missing, the budget ended."""
        stopped = next((row.report.state for row in self.rows if row.report.state != "complete"), None)
        return stopped or ("budget" if self.missing else "complete")

    @property
    def exit_code(self) -> int:
        """As of the run that stopped."""
        code = next((row.report.exit_code for row in self.rows if row.report.exit_code), 0)
        return code or (6 if self.missing else 0)

    def to_json(self) -> dict[str, Any]:
        """A report for each, and how each compares with the first."""
        return {
            "state": self.state,
            # The report's own version number gives way to the document's.
            "reports": [
                {
                    "folder": str(row.report.folder),
                    **{key: item for key, item in row.report.to_json().items() if key != "schema"},
                }
                for row in self.rows
            ],
            "rows": [
                {
                    "label": row.label,
                    "baseline": row.baseline,
                    "note": row.note,
                    "against_first": comparison_json(row.against, row.p_holm),
                }
                for row in self.rows
            ],
            "missing": list(self.missing),
        }

    def to_text(self, width: int | None = None) -> str:
        """One report in full; of several, a line each and the comparisons. `width`: columns of a terminal."""
        if len(self.rows) == 1 and not self.missing:
            note = f"{self.rows[0].note}\n" if self.rows[0].note else ""
            return note + self.rows[0].report.to_text()
        if not self.rows:
            return f"not begun: {', '.join(self.missing)}\n"
        first = self.rows[0].report
        config = first.config
        lines = [
            f"{first.label} on {config['benchmark']}, split {config['split']}, model {config['interpreter']},"
            f" seed {config['seed']}, epochs {config['epochs']}",
            "",
            *aligned([_HEADING, *(_cells(row) for row in self.rows)], width),
        ]
        if self.missing:
            lines.append(f"not begun: {', '.join(self.missing)}")
        compared = [row for row in self.rows if row.against is not None]
        if compared:
            lines += ["", f"against {self.rows[0].label}, task by task:"]
            lines += [f"  {row.label}: {said(row.against, row.p_holm, len(compared))}" for row in compared]
        lines += ["", *(f"{row.label}: {row.note}" for row in self.rows if row.note)]
        if first.command:
            lines.append(f"command: {first.command}")
        lines += [f"note: {note}" for note in first.notes]
        return "\n".join(lines) + "\n"


async def line_up(
    config: BenchConfig,
    entries: Sequence[Entry],
    benchmark: Benchmark,
    model: Model,
    *,
    tasks: Sequence[Task] | None = None,
    runs: Path = Path("runs"),
    folder: Path | None = None,
    open_model: Callable[[str], Model] | None = None,
    price: Price | None = None,
    clock: Callable[[], float] = time.time,
    watch: Watch = lambda _: nullcontext(),
    stop: asyncio.Event | None = None,
    executor: Executor | None = None,
) -> Lineup:
    """Measure each entry in turn; `config.budget` holds for all of them together.

    An entry whose samples are to equal the calls of the first is given its number once the first is measured. What is
    recorded is not done again: the same call resumes.

    Args:
        tasks: The split's tasks; `None` reads them, test included.
        folder: Of the run, where there is one entry only.
        executor: As of `autoflow.bench.bench`.

    Raises:
        AutoflowError: As `autoflow.bench.bench`.
    """
    if folder is not None and len(entries) > 1:
        raise ValueError("one folder holds one run")
    rows: list[Row] = []
    for entry in entries:
        spent = total([row.report for row in rows])
        left = config.budget.less(spent, sum(row.report.timing.seconds for row in rows))
        if left is None:
            break
        settled, note = _settled(entry, rows, config, benchmark)
        with watch(f"{settled.label} on {benchmark.name} {config.split}") as on_progress:
            report = await bench(
                replace(config, budget=left, writing=settled.writing),
                settled.workflow,
                benchmark,
                model,
                tasks=tasks,
                runs=runs,
                folder=folder,
                open_model=open_model,
                price=price,
                clock=clock,
                on_progress=on_progress,
                stop=stop,
                executor=executor,
            )
        rows.append(Row(settled.label, entry.baseline is not None, note, report, None, None))
        if report.exit_code:
            break
    missing = tuple(entry.label for entry in entries[len(rows) :])
    return Lineup(tuple(_compared(rows, config.seed)), missing)


def total(reports: Sequence[BenchReport]) -> Spend:
    """What the runs took, failed calls included: as a budget counts."""
    spent = summed([report.spend for report in reports])
    return replace(spent, calls=spent.calls + sum(report.timing.failed_calls for report in reports))


def against_first(reports: Sequence[BenchReport | None], seed: int) -> list[tuple[Comparison, float] | None]:
    """Each report compared with the first, with its p-value adjusted for the number of comparisons; `None` for the
    first, for an absent report, and where no task is scored for both."""
    first = reports[0] if reports else None
    found: dict[int, Comparison] = {}
    for index, report in enumerate(reports[1:], 1):
        if first is None or report is None:
            continue
        theirs = {row.id: row.score for row in report.rows}
        pairs = [(theirs.get(row.id), row.score) for row in first.rows]
        if any(mine is not None and other is not None for mine, other in pairs):
            found[index] = paired([mine for mine, _ in pairs], [other for _, other in pairs], seed=seed)
    adjusted = dict(zip(found, holm([item.p_value for item in found.values()]), strict=True))
    return [(found[index], adjusted[index]) if index in found else None for index in range(len(reports))]


def comparison_json(comparison: Comparison | None, p_holm: float | None) -> dict[str, Json] | None:
    """A comparison with its verdict, for a report."""
    return None if comparison is None else {**asdict(comparison), "p_holm": p_holm, "verdict": verdict(comparison)}


def said(comparison: Comparison | None, p_holm: float | None, comparisons: int) -> str:
    """A comparison in words."""
    if comparison is None:
        return "no task is scored for both"
    if comparisons < 2 or p_holm is None:
        return verdict(comparison)
    return f"{verdict(comparison)} (p = {p_holm:.3f} adjusted for {comparisons} comparisons)"


def numbers(interval: Interval | None) -> tuple[str, str, str]:
    """Mean, interval and n as a table shows them."""
    if interval is None:
        return "-", "-", "0"
    return f"{interval.mean:.3f}", f"{interval.low:.3f} to {interval.high:.3f}", str(interval.n)


def dollars(spend: Spend) -> str:
    """What was paid; where calls had no price, only the rest is known."""
    if not spend.unpriced:
        return f"{spend.usd:.4f}"
    return "?" if spend.unpriced >= spend.calls else f">{spend.usd:.4f}"


_HEADING = ("workflow", "score", "95 % interval", "n", "unscored", "calls", "tokens", "USD", "seconds")


def _cells(row: Row) -> tuple[str, ...]:
    report = row.report
    stopped = "" if report.state == "complete" else f" ({report.state})"
    return (
        row.label + stopped,
        *numbers(report.interval),
        str(report.unscored),
        str(report.spend.calls),
        str(report.spend.tokens),
        dollars(report.spend),
        f"{report.timing.seconds:.0f}",
    )


def equal_to(
    workflow: Workflow, calls_a_task: float | None, benchmark: Benchmark, settings: Settings
) -> tuple[int, Workflow]:
    """The method with as many samples as make it take so many calls a task, and that number; 1 where nobody knows."""
    operators: Mapping[str, Operator] = {**library(), **benchmark.operators}
    samples = 1 if calls_a_task is None else samples_for(workflow, calls_a_task, operators, settings)
    return samples, sampled(workflow, samples)


def _settled(entry: Entry, rows: Sequence[Row], config: BenchConfig, benchmark: Benchmark) -> tuple[Entry, str]:
    """The entry with its number of samples, and how that was chosen."""
    baseline = entry.baseline
    if baseline is None or not baseline.equal:
        return entry, ""
    first = rows[0]
    taken = calls_a_task(first.report, config.epochs)
    samples, workflow = equal_to(baseline.workflow, taken, benchmark, config.settings)
    why = (
        f"no task of {first.label} is scored, so its calls are not known"
        if taken is None
        else f"{first.label} took {taken:.2f} calls a task"
    )
    settled = Entry(f"{baseline.name}:{samples}", workflow, baseline)
    return settled, f"{baseline.name}:{EQUAL} is N = {samples}: {why}"


def calls_a_task(report: BenchReport, epochs: int) -> float | None:
    """Mean over scored tasks and epochs; `None` where none is scored."""
    scored = [row.spend.calls for row in report.rows if row.score is not None]
    return sum(scored) / (len(scored) * epochs) if scored else None


def _compared(rows: Sequence[Row], seed: int) -> list[Row]:
    found = against_first([row.report for row in rows], seed)
    return [
        row if item is None else replace(row, against=item[0], p_holm=item[1])
        for row, item in zip(rows, found, strict=True)
    ]
