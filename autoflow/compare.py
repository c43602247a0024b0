"""Compares two recorded bench runs, task by task. Reads their reports alone: no model call, no ledger, no lock."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autoflow.core.json import Json
from autoflow.errors import RunError, UsageError
from autoflow.runs.folder import Difference, differences
from autoflow.statistics import Comparison, Interval, mean_interval, paired, verdict

REPORT = "report.json"

_SCHEMA = 1
# The version of `bench`'s report that is read here; a newer one may mean other things by the same keys.

_MUST_AGREE = ("benchmark", "split", "scorer", "data")
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Scored:
    """A task of one run."""

    text: str
    score: float | None
    """Averaged over epochs."""

    reason: str
    """Why it failed or has no score; empty where all is well."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a finished bench run reported."""

    folder: Path
    label: str
    """What the number is called."""

    config: Mapping[str, Json]
    """With the models that answered and the version of autoflow."""

    tasks: Mapping[str, Scored]
    """By id, in the report's order."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A task scored in both runs."""

    id: str
    text: str
    a: float
    b: float
    reason_a: str
    reason_b: str

    @property
    def difference(self) -> float:
        """B less A."""
        return self.b - self.a


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The ids of the tasks that could not be paired."""

    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    unscored: tuple[str, ...]
    """In both runs, but without a score in at least one."""

    def __len__(self) -> int:
        return len(self.only_a) + len(self.only_b) + len(self.unscored)


@dataclass(frozen=True, slots=True)
class CompareReport:
    """Run B against run A on the tasks scored in both."""

    a: Recorded
    b: Recorded
    mean_a: Interval
    """Over the paired tasks, as `mean_b`."""

    mean_b: Interval
    comparison: Comparison
    """Of B less A."""

    pairs: tuple[Pair, ...]
    """In A's order."""

    left_out: LeftOut
    differs: tuple[Difference, ...]
    """How the runs differ; `stored` is A's value, `asked` is B's."""

    @property
    def worse(self) -> bool:
        """Whether B is significantly worse than A."""
        return self.comparison.significant and self.comparison.difference < 0

    @property
    def needed(self) -> int | None:
        """Tasks that would show the observed difference with power 0.8; `None` where there is no difference.

        More than were compared, if these did not show it.
        """
        needed = self.comparison.needed
        return needed if needed is None or self.comparison.significant else max(needed, self.comparison.n + 1)

    @property
    def differing(self) -> list[Pair]:
        """The tasks on which the runs differ, the largest difference first."""
        return sorted((pair for pair in self.pairs if pair.difference), key=lambda pair: -abs(pair.difference))

    def to_json(self) -> dict[str, Any]:
        """All of it, with every task on which the runs differ."""
        comparison = self.comparison
        return {
            "score": self.a.label,
            **{key: self.a.config[key] for key in ("benchmark", "split")},
            "a": {"folder": str(self.a.folder), **asdict(self.mean_a)},
            "b": {"folder": str(self.b.folder), **asdict(self.mean_b)},
            "difference": {"mean": comparison.difference, "low": comparison.low, "high": comparison.high},
            "test": comparison.test,
            "p": comparison.p_value,
            "n": comparison.n,
            "significant": comparison.significant,
            "worse": self.worse,
            "verdict": verdict(comparison),
            "needed": self.needed,
            "left_out": asdict(self.left_out),
            "differs": [{"key": item.key, "a": item.stored, "b": item.asked} for item in self.differs],
            "tasks": [{**asdict(pair), "difference": pair.difference} for pair in self.differing],
        }

    def to_text(self) -> str:
        """The summary, and the tasks that differ most."""
        comparison, out = self.comparison, self.left_out
        lines = [
            f"{self.a.label} on {self.a.config['benchmark']}, split {self.a.config['split']}",
            f"A  {_said(self.mean_a)}  {self.a.folder}",
            f"B  {_said(self.mean_b)}  {self.b.folder}",
            "",
            f"B against A: {verdict(comparison)}",
            f"difference B - A: {comparison.difference:+.3f} [{comparison.low:+.3f}, {comparison.high:+.3f}]",
            f"test: {comparison.test}, p = {comparison.p_value:.4g}, n = {comparison.n} paired tasks,"
            f" of which {comparison.differing} differ",
            "sample size: "
            + (
                "none shows a difference of 0"
                if self.needed is None
                else f"about {self.needed:,} tasks show a difference of this size with power 0.8"
            ),
            f"left out: {len(out)}"
            f" ({len(out.only_a)} only in A, {len(out.only_b)} only in B, {len(out.unscored)} without a score in one)",
        ]
        lines += [
            f"differs: {item.key}: {_short(item.stored)} in A, {_short(item.asked)} in B" for item in self.differs
        ]
        if not self.differs:
            lines.append("differs: nothing in their configurations")
        found = self.differing
        if found:
            lines += ["", "tasks that differ most:"]
            width = max(len(pair.id) for pair in found[:_SHOWN])
            lines += [
                f"  {pair.id:<{width}}  A {pair.a:.3f}  B {pair.b:.3f}  {pair.difference:+.3f}  {_line(pair)}".rstrip()
                for pair in found[:_SHOWN]
            ]
            if len(found) > _SHOWN:
                lines.append(f"  and {len(found) - _SHOWN} more")
        return "\n".join(lines) + "\n"


def compare(a: Path, b: Path, *, seed: int = 0) -> CompareReport:
    """Compare the finished bench run in folder `b` with that in `a`, on the tasks scored in both.

    A task counts once, with its mean over epochs. `seed` is that of the intervals and of the permutation test.

    Raises:
        RunError: If a folder holds no report of a finished bench run.
        UsageError: If the runs' benchmarks, splits, scorers or data differ, or no task is scored in both.
    """
    first, second = read(a), read(b)
    _check(first, second)
    common = [name for name in first.tasks if name in second.tasks]
    pairs: list[Pair] = []
    unscored: list[str] = []
    for name in common:
        x, y = first.tasks[name], second.tasks[name]
        if x.score is None or y.score is None:
            unscored.append(name)
        else:
            pairs.append(Pair(name, x.text, x.score, y.score, x.reason, y.reason))
    left_out = LeftOut(
        tuple(name for name in first.tasks if name not in second.tasks),
        tuple(name for name in second.tasks if name not in first.tasks),
        tuple(unscored),
    )
    if not pairs:
        raise UsageError(
            f"no task is scored in both {a} and {b}: {len(left_out.only_a)} are only in the first,"
            f" {len(left_out.only_b)} only in the second, {len(unscored)} without a score in one",
            hint="the runs must share tasks: see --tasks and --limit of bench",
        )
    scores_a, scores_b = [pair.a for pair in pairs], [pair.b for pair in pairs]
    return CompareReport(
        a=first,
        b=second,
        mean_a=mean_interval(scores_a, seed=seed),
        mean_b=mean_interval(scores_b, seed=seed),
        comparison=paired(scores_b, scores_a, seed=seed),
        pairs=tuple(pairs),
        left_out=left_out,
        differs=_differs(first.config, second.config),
    )


def read(folder: Path) -> Recorded:
    """The report of the finished bench run in `folder`.

    Raises:
        RunError: If there is none, the run did not complete, or the report cannot be read.
    """
    file = folder / REPORT
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(
            f"{folder} holds no bench report: there is no {REPORT}", hint="see: autoflow runs list"
        ) from error
    except (OSError, ValueError) as error:
        raise RunError(f"{file}: cannot be read: {error}") from error
    if not isinstance(report, Mapping) or report.get("kind") != "bench":
        kind = report.get("kind") if isinstance(report, Mapping) else None
        raise RunError(f"{folder} holds no bench report, but one of kind {kind!r}", hint="name runs of autoflow bench")
    if report.get("schema") != _SCHEMA:
        raise RunError(f"{file}: is of version {report.get('schema')!r}; this autoflow reads version {_SCHEMA}")
    if report.get("state") != "complete":
        command = report.get("command")
        raise RunError(
            f"{folder}: the run is not finished ({report.get('state')})",
            hint=f"finish it: {command}" if command else "finish it by the command that began it",
        )
    try:
        config = {**report["config"], "answered": report["answered"], "autoflow": report["autoflow"]}
        missing = [key for key in _MUST_AGREE if key not in config]
        if missing:
            raise ValueError(f"its configuration has no {missing[0]}")
        return Recorded(folder, str(report["score"]), config, _tasks(report["rows"]))
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{file}: is damaged: {type(error).__name__}: {error}") from error


def _tasks(rows: list[dict[str, Any]]) -> dict[str, Scored]:
    tasks: dict[str, Scored] = {}
    for row in rows:
        name, score = str(row["id"]), row["score"]
        if name in tasks:
            raise ValueError(f"task {name} stands in it twice")
        if score is not None and (isinstance(score, bool) or not 0 <= score <= 1):
            raise ValueError(f"task {name} has the score {score!r}")
        tasks[name] = Scored(str(row["text"]), None if score is None else float(score), str(row["reason"]))
    return tasks


def _check(a: Recorded, b: Recorded) -> None:
    named = differences({key: a.config[key] for key in _MUST_AGREE}, {key: b.config[key] for key in _MUST_AGREE})
    if not named:
        return
    # The hash of the data covers the benchmark's name and its scorer: it says something new only by itself.
    told = [item for item in named if item.key != "data"]
    said = [f"{item.key}: {json.dumps(item.stored)} and {json.dumps(item.asked)}" for item in told]
    if not told:
        said = [f"data: the tasks, options or code of {a.config['benchmark']} are not the same"]
    raise UsageError(
        f"{a.folder} and {b.folder} did not measure the same thing:\n  " + "\n  ".join(said),
        hint="run both on the same split of the same benchmark, with the same scorer",
    )


def _differs(a: Mapping[str, Json], b: Mapping[str, Json]) -> tuple[Difference, ...]:
    found = differences(a, b)
    # The seed of the settings is the run's own.
    return tuple(item for item in found if item.key != "settings.seed")


def _said(interval: Interval) -> str:
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _short(value: Json) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _line(pair: Pair) -> str:
    text = " ".join(pair.text.split())
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    reasons = [f"{name}: {reason}" for name, reason in (("A", pair.reason_a), ("B", pair.reason_b)) if reason]
    return f"{shown} ({', '.join(reasons)})" if reasons else shown
