"""The report of one workflow on a split. Its rows are on disk where they are many, and are written one by one."""

import json
import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from autoflow import __version__
from autoflow.core.budget import Spend
from autoflow.core.json import SCALARS, Json
from autoflow.core.score import Explains, Score, Scorer
from autoflow.core.task import Task
from autoflow.objective.objective import NOT_RUN
from autoflow.spool import Spool
from autoflow.statistics import Interval, mean_interval
from autoflow.summary import Secondary, Timing, interval_json, interval_text, secondary_json, spend_json

SCHEMA = 1
"""Version of `report.json`."""

NOT_COVERED = "not_covered"
"""Reason of a scorer's `None` where the benchmark has no way to judge a task."""

Outcome = Literal["complete", "budget", "interrupted", "provider"]

Blot = Callable[[str], str]
"""Blots secrets out of a text: `autoflow.runs.ledger.Ledger.blot`."""


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

    seconds: float | None
    """Of its traces, as first recorded, its epochs together; `None` where there is none. Not in `report.json`."""

    def to_json(self) -> dict[str, Json]:
        """As in `report.json`."""
        return {
            "id": self.id,
            "category": self.category,
            "text": self.text,
            "score": self.score,
            "reason": self.reason,
            "answer": _plain(self.answer),
            "details": _plain(self.details),
            "epochs": list(self.epochs),
            **spend_json(self.spend),
        }


@dataclass(frozen=True, slots=True)
class Group:
    """The tasks of one category, or of one group in another grouping."""

    category: str
    interval: Interval | None
    """`None` where none is scored."""

    unscored: int


@dataclass(frozen=True, slots=True)
class Written:
    """What was drafted, where each task had a workflow of its own."""

    generator: str
    drafts: int
    """Finished ones."""

    invalid: int
    """Of them: no workflow, so the task scored 0."""

    samples: int
    """Drafts for each task."""

    best: Interval | None
    """Of the best draft of each task, chosen by its score on that very task: a bound, no result. `None` with one."""

    def to_json(self) -> dict[str, Json]:
        """With the rate of invalid drafts."""
        return {
            "generator": self.generator,
            "drafts": self.drafts,
            "invalid": self.invalid,
            "invalid_rate": self.invalid / self.drafts if self.drafts else None,
            "samples": self.samples,
            "best_of_samples_by_own_score": None if self.best is None else interval_json(self.best),
        }

    def to_text(self) -> list[str]:
        """A line, or two."""
        lines = [f"written for each task by {self.generator}: {self.invalid} of {self.drafts} drafts invalid (score 0)"]
        if self.best is not None:
            lines.append(
                f"k = 1 is the score above, the mean of {self.samples} drafts; best of k = {self.samples} by its own"
                f" score, a bound: {interval_text(self.best)}"
            )
        return lines


@dataclass(frozen=True, slots=True)
class Scores:
    """What the rows come to."""

    interval: Interval | None
    """Over scored tasks; `None` where there are none."""

    groups: tuple[Group, ...]
    """One a category, in the order of the tasks; empty where there are fewer than two."""

    unscored: int
    not_covered: int
    reasons: Mapping[str, int]
    """How many tasks carry which reason, the commonest first."""


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

    rows: Sequence[Row]
    """One a task, each read when it is asked for."""

    scores: Scores
    secondary: tuple[Secondary, ...]
    """What the scorer measures beside the score, over the same tasks."""

    groupings: Mapping[str, tuple[Group, ...]]
    """The scorer's own ways to group the tasks, by name."""

    facts: Mapping[str, Json]
    """What the scorer states beside the scores."""

    answered: tuple[str, ...]
    """The models that answered."""

    spend: Spend
    """What was paid for: each recorded call once, other sittings' included."""

    timing: Timing
    written: Written | None = None
    """`None` where one workflow was run on all tasks."""

    @property
    def interval(self) -> Interval | None:
        """Over scored tasks; `None` where there are none."""
        return self.scores.interval

    @property
    def groups(self) -> tuple[Group, ...]:
        """One a category, in the order of the tasks; empty where there are fewer than two."""
        return self.scores.groups

    @property
    def unscored(self) -> int:
        """Tasks without a score, for whatever reason."""
        return self.scores.unscored

    @property
    def not_covered(self) -> int:
        """Of `unscored`: tasks that the scorer cannot judge."""
        return self.scores.not_covered

    @property
    def reasons(self) -> Mapping[str, int]:
        """How many tasks carry which reason, the commonest first."""
        return self.scores.reasons

    @property
    def exit_code(self) -> int:
        """0 complete, 5 the provider was gone or nothing at all could be scored for it, 6 budget, 130 interrupted."""
        if self.state == "complete":
            return 5 if self.interval is None and self.reasons.get("provider") else 0
        return {"budget": 6, "interrupted": 130, "provider": 5}[self.state]

    def to_json(self) -> dict[str, Any]:
        """The content of `report.json`, all in memory."""
        return {**self._head(), "rows": [row.to_json() for row in self.rows]}

    def _head(self) -> dict[str, Any]:
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
            **interval_json(self.interval),
            "unscored": self.unscored,
            "not_covered": self.not_covered,
            "reasons": dict(self.reasons),
            "categories": [
                {"category": group.category, **interval_json(group.interval), "unscored": group.unscored}
                for group in self.groups
            ],
            "secondary": secondary_json(self.secondary),
            "groupings": {
                name: [
                    {"group": item.category, **interval_json(item.interval), "unscored": item.unscored}
                    for item in found
                ]
                for name, found in self.groupings.items()
            },
            "facts": _plain(self.facts),
            **({} if self.written is None else {"written": self.written.to_json()}),
            "answered": list(self.answered),
            "spend": spend_json(self.spend),
        }

    def json_pieces(self, blot: Blot) -> Iterator[str]:
        """`report.json`, piece by piece. A row has a line of its own: Python encodes without layout in C."""
        # Each piece is blotted while it is JSON by itself, in which a secret can be told in its escaped form too.
        head = blot(_laid_out({**self._head(), "rows": []}))
        yield from _with_items(head, "[]", (blot(_encode(row.to_json())) for row in self.rows))

    def timing_pieces(self, blot: Blot) -> Iterator[str]:
        """`timing.json`, piece by piece."""
        timing = self.timing
        head = {"seconds": timing.seconds, "cached_calls": timing.cached_calls, "failed_calls": timing.failed_calls}
        rows = (f"{_encode(blot(name))}: {_encode(seconds)}" for name, seconds in Seconds(self.rows).pairs())
        yield from _with_items(_laid_out({**head, "rows": {}}), "{}", rows)

    def to_text(self) -> str:
        """The content of `report.txt`, all in memory."""
        return "".join(self.text_pieces(lambda text: text))

    def text_pieces(self, blot: Blot) -> Iterator[str]:
        """`report.txt`, the summary and a line a task, line by line."""
        for line in (*self._summary(), ""):
            yield f"{blot(line)}\n"
        width = max((len(row.id) for row in self.rows), default=0)
        for row in self.rows:
            score = "-" if row.score is None else f"{row.score:.3f}"
            yield blot(f"{row.id:<{width}}  {score:>5}  {row.reason}".rstrip()) + "\n"

    def _summary(self) -> Iterator[str]:
        where = f"{self.config['benchmark']}, split {self.config['split']}"
        yield f"{self.label} on {where}: {interval_text(self.interval)}"
        if self.state != "complete":
            missing = self.reasons.get(NOT_RUN, 0)
            yield f"not complete ({self.state}): {missing} of {len(self.rows)} tasks to do"
        yield from (f"{item.measure}: {interval_text(item.interval)}" for item in self.secondary)
        yield from self.written.to_text() if self.written is not None else ()
        yield f"unscored {self.unscored} of {len(self.rows)}, of which not covered {self.not_covered}"
        if self.reasons:
            yield "reasons: " + ", ".join(f"{reason} {count}" for reason, count in self.reasons.items())
        for group in self.groups:
            yield f"  {group.category or '(none)'}: {interval_text(group.interval)}, unscored {group.unscored}"
        for name, found in self.groupings.items():
            yield f"by {name}:"
            for group in found:
                yield f"  {group.category}: {interval_text(group.interval)}, unscored {group.unscored}"
        yield from (f"{name}: {_stated(value)}" for name, value in self.facts.items())
        spend = self.spend
        yield (
            f"spent: {spend.calls} calls, {spend.input_tokens} tokens in, {spend.output_tokens} out,"
            f" ${spend.usd:.4f}{f' and {spend.unpriced} calls without a price' if spend.unpriced else ''}"
        )
        yield f"model {self.config['interpreter']}, seed {self.config['seed']}, epochs {self.config['epochs']}"
        if self.command:
            yield f"command: {self.command}"
        yield from (f"note: {note}" for note in self.notes)


def collect(rows: Iterable[Row], seed: int) -> tuple[Sequence[Row], Scores]:
    """The rows, put by, and what they come to; `seed` is that of the intervals."""
    kept: Spool[Row] = Spool()
    every = _Some()
    categories: dict[str, _Some] = {}
    reasons: Counter[str] = Counter()
    not_covered = 0
    for row in rows:
        kept.append(row)
        every.add(row.score)
        categories.setdefault(row.category, _Some()).add(row.score)
        if row.reason:
            reasons[row.reason] += 1
        not_covered += row.score is None and row.reason == NOT_COVERED
    groups = (Group(category, some.mean(seed), some.unscored) for category, some in categories.items())
    return kept, Scores(
        interval=every.mean(seed),
        groups=tuple(groups) if len(categories) > 1 else (),
        unscored=every.unscored,
        not_covered=not_covered,
        reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
    )


class Explained:
    """Gathers, task by task, what a scorer has to say of its tasks beside their scores."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer if isinstance(scorer, Explains) else None
        self._groups: dict[str, dict[str, _Some]] = {}
        self._judged: list[tuple[Task, Score]] = []

    def add(self, task: Task, value: float | None, reason: str, details: Mapping[str, Json] | None) -> None:
        """Take in a task with its score over epochs; `details` are `None` where nothing is on record."""
        if self._scorer is None:
            return
        for name, group in self._scorer.groups(task).items():
            self._groups.setdefault(name, {}).setdefault(group, _Some()).add(value)
        if details is not None:
            self._judged.append((task, Score(value, reason, details)))

    def groupings(self, seed: int) -> dict[str, tuple[Group, ...]]:
        """Those with more than one group, each sorted."""
        return {
            name: tuple(Group(group, some.mean(seed), some.unscored) for group, some in sorted(found.items()))
            for name, found in self._groups.items()
            if len(found) > 1
        }

    def facts(self) -> Mapping[str, Json]:
        """What the scorer states."""
        return {} if self._scorer is None else self._scorer.facts(self._judged)


class Seconds(Mapping[str, float]):
    """The seconds of the rows that have some, by their ids. Each look reads all rows."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def pairs(self) -> Iterator[tuple[str, float]]:
        """Ids and seconds, in one pass."""
        return ((row.id, row.seconds) for row in self._rows if row.seconds is not None)

    def __getitem__(self, key: str) -> float:
        for name, seconds in self.pairs():
            if name == key:
                return seconds
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.pairs())

    def __len__(self) -> int:
        return sum(1 for _ in self.pairs())


class _Some:
    """Scores of some tasks."""

    def __init__(self) -> None:
        self._values = array("d")
        self.unscored = 0

    def add(self, value: float | None) -> None:
        if value is None:
            self.unscored += 1
        else:
            self._values.append(value)

    def mean(self, seed: int) -> Interval | None:
        return mean_interval(self._values, seed=seed) if self._values else None


def _with_items(document: str, empty: str, items: Iterable[str]) -> Iterator[str]:
    """The JSON `document`, whose last value is the empty list or object, with items in it, each on its line."""
    before, _, after = document.rpartition(empty)
    yield f"{before}{empty[0]}"
    end = ""
    for item in items:
        yield f"{',' if end else ''}\n  {item}"
        end = "\n "
    yield f"{end}{empty[1]}{after}\n"


def _plain(value: Json) -> Json:
    # A model's JSON may hold NaN, which the ledger keeps but no strict reader of the report would take.
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if type(value) in SCALARS:
        return value
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _stated(value: Json) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_stated(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_stated(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value)


# ASCII, since a model's text can hold lone surrogates that no file stores as UTF-8.
_laid_out = json.JSONEncoder(allow_nan=False, indent=1).encode
_encode = json.JSONEncoder(allow_nan=False).encode
