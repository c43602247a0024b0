"""What a judgement of one trace is, and what judges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from autoflow.core.json import Json
from autoflow.core.task import Task
from autoflow.core.trace import Trace


@dataclass(frozen=True, slots=True)
class Score:
    """A judgement in [0, 1], higher better; `None` is unscored and is never averaged as 0."""

    value: float | None
    reason: str = ""
    """Short code that reports group by ("type_mismatch"); empty where all is well."""

    details: Mapping[str, Json] = field(default_factory=dict)
    """What a reader needs to check the judgement."""

    def __post_init__(self) -> None:
        if self.value is not None and not 0.0 <= self.value <= 1.0:
            raise ValueError(f"a score lies in [0, 1], not {self.value}")


class Scorer(Protocol):
    """Judges a finished trace. A trace with a failure never reaches it."""

    @property
    def label(self) -> str:
        """What the number is called in every report, for example "plan score"."""
        ...

    async def score(self, task: Task, trace: Trace) -> Score:
        """Judge `trace.answer` against `task.reference`.

        Raises:
            SandboxError: If the judge itself could not run; the score is then `None`.
        """
        ...


@runtime_checkable
class Measures(Protocol):
    """A scorer with measures beside its score, which every report shows as well."""

    @property
    def secondary(self) -> Mapping[str, str]:
        """Key in `Score.details` -> what reports call it. The value there is in [0, 1], or a truth value."""
        ...


@runtime_checkable
class ChecksFirst(Protocol):
    """A scorer that needs more than the trace: weights, data, packages."""

    def check(self, tasks: Sequence[Task]) -> None:
        """Make sure that every task can be judged; called once, before anything runs.

        Raises:
            MissingDependencyError, DataError: Naming everything that is missing.
        """
        ...


@runtime_checkable
class KeepsFiles(Protocol):
    """A scorer that leaves files for a person to look at."""

    def keeping(self, folder: Path) -> Scorer:
        """The scorer, writing below the run's folder."""
        ...


@runtime_checkable
class Explains(Protocol):
    """A scorer that knows more ways to break its tasks down, and facts that belong beside the mean."""

    def groups(self, task: Task) -> Mapping[str, str]:
        """Grouping -> the task's group in it, for example "plan length" -> "3"."""
        ...

    def facts(self, judged: Sequence[tuple[Task, Score]]) -> Mapping[str, Json]:
        """What the report states beside the scores, by name."""
        ...
