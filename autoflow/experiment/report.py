"""What the seeds of an experiment come to together, beside published numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autoflow import __version__
from autoflow.bench import Outcome
from autoflow.bench_report import BenchReport
from autoflow.core.budget import Spend
from autoflow.core.json import Json
from autoflow.experiment.config import Published
from autoflow.lineup import comparison_json, dollars, said
from autoflow.matrix import MatrixReport
from autoflow.statistics import Comparison, Interval, holm, mean_interval, paired
from autoflow.summary import aligned, interval_cell, interval_json, spend_json, total

SCHEMA = 1
"""Version of `report.json`."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """One row under one interpreter, over the seeds."""

    row: str
    interpreter: str
    means: tuple[float | None, ...]
    """One a seed; `None` where that seed has no score."""

    interval: Interval | None
    """Over tasks, each averaged over its seeds first; `None` where no task is scored."""

    tasks: Mapping[str, float]
    """A task's mean over the seeds that have a score for it."""

    unscored: int
    """Of tasks times seeds."""

    against: Comparison | None = None
    """With the first row under the same interpreter, task by task; `None` for the first itself."""

    p_holm: float | None = None
    """Adjusted for the interpreter's comparisons."""

    def to_json(self) -> dict[str, Any]:
        """As in `report.json`."""
        return {
            "row": self.row,
            "interpreter": self.interpreter,
            "seed_means": list(self.means),
            **interval_json(self.interval),
            "unscored": self.unscored,
            "tasks": dict(self.tasks),
            "against_first": comparison_json(self.against, self.p_holm),
        }


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """The pooled table."""

    folder: Path
    state: Outcome
    command: str
    config: Mapping[str, Json]
    seeds: tuple[int, ...]
    """Those that were begun."""

    matrices: tuple[MatrixReport, ...]
    """One a seed begun, in order."""

    cells: tuple[Pooled, ...]
    published: Published | None

    @property
    def exit_code(self) -> int:
        """0 complete, 5 a provider was gone, 6 budget, 130 interrupted."""
        return {"complete": 0, "budget": 6, "interrupted": 130, "provider": 5}[self.state]

    @property
    def spend(self) -> Spend:
        """Of all seeds."""
        return total([matrix.spend for matrix in self.matrices])

    def to_json(self) -> dict[str, Any]:
        """The content of `report.json`."""
        return {
            "schema": SCHEMA,
            "kind": "experiment",
            "autoflow": __version__,
            "state": self.state,
            "command": self.command,
            "config": dict(self.config),
            "seeds": list(self.seeds),
            "score": self.matrices[0].label if self.matrices else None,
            "cells": [cell.to_json() for cell in self.cells],
            "published": None if self.published is None else self.published.model_dump(mode="json"),
            "spend": spend_json(self.spend),
        }

    def to_text(self) -> str:
        """The content of `report.txt`."""
        lines = [self._title(), "", *aligned(self._table()), *self._published(aligned)]
        return "\n".join([*lines, "", *self._closing()]) + "\n"

    def to_markdown(self) -> str:
        """The content of `report.md`."""
        lines = [self._title(), "", *_markdown(self._table()), *self._published(_markdown)]
        return "\n".join([*lines, "", *(f"- {line}" for line in self._closing())]) + "\n"

    def _title(self) -> str:
        if not self.matrices:
            return "nothing was begun"
        first = self.matrices[0]
        return (
            f"{first.label} on {first.config['benchmark']}, split {first.config['split']}, "
            f"seeds {', '.join(map(str, self.seeds))}: mean over tasks of each task's mean over seeds [95 % interval "
            "over tasks]"
        )

    def _table(self) -> list[list[str]]:
        heading = ["row", "interpreter", "mean", "n", "each seed", "unscored", "against the first row"]
        return [heading, *(self._cell(cell) for cell in self.cells)]

    def _cell(self, cell: Pooled) -> list[str]:
        compared = sum(item.against is not None for item in self.cells if item.interpreter == cell.interpreter)
        return [
            cell.row,
            cell.interpreter,
            interval_cell(cell.interval),
            "0" if cell.interval is None else str(cell.interval.n),
            ", ".join("-" if mean is None else f"{mean:.3f}" for mean in cell.means),
            str(cell.unscored),
            "-" if cell.against is None else said(cell.against, cell.p_holm, compared),
        ]

    def _published(self, laid_out: Any) -> list[str]:
        if self.published is None:
            return []
        rows = [[item.row, item.interpreter, f"{item.score:.4f}"] for item in self.published.rows]
        return [
            "",
            f"Published: {self.published.source}",
            "",
            *laid_out([["row", "interpreter", "score"], *rows]),
            "",
            f"Comparable: {self.published.comparable}",
        ]

    def _closing(self) -> list[str]:
        lines = [] if self.state == "complete" else [f"not complete ({self.state}); the same command resumes"]
        for seed, matrix in zip(self.seeds, self.matrices, strict=True):
            lines += [f"seed {seed}, {cell.row}, {cell.interpreter}: {cell.note}" for cell in matrix.cells if cell.note]
        spend = self.spend
        seconds = sum(cell.seconds for matrix in self.matrices for cell in matrix.cells)
        lines.append(f"spent: {spend.calls} calls, {spend.tokens} tokens, ${dollars(spend)}, {seconds:.0f} seconds")
        if self.command:
            lines.append(f"command: {self.command}")
        notes = self.matrices[0].notes if self.matrices else ()
        return [*lines, *(f"note: {note}" for note in notes)]


def pooled(matrices: Sequence[MatrixReport]) -> tuple[Pooled, ...]:
    """Every row under every interpreter, over the matrices; the intervals are drawn with the first one's seed."""
    if not matrices:
        return ()
    first = matrices[0]
    seed = int(str(first.config["seed"]))
    found: list[Pooled] = []
    for interpreter in first.interpreters:
        # By place, not by label: a label that counts samples may differ from seed to seed.
        columns = [[cell for cell in matrix.cells if cell.interpreter == interpreter] for matrix in matrices]
        made = [_pool(place, columns, seed) for place in range(len(columns[0]))]
        found += _compared(made, seed)
    return tuple(found)


def _pool(place: int, columns: Sequence[Sequence[Any]], seed: int) -> Pooled:
    cells = [column[place] for column in columns]
    reports: list[BenchReport | None] = [cell.report for cell in cells]
    scores: dict[str, list[float]] = {}
    unscored = 0
    for report in reports:
        for row in () if report is None else report.rows:
            unscored += row.score is None
            if row.score is not None:
                scores.setdefault(row.id, []).append(row.score)
    tasks = {task: math.fsum(values) / len(values) for task, values in scores.items()}
    means = tuple(
        None if report is None or report.interval is None else float(report.interval.mean) for report in reports
    )
    interval = mean_interval(list(tasks.values()), seed=seed) if tasks else None
    return Pooled(cells[0].row, cells[0].interpreter, means, interval, tasks, unscored)


def _compared(cells: Sequence[Pooled], seed: int) -> list[Pooled]:
    first = cells[0]
    found: dict[int, Comparison] = {}
    for place, cell in enumerate(cells[1:], 1):
        common = [task for task in first.tasks if task in cell.tasks]
        if common:
            theirs, ours = [cell.tasks[task] for task in common], [first.tasks[task] for task in common]
            found[place] = paired(theirs, ours, seed=seed)
    adjusted = dict(zip(found, holm([item.p_value for item in found.values()]), strict=True))
    return [
        replace(cell, against=found[place], p_holm=adjusted[place]) if place in found else cell
        for place, cell in enumerate(cells)
    ]


def _markdown(table: Sequence[Sequence[str]]) -> list[str]:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in table]
    heading, *rows = [f"| {' | '.join(row)} |" for row in cells]
    return [heading, f"|{'---|' * len(table[0])}", *rows]
