"""What a run tells while it runs. For each visit: started, then finished; at the end: the run's trace."""

from dataclasses import dataclass
from typing import TypeAlias

from autoflow.core.trace import StepRecord, Trace


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step is about to run."""

    task: str
    """Id of the task."""

    step: str
    visit: int
    """1 for the first visit within the task."""

    index: int
    """Place of the visit in the run, from 0."""


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step has run or failed; `record.failure` says which."""

    task: str
    index: int
    record: StepRecord


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The last event of a run."""

    trace: Trace


Event: TypeAlias = StepStarted | StepFinished | RunFinished
