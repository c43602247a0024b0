"""Blame: which step of a failed run was at fault, told from its trace and shown by a run with that result changed.

Step-level blame as in JudgeFlow, but a blame is checked: the run goes on from the step with what it should have given,
and if the task then comes out right, the step was where it went wrong.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

from autoflow.core.json import Json
from autoflow.core.model import Message, Model, Request, Sampling
from autoflow.core.strategy import Change, Laboratory, Tried
from autoflow.core.task import Task
from autoflow.core.trace import FailureReason, StepRecord
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import ReplyError
from autoflow.language.json_schema import fault_of_value
from autoflow.models.structured import match, structured
from autoflow.prompts import render
from autoflow.strategies.evidence import clipped, plain

Fault = Literal["instruction", "operator", "wiring", "model"]
FAULTS: tuple[Fault, ...] = get_args(Fault)

_VISITS = 12
_WIRING: tuple[FailureReason, ...] = ("reference", "branch_unmatched", "max_steps")
# Failures that say themselves where to look.


@dataclass(frozen=True, slots=True)
class Finding:
    """A step that was at fault in one run."""

    task: str
    """Id of the task."""

    step: str
    fault: Fault
    why: str
    result: Json
    """What the step gave."""

    better: Json = None
    """What it should have given; `None` where nobody says."""

    confirmed: bool | None = None
    """Whether a run with the better result, and those of the findings before it, scored higher; `None`: not tried."""


@dataclass(frozen=True, slots=True)
class VisitLine:
    """One visit as the generator reads it."""

    label: str
    operator: str
    instruction: str
    result: str


@dataclass(frozen=True, slots=True)
class SystemPrompt:
    """What workflows are."""

    template: ClassVar[str] = "strategies/evolve_system.j2"


@dataclass(frozen=True, slots=True)
class BlamePrompt:
    """One failed run."""

    template: ClassVar[str] = "strategies/evolve_blame.j2"
    description: str
    task: str
    visits: tuple[VisitLine, ...]
    outcome: str


@dataclass(frozen=True, slots=True)
class Judge:
    """Who reads traces, and how much of them."""

    model: Model
    description: str
    """Of the benchmark."""

    task_chars: int
    result_chars: int
    why_chars: int
    max_tokens: int


async def findings(
    judge: Judge, laboratory: Laboratory, workflow: Workflow, task: Task, failed: Tried, *, depth: int
) -> list[Finding]:
    """What went wrong in a failed run on a train task: the first fault; then, in the run with that one mended, the
    next; `depth` at most. Confirmed, all of them, where the run so mended scores higher.

    Empty where the generator's replies cannot be used.

    Raises:
        ProviderError, BudgetExhaustedError: From the generator, or from the runs.
    """
    found: list[Finding] = []
    changes: list[Change] = []
    before, now = failed.result.value, failed
    while before is not None and len(found) < depth:
        blamed = await _asked(judge, workflow, task, now, changes[-1].visit + 1 if changes else 0)
        if blamed is None:
            break
        index, finding = blamed
        found.append(finding)
        if finding.better is None:
            break
        changes.append(Change(index, finding.better))
        now = await laboratory.rerun(workflow, "train", task.id, changes)
        if now.result.value is None:
            break
        if now.result.value > before:
            return [replace(item, confirmed=True) for item in found]
    tried = [replace(item, confirmed=False) for item in found[: len(changes)]]
    return [*tried, *found[len(changes) :]] if now.result.value is not None else found


async def _asked(judge: Judge, workflow: Workflow, task: Task, failed: Tried, first: int) -> tuple[int, Finding] | None:
    """The visit that the generator holds to be at fault, not before `first`."""
    trace = failed.trace
    if trace is None:
        return None
    visits = list(enumerate(trace.steps))[-_VISITS:]
    labels = {f"{number + 1}. {record.step}": number for number, record in visits if number >= first}
    if not labels:
        return None
    lines = tuple(
        VisitLine(
            f"{number + 1}. {record.step}",
            workflow.step(record.step).type if workflow.step(record.step).type == "decision" else record.operator,
            clipped(workflow.step(record.step).instruction, judge.result_chars),
            clipped(_result(record), judge.result_chars),
        )
        for number, record in visits
    )
    prompt = BlamePrompt(judge.description, clipped(task.text, judge.task_chars), lines, _outcome(failed))
    text: Json = {"type": "string", "maxLength": judge.why_chars}
    schema: dict[str, Json] = {
        "type": "object",
        "properties": {
            "why": text,
            "step": {"type": "string", "enum": list(labels)},
            "fault": {"type": "string", "enum": list(FAULTS)},
            "result": {"type": "string", "maxLength": judge.result_chars},
        },
        "required": ["why", "step", "fault", "result"],
        "additionalProperties": False,
    }
    request = Request(
        (Message("system", render(SystemPrompt())), Message("user", render(prompt))),
        Sampling(max_tokens=judge.max_tokens),
        purpose="blame",
    )
    try:
        value = await structured(judge.model, request, schema)
    except ReplyError:
        # A generator too weak to judge: whoever asked has other ways to find a place.
        return None
    assert isinstance(value, dict)  # noqa: S101  the schema says so, and `structured` has checked it
    index = labels[value["step"]]
    record = trace.steps[index]
    step = workflow.step(record.step)
    return index, Finding(
        task.id, step.name, value["fault"], value["why"], record.result, _better(step, value["result"])
    )


def _better(step: Step, text: str) -> Json:
    """What the generator says the result should have been, where it can be this step's."""
    if not text.strip():
        return None
    if step.type == "decision":
        return match(text, tuple(step.branches))
    if step.output is None:
        return text
    for read in (_json(text), text):
        if read is not None and fault_of_value(read, step.output) is None:
            return read
    return None


def _json(text: str) -> Json:
    try:
        value: Json = json.loads(text)
    except ValueError:
        return None
    return value


def _result(record: StepRecord) -> str:
    if record.failure is not None:
        return f"(failed: {record.failure.message})"
    return plain(record.result) if record.label is None else record.label


def _outcome(failed: Tried) -> str:
    failure = None if failed.trace is None else failed.trace.failure
    if failure is not None:
        place = "" if failure.step is None else f' at step "{failure.step}"'
        return f"The run failed{place}: {failure.message}"
    reason = f" ({failed.result.reason})" if failed.result.reason else ""
    return f"The answer scored {failed.result.value:.2f}{reason}."


def inspected(workflow: Workflow, task: Task, failed: Tried, rng: random.Random) -> Finding | None:
    """A place to mend where no model says one: the step that failed or gave nothing, else any that asked the model."""
    trace = failed.trace
    if trace is None or not trace.steps:
        return None
    failure = trace.failure
    if failure is not None and failure.step is not None:
        fault: Fault = "wiring" if failure.reason in _WIRING else "operator"
        last = next((record for record in reversed(trace.steps) if record.step == failure.step), None)
        result = None if last is None else last.result
        return Finding(task.id, failure.step, fault, failure.message, result)
    empty: Sequence[StepRecord] = [record for record in trace.steps if not plain(record.result).strip()]
    asked = [record for record in trace.steps if record.calls]
    record = (empty or [rng.choice(asked or trace.steps)])[0]
    why = "it gave nothing" if empty else "it is one of the steps of a run that went wrong"
    return Finding(task.id, record.step, "instruction", why, record.result)
