"""The report of an improving run: its rows, and how they read as JSON and as text."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autoflow import __version__
from autoflow.bench import Outcome
from autoflow.core.budget import Spend
from autoflow.core.json import Json
from autoflow.core.strategy import Dropped
from autoflow.core.workflow import Workflow
from autoflow.improve.front import FrontPoint
from autoflow.improve.paraphrases import Wording
from autoflow.improve.paraphrases import lines as wordings_text
from autoflow.improve.selection import HAND_WRITTEN
from autoflow.language.dump import dump
from autoflow.statistics import Comparison, Interval, p_text, verdict
from autoflow.summary import (
    Secondary,
    Timing,
    aligned,
    count,
    interval_cell,
    interval_json,
    interval_text,
    secondary_json,
    spend_json,
    spend_text,
)

SCHEMA = 1
"""Version of `report.json`."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A workflow's scores on one split."""

    interval: Interval | None
    """`None` where no task is scored."""

    unscored: int


@dataclass(frozen=True, slots=True)
class Row:
    """One workflow, or one draft that was none, in the report."""

    id: str
    round: int
    valid: bool
    reason: str
    """Why it was proposed."""

    parent: str | None
    fingerprint: str | None
    duplicate_of: str | None
    """The earlier trial with the same workflow, whose scores these are."""

    errors: tuple[str, ...]
    repairs: int
    train: Measured | None
    validation: Measured | None
    dropped: Dropped | None
    """Set where validation ended early because the candidate was beaten; `against` is then `None`."""

    secondary: tuple[Secondary, ...]
    """On validation: what the scorer measures beside the score."""

    against: Comparison | None
    """On validation, with the hand-written workflow."""

    p_holm: float | None
    """The comparison's p-value, adjusted for the number of candidates."""

    spend: Spend
    """Of running it on train and validation, whether asked or read from the record."""


@dataclass(frozen=True, slots=True)
class TestRow:
    """One workflow of the frozen shortlist on the test split."""

    __test__ = False

    id: str
    measured: Measured
    secondary: tuple[Secondary, ...]
    against: Comparison | None
    """With the hand-written workflow; `None` for itself, and where there is none."""

    p_holm: float | None
    spend: Spend


@dataclass(frozen=True, slots=True)
class ReferenceRow:
    """A reference method on the test split."""

    id: str
    """With its number of samples: "cot-sc:3"."""

    note: str
    """How that number was chosen; empty where it was not."""

    measured: Measured
    secondary: tuple[Secondary, ...]
    against: Comparison | None
    """Of the workflow that is kept with this method: above 0 where the workflow is better."""

    p_holm: float | None
    """Adjusted for the number of methods."""

    spend: Spend


@dataclass(frozen=True, slots=True)
class ImproveReport:
    """What came of a run."""

    folder: Path
    state: Outcome
    stopped: str
    """Why the run stopped before its end; empty where it is complete."""

    config: Mapping[str, Json]
    command: str
    notes: tuple[str, ...]
    label: str
    """What the number is called: the scorer's label."""

    rows: tuple[Row, ...]
    """The hand-written workflow first, then the drafts in order."""

    front: tuple[FrontPoint, ...]
    """The workflows that no other beats in both score and cost on validation, the best first."""

    wordings: tuple[Wording, ...]
    """The task's description as written and in other words, with what the generator wrote; empty: not asked for."""

    best: str | None
    """Id of the workflow in `best.yaml`; `None` while none is chosen."""

    workflow: Workflow | None
    test: tuple[TestRow, ...]
    """The frozen shortlist; empty where the test split was not read."""

    references: tuple[ReferenceRow, ...]
    """What the workflow must beat to be worth its calls; empty where none was run."""

    supported: bool
    """Whether a candidate beat the hand-written workflow by a margin that the sample supports."""

    verdict: str
    """That in a sentence or two."""

    generator: Spend
    """What was paid for its calls: each recorded call once, other sittings' included."""

    interpreter: Spend
    answered: tuple[str, ...]
    """The models that answered."""

    timing: Timing

    @property
    def drafts(self) -> int:
        """Drafts proposed."""
        return sum(row.round > 0 for row in self.rows)

    @property
    def invalid(self) -> int:
        """Drafts that could not be used, also after their repairs."""
        return sum(not row.valid for row in self.rows)

    @property
    def dropped(self) -> int:
        """Workflows that were beaten before they had seen all of validation."""
        return sum(row.dropped is not None and row.duplicate_of is None for row in self.rows)

    @property
    def exit_code(self) -> int:
        """0 complete, 5 the provider was gone, 6 budget reached, 130 interrupted; all but 0 resume."""
        return {"complete": 0, "budget": 6, "interrupted": 130, "provider": 5}[self.state]

    def to_json(self) -> dict[str, Any]:
        """The content of `report.json`: equal for equal work, however often it was interrupted."""
        return {
            "schema": SCHEMA,
            "kind": "improve",
            "autoflow": __version__,
            "state": self.state,
            "stopped": self.stopped,
            "command": self.command,
            "config": dict(self.config),
            "notes": list(self.notes),
            "score": self.label,
            "verdict": self.verdict,
            "supported": self.supported,
            "best": self.best,
            "workflow": None if self.workflow is None else dump(self.workflow),
            "drafts": self.drafts,
            "invalid_drafts": self.invalid,
            "dropped": self.dropped,
            "rows": [_row_json(row) for row in self.rows],
            "front": [point.to_json() for point in self.front],
            "wordings": [wording.to_json() for wording in self.wordings],
            "test": [
                {
                    "id": row.id,
                    **_measured_json(row.measured),
                    "secondary": secondary_json(row.secondary),
                    "against_hand_written": _comparison_json(row.against, row.p_holm),
                    **spend_json(row.spend),
                }
                for row in self.test
            ],
            "references": [
                {
                    "id": row.id,
                    "note": row.note,
                    **_measured_json(row.measured),
                    "secondary": secondary_json(row.secondary),
                    "best_against_it": _comparison_json(row.against, row.p_holm),
                    **spend_json(row.spend),
                }
                for row in self.references
            ],
            "spend": {"generator": spend_json(self.generator), "interpreter": spend_json(self.interpreter)},
            "answered": list(self.answered),
        }

    def table(self) -> list[list[str]]:
        """The rows as text, the heading first; `*` marks the best."""
        measures = [item.measure for item in self.rows[0].secondary] if self.rows else []
        heading = ["workflow", "train", "validation", *measures, "n", "unscored", "calls", "tokens", "task seconds"]
        return [[*heading, "note"], *(self._cells(row) for row in self.rows)]

    def _cells(self, row: Row) -> list[str]:
        validation = row.validation
        seconds = self.timing.rows.get(row.id)
        return [
            f"{row.id}{' *' if row.id == self.best else ''}",
            _mean_cell(row.train),
            interval_cell(validation.interval if validation else None),
            *("-" if item.interval is None else f"{item.interval.mean:.3f}" for item in row.secondary),
            "-" if validation is None or validation.interval is None else str(validation.interval.n),
            _unscored_cell(row),
            str(row.spend.calls) if row.valid else "-",
            str(row.spend.tokens) if row.valid else "-",
            "-" if seconds is None else f"{seconds:.1f}",
            _note(row),
        ]

    def _reference(self, row: ReferenceRow) -> str:
        unscored = f", unscored {row.measured.unscored}" if row.measured.unscored else ""
        against = "no task is scored for both" if row.against is None else verdict(row.against)
        if row.p_holm is not None and len(self.references) > 1:
            against += f" (p = {row.p_holm:.3f} adjusted for {len(self.references)} methods)"
        said = f"  {row.id}: {interval_text(row.measured.interval)}{unscored}, {count(row.spend.calls, 'call')}"
        return f"{said}; {self.best} against it: {against}" + (f"; {row.note}" if row.note else "")

    def to_text(self, width: int | None = None) -> str:
        """The content of `report.txt`; with the columns of a terminal, as it fits there."""
        config = self.config
        lines = [
            f"{self.label} on {config['benchmark']}, strategy {config['strategy']}, seed {config['seed']}, "
            f"epochs {config['epochs']}",
            f"generator {config['generator']}, interpreter {config['interpreter']}",
            "",
            *aligned(self.table(), width),
            "",
        ]
        if self.state != "complete":
            lines += [f"not complete ({self.state}): {self.stopped}; the same command resumes", ""]
        if self.front:
            lines.append("score and cost on validation, of what no other workflow beats in both:")
            lines += [f"  {point.line()}" for point in self.front]
            lines.append("")
        if self.wordings:
            lines += [*wordings_text(self.wordings), ""]
        if self.test:
            lines.append("test split, read once for the frozen shortlist:")
            for row in self.test:
                against = "" if row.against is None else f"; against {HAND_WRITTEN}: {verdict(row.against)}"
                unscored = f", unscored {row.measured.unscored}" if row.measured.unscored else ""
                beside = "".join(f"; {item.measure} {interval_cell(item.interval)}" for item in row.secondary)
                lines.append(f"  {row.id}: {interval_text(row.measured.interval)}{unscored}{beside}{against}")
            lines.append("")
        if self.references:
            lines.append("reference methods on the same tasks:")
            lines += [self._reference(row) for row in self.references]
            lines.append("")
        lines.append(self.verdict)
        if self.best is not None:
            lines.append(f"best workflow: {self.best}, in {self.folder / 'best.yaml'}")
        lines.append(f"drafts: {self.drafts}, of which invalid {self.invalid}")
        if self.dropped:
            lines.append(
                f"racing dropped {count(self.dropped, 'candidate')} as beaten; such a mean is over the tasks seen until"
                " then, and compares with no other"
            )
        lines += [
            f"generator spent {spend_text(self.generator)}",
            f"interpreter spent {spend_text(self.interpreter)}",
            f"{self.timing.seconds:.0f} s in all",
        ]
        if self.command:
            lines.append(f"command: {self.command}")
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines) + "\n"


def dropped_text(dropped: Dropped) -> str:
    """After how many tasks, and why."""
    if dropped.p_value is None:
        return f"dropped after n = {dropped.after}: could not catch up with {dropped.by}"
    return f"dropped after n = {dropped.after}, {p_text(dropped.p_value)} against {dropped.by}"


def _row_json(row: Row) -> dict[str, Any]:
    return {
        "id": row.id,
        "round": row.round,
        "valid": row.valid,
        "reason": row.reason,
        "parent": row.parent,
        "fingerprint": row.fingerprint,
        "duplicate_of": row.duplicate_of,
        "errors": list(row.errors),
        "repairs": row.repairs,
        "train": None if row.train is None else _measured_json(row.train),
        "validation": None if row.validation is None else _measured_json(row.validation),
        "secondary": secondary_json(row.secondary),
        "dropped": None if row.dropped is None else asdict(row.dropped),
        "against_hand_written": _comparison_json(row.against, row.p_holm),
        **spend_json(row.spend),
    }


def _measured_json(measured: Measured) -> dict[str, Json]:
    return {**interval_json(measured.interval), "unscored": measured.unscored}


def _comparison_json(comparison: Comparison | None, p_holm: float | None) -> dict[str, Json] | None:
    return None if comparison is None else {**asdict(comparison), "p_holm": p_holm}


def _unscored_cell(row: Row) -> str:
    scored = [item.unscored for item in (row.train, row.validation) if item is not None]
    return str(sum(scored)) if scored else "-"


def _mean_cell(measured: Measured | None) -> str:
    return "-" if measured is None or measured.interval is None else f"{measured.interval.mean:.3f}"


def _note(row: Row) -> str:
    if not row.valid:
        first = row.errors[0] if row.errors else "no workflow"
        return f"invalid after {count(row.repairs, 'repair')}: {first if len(first) <= 60 else first[:57] + '...'}"
    if row.duplicate_of is not None:
        return f"the same as {row.duplicate_of}"
    if row.validation is None:
        return "not run on validation"
    if row.dropped is not None:
        return dropped_text(row.dropped)
    return "" if row.against is None else f"{row.against.difference:+.3f}, p = {row.p_holm:.3f} (Holm)"
