"""Reads a run folder for a report: its candidates, their results task by task, and the trace of each."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

from autoflow.core.json import Json
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Workflow
from autoflow.errors import AutoflowError, RunError
from autoflow.language import document
from autoflow.runs.folder import RunInfo, info
from autoflow.runs.ledger import Ledger, Result
from autoflow.statistics import Comparison, Interval, mean_interval, verdict

TRAIN, VALIDATION, TEST = "train", "validation", "test"

PICTURE_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
"""Of files that are shown, with their media types."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A workflow of the run, or a draft that was none."""

    id: str
    round: int
    parent: str | None
    reason: str
    """Why it was proposed."""

    workflow: Workflow | None
    """`None` for an invalid draft."""

    text: str
    """The draft as it was written."""

    errors: tuple[str, ...]
    duplicate_of: str | None
    """The earlier candidate with the same workflow, whose results these are."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the results of a candidate on a split are recorded."""

    candidate: Candidate
    split: str
    ledger: Ledger

    def results(self) -> Iterator[Result]:
        """By task and epoch."""
        assert self.candidate.workflow is not None  # noqa: S101  a source is of a workflow
        return self.ledger.results(self.candidate.workflow.fingerprint(), self.split)

    def trace(self, result: Result) -> Trace | None:
        """The trace behind a result."""
        return self.ledger.trace(result.place)

    def interval(self, seed: int) -> Interval | None:
        """Of the mean over tasks, epochs averaged; `None` where nothing is scored."""
        values = [value for value in self.by_task().values() if value is not None]
        return mean_interval(values, seed=seed) if values else None

    def by_task(self) -> dict[str, float | None]:
        """Score of each task, averaged over its epochs; `None` where one is missing a score."""
        draws: dict[str, list[float | None]] = {}
        for result in self.results():
            draws.setdefault(result.place.task, []).append(result.score.value)
        return {task: _mean(values) for task, values in draws.items()}


class Evidence:
    """A run, opened for reading, also while another process works on it. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        """
        Raises:
            RunError: If it is no run folder, damaged, or of a kind that has no results of its own.
        """
        self.folder = folder
        self.info: RunInfo = info(folder)
        self.config: Mapping[str, Any] = self.info.config or {}
        self.kind = str(self.config.get("kind"))
        self.report = read_json(folder / "report.json")
        """The run's own report; `None` while it has none."""

        self.gap: str | None = None
        """Why `texts` lacks some, once they were asked for."""

        self._stack = ExitStack()
        self.ledger = self._stack.enter_context(Ledger.reading(folder / "ledger.sqlite"))
        if self.kind not in ("bench", "improve"):
            self._stack.close()
            hint = "name the folder of one of its cells" if self.kind == "matrix" else None
            raise RunError(f"{folder}: a run of autoflow {self.kind} records no task by task results", hint=hint)
        self.candidates: tuple[Candidate, ...] = tuple(self._trials() if self.kind == "improve" else self._single())
        self._tests: dict[str, Ledger] = {}

    def __enter__(self) -> "Evidence":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def seed(self) -> int:
        """Of the run, and so of its intervals."""
        return int(self.config.get("seed", 0))

    @property
    def best(self) -> str | None:
        """Id of the candidate that validation chose; `None` while none is chosen."""
        return None if self.report is None else self.report.get("best")

    @property
    def label(self) -> str:
        """What the number is called: the scorer's label."""
        return str((self.report or self.config).get("score") or self.config.get("scorer", "score"))

    def sources(self) -> list[Source]:
        """Every candidate and split with results, in the order of the candidates."""
        found = []
        for candidate in self.candidates:
            if candidate.workflow is None or candidate.duplicate_of is not None:
                continue
            splits = (TRAIN, VALIDATION) if self.kind == "improve" else (str(self.config["split"]),)
            found += [Source(candidate, split, self.ledger) for split in splits]
            test = self._test(candidate.id)
            if test is not None:
                found.append(Source(candidate, TEST, test))
        return [source for source in found if next(source.results(), None) is not None]

    def texts(self) -> dict[str, tuple[str, str]]:
        """Task id -> its text and category: as reports of the run name them, else as the benchmark has them, if it is
        the one that the run was on; `gap` says why there is none."""
        reports = [self.report, *(read_json(path) for path in sorted((self.folder / "test").glob("*/report.json")))]
        found: dict[str, tuple[str, str]] = {}
        for report in reports:
            for row in (report or {}).get("rows", ()):
                if "text" in row:
                    found[row["id"]] = (row["text"], row.get("category", ""))
        if self.kind == "improve":
            for task in self._learned_from():
                found.setdefault(task.id, (task.text, task.category))
        return found

    def _learned_from(self) -> Sequence[Task]:
        """The train and validation tasks, which an improving run's own report leaves out."""
        from autoflow.benchmarks import loader

        words = shlex.split(str(self.config.get("command") or ""))
        # The configuration has the benchmark's name; one of the user's own is found by the path in the command.
        places = [str(self.config.get("benchmark")), *(word for word in words[2:] if Path(word).exists())]
        said: list[str] = []
        for place in places:
            try:
                benchmark = loader.load(place, options=self.config.get("options") or {})
            except AutoflowError as error:
                said.append(error.message)
                continue
            if benchmark.fingerprint == self.config.get("data"):
                return (*benchmark.train, *benchmark.validation)
            said.append(f"{place} has other tasks now than when the run was made")
        self.gap = f"the texts of train and validation tasks are not shown: {said[0]}"
        return ()

    def _test(self, candidate: str) -> Ledger | None:
        path = self.folder / "test" / candidate / "ledger.sqlite"
        if self.kind != "improve" or not path.is_file():
            return None
        if candidate not in self._tests:
            self._tests[candidate] = self._stack.enter_context(Ledger.reading(path))
        return self._tests[candidate]

    def _trials(self) -> Iterator[Candidate]:
        first: dict[str, str] = {}
        for trial in self.ledger.trials():
            proposal = trial.proposal
            same = None if proposal.workflow is None else first.setdefault(proposal.workflow.fingerprint(), trial.id)
            yield Candidate(
                trial.id,
                trial.round,
                proposal.parent,
                proposal.reason,
                proposal.workflow,
                proposal.text,
                proposal.errors,
                None if same == trial.id else same,
            )

    def _single(self) -> Iterator[Candidate]:
        stated = self.config.get("workflow") or {}
        path = self.folder / "workflows" / f"{str(stated.get('fingerprint'))[:12]}.yaml"
        loaded = document.load(path)
        yield Candidate(loaded.workflow.name, 0, None, "", loaded.workflow, loaded.text, (), None)


def pictures(folder: Path) -> Sequence[Path]:
    """Pictures that the run left, for image tasks; its own report drawn as one is not among them."""
    found = (path for path in folder.rglob("*") if path.suffix in PICTURE_TYPES and path.is_file())
    return sorted(path for path in found if path != folder / "report.png")


def against(comparison: Mapping[str, Any] | None, methods: int = 1) -> str:
    """A comparison of a run's own report as a sentence; empty where there is none."""
    if comparison is None:
        return ""
    said = verdict(Comparison(**{field.name: comparison[field.name] for field in fields(Comparison)}))
    adjusted = comparison["p_holm"]
    return said if adjusted is None or methods < 2 else f"{said} (p = {adjusted:.3f} adjusted for {methods} methods)"


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file of a run; `None` where there is no such file.

    Raises:
        RunError: If it cannot be read.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RunError(
            f"{path}: cannot be read: {error}", hint="run the same command again: it is written anew"
        ) from error
    return found if isinstance(found, dict) else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def plain(value: Json) -> str:
    """An answer as a person reads it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
