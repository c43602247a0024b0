"""The record of one workflow on one task."""

from dataclasses import dataclass
from typing import Literal

from autoflow.core.json import Json
from autoflow.core.model import Usage

FailureKind = Literal["workflow", "fault"]

FailureReason = Literal[
    "max_steps",  # the run's or a step's bound was met with nowhere to go
    "timeout",  # a step or the task took too long
    "branch_unmatched",  # a decision's answer fits no label and there is no `otherwise`
    "reply",  # a reply does not fit its schema, also after the repair
    "reference",  # a step reads a result that no visited step has left
    "operator",  # an operator refused its input or failed on it
    "empty_answer",  # the terminal answered nothing
    "draft",  # the workflow was to be written for the task, and the draft is none
    "provider",  # fault: network, quota, server, key
    "sandbox",  # fault: the sandbox itself
    "budget",  # fault: the run's budget ended in mid-task
    "worker",  # fault: the processes or nodes that ran the task were lost with it
    "cancelled",  # fault: interrupted
]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run has no answer. A `workflow` failure scores 0; a `fault` is unscored and retried on resume."""

    kind: FailureKind
    reason: FailureReason
    message: str
    step: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One model call, as the trace keeps it. The full text of prompt and reply is in the reply cache under `key`."""

    key: str
    model: str
    purpose: str
    usage: Usage
    seconds: float
    cached: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One visit of one step."""

    step: str
    visit: int
    """1 for the first visit within the task."""

    operator: str
    result: Json
    label: str | None = None
    """The branch that a decision took; `None` on other steps and where `otherwise` was taken."""

    target: str | None = None
    """The step that follows; `None` after a terminal."""

    inputs: tuple[str, ...] = ()
    """The steps whose results were shown."""

    calls: tuple[Call, ...] = ()
    tools: tuple[str, ...] = ()
    """Tool operators run during the visit, in order; for a plain tool step, its operator alone."""

    seconds: float = 0.0
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """Steps in the order they ran, and the answer or why there is none."""

    workflow: str
    """Fingerprint of the workflow."""

    task: str
    """Id of the task."""

    steps: tuple[StepRecord, ...]
    answer: Json = None
    failure: Failure | None = None
    seconds: float = 0.0

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every model call, in order."""
        return tuple(call for step in self.steps for call in step.calls)

    @property
    def tools(self) -> tuple[str, ...]:
        """Every tool operator that ran, in order."""
        return tuple(tool for step in self.steps for tool in step.tools)
