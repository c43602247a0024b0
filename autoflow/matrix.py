"""The generator x interpreter table: every workflow, and the best that every generator writes, under every interpreter.

Source: AutoFlow (arXiv:2407.12821), whose result is such a table. Each cell is an ordinary run folder inside the
matrix's own; a generator's cell holds the search, and in `measured` its best workflow on the split.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autoflow import __version__
from autoflow import bench as benches
from autoflow import improve as improving
from autoflow.bench import BenchConfig, BenchReport, Outcome, bench
from autoflow.core.benchmark import Benchmark
from autoflow.core.budget import Budget, Spend
from autoflow.core.json import Json
from autoflow.core.model import Model
from autoflow.core.task import Task
from autoflow.core.workflow import Workflow
from autoflow.errors import UsageError
from autoflow.improve import Collaborators, ImproveConfig, ImproveEvent, ImproveReport, improve
from autoflow.lineup import (
    Entry,
    Watch,
    against_first,
    comparison_json,
    dollars,
    line_up,
    said,
)
from autoflow.objective.meter import Price
from autoflow.runs.folder import FREE_KEYS, RunFolder, default_name
from autoflow.statistics import Comparison
from autoflow.summary import aligned, interval_cell, interval_json, spend_json, total

SCHEMA = 1
"""Version of `report.json`."""

MEASURED = "measured"
"""The folder in a generator's cell that its best workflow is measured in."""

Follow = Callable[[], AbstractContextManager[Callable[[ImproveEvent], None] | None]]
"""A context that shows what a search does."""


@dataclass(frozen=True, slots=True)
class MatrixConfig:
    """What is measured in every cell, and what the rows and columns are."""

    bench: BenchConfig
    """Of every cell. Its interpreter is the column's; its budget is for all cells together."""

    interpreters: tuple[str, ...]
    """The columns: `provider/model`."""

    entries: tuple[Entry, ...] = ()
    """The first rows: workflows and reference methods."""

    improve: tuple[ImproveConfig, ...] = ()
    """The other rows: a search each. Its interpreter is the column's; it reads no test task, since its best workflow
    is measured like every other."""

    def __post_init__(self) -> None:
        if not self.interpreters or not (self.entries or self.improve):
            raise UsageError("a matrix needs at least one interpreter, and one workflow or generator")
        for what, listed in (("interpreter", self.interpreters), ("row", self.rows)):
            twice = next((name for name in listed if listed.count(name) > 1), None)
            if twice is not None:
                raise UsageError(f"{what} {twice} is named twice")

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows' labels, in order."""
        searches = [f"{search.strategy} by {search.generator}" for search in self.improve]
        return (*(entry.label for entry in self.entries), *searches)


@dataclass(frozen=True, slots=True)
class Cell:
    """One row under one interpreter."""

    row: str
    interpreter: str
    state: Outcome | None
    """`None`: not begun."""

    report: BenchReport | None
    """On the split; `None` where it did not come to that."""

    search: ImproveReport | None = None
    """How a generator's workflow was found."""

    note: str = ""
    against: Comparison | None = None
    """With the first row of the same column."""

    p_holm: float | None = None
    """The comparison's p-value, adjusted for those of the column."""

    @property
    def spend(self) -> Spend:
        """Of the search and the measurement, each recorded call once."""
        parts = [self.report.spend] if self.report is not None else []
        parts += [self.search.generator, self.search.interpreter] if self.search is not None else []
        return total(parts)

    @property
    def seconds(self) -> float:
        """Of all sittings."""
        return sum(part.timing.seconds for part in (self.report, self.search) if part is not None)

    @property
    def failed_calls(self) -> int:
        """Calls that brought no reply."""
        return sum(part.timing.failed_calls for part in (self.report, self.search) if part is not None)

    @property
    def folder(self) -> Path | None:
        """Of the cell's run."""
        part = self.search or self.report
        return None if part is None else part.folder

    @property
    def mean(self) -> str:
        """As a table shows it."""
        if self.report is None or self.report.interval is None:
            return "not begun" if self.state is None else f"- ({self.state})" if self.state != "complete" else "-"
        interval = self.report.interval
        stopped = "" if self.state == "complete" else f" ({self.state})"
        return f"{interval_cell(interval)} n {interval.n}{stopped}"

    def to_json(self) -> dict[str, Any]:
        """The cell in `report.json`."""
        report, search = self.report, self.search
        return {
            "row": self.row,
            "interpreter": self.interpreter,
            "state": self.state,
            "folder": None if self.folder is None else self.folder.name,
            **interval_json(None if report is None else report.interval),
            "unscored": None if report is None else report.unscored,
            "note": self.note,
            "best": None if search is None else search.best,
            "workflow": None if report is None else report.config["workflow"],
            "against_first": comparison_json(self.against, self.p_holm),
            "spend": spend_json(self.spend),
        }


@dataclass(frozen=True, slots=True)
class MatrixReport:
    """The table."""

    folder: Path
    state: Outcome
    config: Mapping[str, Json]
    """As in the folder's `config.yaml`, without what may change between sittings."""

    command: str
    label: str
    """What the numbers are called: the scorer's label."""

    notes: tuple[str, ...]
    rows: tuple[str, ...]
    interpreters: tuple[str, ...]
    cells: tuple[Cell, ...]
    """Column by column, each in the order of the rows."""

    @property
    def exit_code(self) -> int:
        """0 complete, 5 a provider was gone, 6 budget, 130 interrupted."""
        return {"complete": 0, "budget": 6, "interrupted": 130, "provider": 5}[self.state]

    @property
    def spend(self) -> Spend:
        """Of all cells."""
        return total([cell.spend for cell in self.cells])

    def to_json(self) -> dict[str, Any]:
        """The content of `report.json`: equal for equal work, however often it was interrupted."""
        return {
            "schema": SCHEMA,
            "kind": "matrix",
            "autoflow": __version__,
            "state": self.state,
            "command": self.command,
            "config": dict(self.config),
            "notes": list(self.notes),
            "score": self.label,
            "rows": list(self.rows),
            "interpreters": list(self.interpreters),
            "cells": [cell.to_json() for cell in self.cells],
        }

    def to_text(self, width: int | None = None) -> str:
        """The content of `report.txt`; with the columns of a terminal, as it fits there."""
        lines = [self._title(), "", *aligned(self._table(), width), "", *aligned(self._details(), width)]
        lines += ["", *self._closing()]
        return "\n".join(lines) + "\n"

    def to_markdown(self) -> str:
        """The content of `report.md`."""
        lines = [self._title(), "", *_markdown(self._table()), "", *_markdown(self._details()), ""]
        lines += [f"- {line}" for line in self._closing()]
        return "\n".join(lines) + "\n"

    def _title(self) -> str:
        config = self.config
        return (
            f"{self.label} on {config['benchmark']}, split {config['split']}, seed {config['seed']}, epochs "
            f"{config['epochs']}: mean [95 % interval] n"
        )

    def _table(self) -> list[list[str]]:
        found = {(cell.row, cell.interpreter): cell.mean for cell in self.cells}
        return [
            ["", *self.interpreters],
            *([row, *(found[row, interpreter] for interpreter in self.interpreters)] for row in self.rows),
        ]

    def _details(self) -> list[list[str]]:
        heading = ["row", "interpreter", "unscored", "calls", "tokens", "USD", "seconds", f"against {self.rows[0]}"]
        return [heading, *(self._detail(cell) for cell in self.cells)]

    def _detail(self, cell: Cell) -> list[str]:
        spend = cell.spend
        compared = sum(other.against is not None for other in self.cells if other.interpreter == cell.interpreter)
        return [
            cell.row,
            cell.interpreter,
            "-" if cell.report is None else str(cell.report.unscored),
            str(spend.calls),
            str(spend.tokens),
            dollars(spend),
            f"{cell.seconds:.0f}",
            "-" if cell.against is None else said(cell.against, cell.p_holm, compared),
        ]

    def _closing(self) -> list[str]:
        spend = self.spend
        lines = []
        if self.state != "complete":
            lines.append(f"not complete ({self.state}); the same command resumes")
        lines += [f"{cell.row}, {cell.interpreter}: {cell.note}" for cell in self.cells if cell.note]
        lines.append(f"spent: {spend.calls} calls, {spend.tokens} tokens, ${dollars(spend)}, every cell together")
        if self.command:
            lines.append(f"command: {self.command}")
        return [*lines, *(f"note: {note}" for note in self.notes)]


async def matrix(
    config: MatrixConfig,
    benchmark: Benchmark,
    open_model: Callable[[str], Model],
    *,
    tasks: Sequence[Task] | None = None,
    runs: Path = Path("runs"),
    folder: Path | None = None,
    price: Price | None = None,
    clock: Callable[[], float] = time.time,
    watch: Watch = lambda _: nullcontext(),
    follow: Follow = nullcontext,
    stop: asyncio.Event | None = None,
) -> MatrixReport:
    """Fill the table, column by column, and write the report into the matrix's folder.

    The budget holds for all cells together. A provider that is gone ends its column, a used-up budget or an interrupt
    the matrix; the same call resumes and repeats no recorded call.

    Args:
        tasks: The split's tasks; `None` reads them, test included.
        open_model: Gives every model that is named. What it gives is closed after each cell: where cells share a
            model, `autoflow.models.shared.Shared` keeps it open.

    Raises:
        AutoflowError: As `autoflow.bench.bench` and `autoflow.improve.improve`.
    """
    settled = resolved(config, benchmark)
    path = folder if folder is not None else run_path(config, benchmark, runs)
    with RunFolder.open(path, settled, clock=clock) as run:
        filling = _Filling(
            config,
            benchmark,
            path,
            tasks=tasks,
            open_model=open_model,
            price=price,
            clock=clock,
            watch=watch,
            follow=follow,
            stop=stop,
        )
        # Before anything is paid: a key that is missing for the last column is said now.
        for spec in dict.fromkeys((*config.interpreters, *(search.generator for search in config.improve))):
            await open_model(spec).aclose()
        for interpreter in config.interpreters:
            await filling.column(interpreter)
        report = MatrixReport(
            folder=path,
            state=filling.state(),
            config={key: item for key, item in run.config.items() if key not in FREE_KEYS},
            command=str(run.config["command"]),
            label=benchmark.scorer.label,
            notes=benchmark.notes,
            rows=config.rows,
            interpreters=config.interpreters,
            cells=tuple(filling.cells),
        )
        run.write("report.json", json.dumps(report.to_json(), indent=1, allow_nan=False) + "\n")
        run.write("report.txt", report.to_text())
        run.write("report.md", report.to_markdown())
        run.end(report.state)
        return report


def resolved(config: MatrixConfig, benchmark: Benchmark) -> dict[str, Json]:
    """The configuration as the matrix's folder keeps it."""
    cell = benches.resolved(config.bench, Workflow("", ()), benchmark)
    of_cells = ("interpreter", "workflow")
    search_only = ("command", "budget", "concurrency", "interpreter")
    return {
        **{key: item for key, item in cell.items() if key not in of_cells},
        "kind": "matrix",
        "rows": [_row(entry) for entry in config.entries],
        "interpreters": list(config.interpreters),
        "improve": [
            {key: item for key, item in improving.resolved(search, benchmark).items() if key not in search_only}
            for search in config.improve
        ],
    }


def run_path(config: MatrixConfig, benchmark: Benchmark, runs: Path) -> Path:
    """The folder below `runs` that this command makes, or finds again."""
    return runs / default_name("matrix", benchmark.name, resolved(config, benchmark))


def _row(entry: Entry) -> dict[str, Json]:
    # Of a method whose samples follow from the first row, the file is all that is known.
    return {"label": entry.label, "fingerprint": entry.workflow.fingerprint()}


class _Filling:
    """One sitting."""

    def __init__(
        self,
        config: MatrixConfig,
        benchmark: Benchmark,
        path: Path,
        *,
        tasks: Sequence[Task] | None,
        open_model: Callable[[str], Model],
        price: Price | None,
        clock: Callable[[], float],
        watch: Watch,
        follow: Follow,
        stop: asyncio.Event | None,
    ) -> None:
        self._config = config
        self._benchmark = benchmark
        self._open = open_model
        self._path = path
        self._tasks = tasks
        self._price = price
        self._clock = clock
        self._watch = watch
        self._follow = follow
        self._stop = stop
        self.cells: list[Cell] = []

    def state(self) -> Outcome:
        """How the sitting ended."""
        states = {cell.state for cell in self.cells}
        if states == {"complete"}:
            return "complete"
        if "interrupted" in states or self._stopped():
            return "interrupted"
        if "budget" in states or self._left() is None:
            return "budget"
        return "provider"

    async def column(self, interpreter: str) -> None:
        """Every row under one interpreter."""
        before = len(self.cells)
        await self._entries(interpreter)
        gone = any(cell.state == "provider" for cell in self.cells[before:])
        # A search that ends so may owe it to its generator: the next row has another.
        for search, label in zip(self._config.improve, self._config.rows[len(self._config.entries) :], strict=True):
            if gone or self._halted():
                self.cells.append(Cell(label, interpreter, None, None))
            else:
                await self._search(search, label, interpreter)
        made = self.cells[before:]
        for index, found in enumerate(against_first([cell.report for cell in made], self._config.bench.seed)):
            if found is not None:
                self.cells[before + index] = replace(made[index], against=found[0], p_holm=found[1])

    async def _entries(self, interpreter: str) -> None:
        entries = self._config.entries
        left = None if self._halted() else self._left()
        done: list[Cell] = []
        if left is not None and entries:
            model = self._open(interpreter)
            try:
                found = await line_up(
                    replace(self._config.bench, interpreter=interpreter, budget=left),
                    entries,
                    self._benchmark,
                    model,
                    tasks=self._tasks,
                    runs=self._path,
                    open_model=self._open,
                    price=self._price,
                    clock=self._clock,
                    watch=lambda title: self._watch(f"{interpreter}: {title}"),
                    stop=self._stop,
                )
            finally:
                await model.aclose()
            done = [
                Cell(entry.label, interpreter, _state(row.report), row.report, note=row.note)
                for entry, row in zip(entries, found.rows, strict=False)
            ]
        self.cells += done
        self.cells += [Cell(entry.label, interpreter, None, None) for entry in entries[len(done) :]]

    async def _search(self, search: ImproveConfig, label: str, interpreter: str) -> None:
        """A generator's cell: find its best workflow, then measure it on the split."""
        left = self._left()
        if left is None:
            self.cells.append(Cell(label, interpreter, None, None))
            return
        asked = replace(search, interpreter=interpreter, budget=left, refuse_small=False, shortlist=0)
        folder = improving.run_path(asked, self._benchmark, self._path)
        with self._follow() as on_event:
            given = Collaborators(
                benchmark=self._benchmark,
                open_model=self._open,
                price=self._price,
                clock=self._clock,
                on_event=on_event,
                stop=self._stop,
            )
            found = await improve(asked, given, folder=folder)
        cell = Cell(label, interpreter, found.state, None, found)
        if found.state == "complete" and found.workflow is None:
            cell = replace(cell, note="the generator wrote no workflow that could be used")
        elif found.state == "complete":
            cell = replace(cell, note=f"{found.best} was chosen; {found.verdict}")
            cell = await self._measured(cell)
        self.cells.append(cell)

    async def _measured(self, cell: Cell) -> Cell:
        search = cell.search
        assert search is not None  # noqa: S101
        assert search.workflow is not None  # noqa: S101
        left = self._left(cell)
        if left is None:
            return replace(cell, state="budget")
        model = self._open(cell.interpreter)
        try:
            with self._watch(f"{cell.interpreter}: {cell.row} on {self._benchmark.name}") as on_progress:
                report = await bench(
                    replace(self._config.bench, interpreter=cell.interpreter, budget=left),
                    search.workflow,
                    self._benchmark,
                    model,
                    tasks=self._tasks,
                    folder=search.folder / MEASURED,
                    open_model=self._open,
                    price=self._price,
                    clock=self._clock,
                    on_progress=on_progress,
                    stop=self._stop,
                )
        finally:
            await model.aclose()
        return replace(cell, state=_state(report), report=report)

    def _left(self, *more: Cell) -> Budget | None:
        cells = [*self.cells, *more]
        spent = total([cell.spend for cell in cells])
        spent = replace(spent, calls=spent.calls + sum(cell.failed_calls for cell in cells))
        return self._config.bench.budget.less(spent, sum(cell.seconds for cell in cells))

    def _halted(self) -> bool:
        return self._stopped() or any(cell.state in ("budget", "interrupted") for cell in self.cells)

    def _stopped(self) -> bool:
        return self._stop is not None and self._stop.is_set()


def _state(report: BenchReport) -> Outcome:
    """As of the run; one that came to its end without a single score for its provider's sake waits for it, too."""
    return "provider" if report.exit_code == 5 else report.state


def _markdown(table: Sequence[Sequence[str]]) -> list[str]:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in table]
    heading, *rows = [f"| {' | '.join(row)} |" for row in cells]
    return [heading, f"|{'---|' * len(table[0])}", *rows]
