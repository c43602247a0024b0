"""One run of one workflow on one task: what LangGraph's runtime context carries to every node.

The compiled graph is shared by all runs of a workflow; everything that differs between them is here. What a resumed run
needs is in the graph's state as well (`state`), and `restore` rebuilds the rest from it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypedDict, TypeVar

from autoflow import telemetry
from autoflow.core.json import Json
from autoflow.core.model import Message, Model
from autoflow.core.operator import Invocation, Operator
from autoflow.core.task import Task
from autoflow.core.trace import Failure, FailureReason, StepRecord, Trace
from autoflow.core.workflow import DEFAULT_OPERATOR, Step, Workflow
from autoflow.errors import (
    AutoflowError,
    BudgetExhaustedError,
    OperatorError,
    ProviderError,
    ReplyError,
    SandboxError,
    UnknownNameError,
)
from autoflow.interpreter.changed import Changed
from autoflow.interpreter.conversation import NOTHING, DecisionTurn, ItemTurn, TaskTurn, text
from autoflow.interpreter.events import Event, StepFinished, StepStarted
from autoflow.interpreter.plain import failure_from_plain, failure_to_plain, record_from_plain, record_to_plain
from autoflow.interpreter.settings import Settings
from autoflow.interpreter.visit import PER_ITEM, PER_OCCURRENCE, PER_RUN, Recorder, Visit, seed_of
from autoflow.language.references import TASK, fill
from autoflow.prompts import render

T = TypeVar("T")


class State(TypedDict, total=False):
    """The graph's state: plain values only, so that a checkpoint holds no class of ours."""

    run: dict[str, str]
    """What the thread belongs to: workflow, task, model, settings, sample."""

    records: list[dict[str, Any]]
    draws: dict[str, int]
    """Counts of equal drawn requests so far; see `visit`."""

    notebook: list[dict[str, Any]]
    """What tools found, for the protocol `core`."""

    failure: list[Any] | None
    done: bool


class Unsaved(TypedDict):
    """The state of a graph whose runs are not saved: LangGraph begins no run without an input."""

    done: bool


class HaltError(Exception):
    """Ends a visit with a failure; never leaves this package."""

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(message)
        self.reason: FailureReason = reason
        self.message = message


class FaultError(Exception):
    """Leaves the graph before the faulty step is checkpointed, so that a resumed run tries it again."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Outcome:
    """What carrying out a step gave."""

    result: Json
    label: str | None = None
    target: str | None = None


class CarryOut(Protocol):
    """A protocol: runs the step that the graph stands on (`segment`: some more), committing each to the session."""

    async def __call__(self, session: "Session", step: Step) -> None: ...


@dataclass(frozen=True, slots=True)
class Program:
    """A workflow with what every run of it needs, found out once."""

    workflow: Workflow
    fingerprint: str
    steps: Mapping[str, Step]
    references: Mapping[str, tuple[str, ...]]
    """Names of steps inside `$(...)`, by step."""


@dataclass(slots=True, eq=False)
class Session:
    """The state of one run. Not shared between runs; used by one node at a time."""

    program: Program
    task: Task
    model: Model
    models: Mapping[str, Model]
    """Models of the steps that name their own, by `provider/model`."""

    operators: Mapping[str, Operator]
    settings: Settings
    system: Message
    carry_out: CarryOut
    clock: Callable[[], float]
    sample: int = 0
    on_event: Callable[[Event], None] | None = None
    steered: bool = False
    """A person approves each step."""

    saved: bool = False
    """A checkpoint keeps the state; without one the state carries nothing."""

    begin: str | None = None
    """Where a run that takes up another's records goes first: the entry then only hands on to it."""

    identity: dict[str, str] = field(default_factory=dict)

    records: list[StepRecord] = field(default_factory=list)
    plain: list[dict[str, Any]] = field(default_factory=list)
    """`records` as the state keeps them; empty where it is not saved."""

    turns: list[tuple[str, str]] = field(default_factory=list)
    """What was asked and answered at each record."""

    chat: list[Message] = field(default_factory=list)
    """The same as messages, the task in the first."""

    latest: dict[str, int] = field(default_factory=dict)
    """Index of each visited step's last record, in the order they were left."""

    visits: dict[str, int] = field(default_factory=dict)
    draws: dict[str, int] = field(default_factory=dict)
    notebook: list[dict[str, Any]] = field(default_factory=list)
    failure: Failure | None = None
    target: str | None = None
    """Where the run goes next; `None` once it has ended."""

    current: Visit | None = None
    broken: StepRecord | None = None
    """The record of a visit that ended in a fault or a time-out of the task: not in the state."""

    task_text: str = ""
    shown: Task = field(init=False)
    """The task without its reference: no operator can show a model, or run, what only the scorer may see."""

    values: dict[str, str] = field(default_factory=dict)
    """What `$(...)` inserts, by name."""

    fixed: dict[str, str] = field(default_factory=dict)
    """Turns of the steps that insert nothing, made once."""

    def __post_init__(self) -> None:
        self.shown = replace(self.task, reference={})
        self.task_text = render(TaskTurn(self.task.text))
        self.values[TASK] = self.task.text

    # -- what a step reads

    def value(self, name: str) -> Json:
        """The last result of a visited step; of a decision, its label."""
        record = self.records[self.latest[name]]
        if self.program.steps[name].type == "decision" and record.label is not None:
            return record.label
        return record.result

    def inputs(self, step: Step) -> dict[str, Json]:
        """The results that `step` reads, in the order they were left.

        Raises:
            HaltError: If it names a step that has not run.
        """
        names = (*(step.reads or ()), *self.program.references[step.name])
        if step.for_each is not None:
            names = (*names, step.for_each)
        for name in names:
            if name not in self.latest:
                raise HaltError("reference", f"step {step.name!r} reads {name!r}, which has not run")
        if step.reads is None:
            return {name: self.value(name) for name in self.latest}
        return {name: self.value(name) for name in self.latest if name in step.reads}

    def conversation(self, step: Step) -> tuple[Message, ...]:
        """System turn, task, and the progress that `step` reads."""
        if step.reads is None:
            chat: Sequence[Message] = self.chat
        else:
            shown = sorted(self.latest[name] for name in set(step.reads))
            chat = []
            for index in shown:
                self._say(chat, *self.turns[index])
        if not chat:
            return (self.system, Message("user", self.task_text))
        return (self.system, *chat)

    def _say(self, chat: list[Message], asked: str, said: str) -> None:
        chat.append(Message("user", asked if chat else f"{self.task_text}\n\n{asked}"))
        chat.append(Message("assistant", said or NOTHING))

    def instruction(self, step: Step, item: tuple[str, str] | None = None) -> str:
        """The step's sentence with every `$(...)` filled; `item`: the mapped step and one item of its list.

        Unfilled where it names a step that has not run: `inputs` refuses to run such a step, a person may skip it.
        """
        if any(name not in self.values for name in self.program.references[step.name]):
            return step.instruction
        if item is None:
            return fill(step.instruction, self.values)
        name, shown = item
        filled = fill(step.instruction, {**self.values, name: shown})
        if name in self.program.references[step.name]:
            return filled
        return render(ItemTurn(filled, shown))

    def reasons(self, step: Step) -> bool:
        """Whether a decision is asked for its reason. A provider that enforces only labels gives no reason, and an
        operator of its own (a vote, a tool) has no form to put one in."""
        if step.operator != DEFAULT_OPERATOR:
            return False
        features = self.model_of(step).features
        return self.settings.decision_reason and ("schema" in features or "labels" not in features)

    def turn(self, step: Step) -> str:
        """The step as the model is asked it, and as later steps see that it was."""
        turn = self.fixed.get(step.name)
        if turn is None:
            turn = self.instruction(step)
            if step.type == "decision":
                turn = render(DecisionTurn(turn, tuple(step.branches), self.reasons(step)))
            elif not turn:
                turn = f"Run {step.operator}."
            if not self.program.references[step.name]:
                self.fixed[step.name] = turn
        return turn

    def model_of(self, step: Step) -> Model:
        """The step's own model, or the run's."""
        return self.model if step.model is None else self.models[step.model]

    # -- visits

    def open(self, step: Step) -> Visit:
        """Begin a visit."""
        number = self.visits.get(step.name, 0) + 1
        if self.on_event is not None:
            self.on_event(StepStarted(self.task.id, step.name, number, len(self.records)))
        self.current = Visit(
            step,
            number,
            {},
            run_sample=self.sample,
            seed=self.settings.seed,
            earlier=self.draws,
            clock=self.clock,
        )
        return self.current

    def invocation(
        self,
        visit: Visit,
        instruction: str,
        inputs: Mapping[str, Json],
        conversation: tuple[Message, ...],
        item: int = 0,
    ) -> Invocation:
        """What the operator of the visit's step is given."""
        step = visit.step
        return Invocation(
            instruction=instruction,
            conversation=conversation,
            inputs=inputs,
            task=self.shown,
            parameters=step.parameters,
            output=step.output,
            model=Recorder(self.model_of(step), visit, item),
            sampling=self.settings.sampling,
            timeout_s=self.limit(step),
            seed=seed_of(
                self.settings.seed or 0,
                self.sample * PER_RUN + visit.number * PER_OCCURRENCE + item * PER_ITEM,
            ),
        )

    def limit(self, step: Step) -> float | None:
        """Wall-clock limit of one visit of the step, in seconds."""
        return step.timeout_s if step.timeout_s is not None else self.settings.step_timeout_s

    async def attempt(self, visit: Visit, work: Awaitable[T], limit_s: float | None) -> T | Failure:
        """Wait for the work of a visit. Everything that may go wrong with a run comes back as a failure."""
        operator = self.operators.get(visit.step.operator)
        with telemetry.step_span(visit.step, visit.number, None if operator is None else operator.card) as span:
            ended = await self._attempt(visit, work, limit_s)
            if isinstance(ended, Failure):
                telemetry.failed(span, ended.reason)
            elif isinstance(ended, Outcome):
                telemetry.resulted(span, ended.result)
            return ended

    async def _attempt(self, visit: Visit, work: Awaitable[T], limit_s: float | None) -> T | Failure:
        name = visit.step.name
        scope: asyncio.Timeout | None = None
        try:
            if limit_s is None:
                return await work
            async with asyncio.timeout(limit_s) as scope:
                return await work
        except TimeoutError:
            if scope is None or not scope.expired():
                raise
            return Failure("workflow", "timeout", f"step {name!r} took longer than {limit_s:g} s", name)
        except HaltError as error:
            return Failure("workflow", error.reason, error.message, name)
        except AutoflowError as error:
            return failure_of(error, name)

    def close(self, visit: Visit, ended: Outcome | Failure) -> None:
        """End a visit: keep its record, and decide where the run goes.

        Raises:
            FaultError: If it ended in a fault; the visit is then not part of the state.
        """
        self.current = None
        step = visit.step
        failure = ended if isinstance(ended, Failure) else None
        result = None if isinstance(ended, Failure) else ended.result
        onward: str | None = None
        if not isinstance(ended, Failure):
            if step.type == "terminal":
                if result is None or (isinstance(result, str) and not result.strip()):
                    failure = Failure("workflow", "empty_answer", f"terminal {step.name!r} answered nothing", step.name)
            else:
                onward = ended.target
        stop = failure
        self.visits[step.name] = visit.number
        if onward is not None:
            onward, stop = self._onward(onward)
        record = StepRecord(
            step=step.name,
            visit=visit.number,
            operator=step.operator,
            result=result,
            label=None if isinstance(ended, Failure) else ended.label,
            target=onward,
            inputs=tuple(visit.inputs),
            calls=visit.calls,
            tools=tuple(visit.tools),
            seconds=self.clock() - visit.started,
            failure=failure,
        )
        index = len(self.records)
        if failure is not None and failure.kind == "fault":
            self.broken = record
            self._tell(StepFinished(self.task.id, index, record))
            raise FaultError(failure)
        self._keep(record)
        for identity, count in visit.draws.items():
            self.draws[identity] = self.draws.get(identity, 0) + count
        self.failure = stop
        self.target = onward
        self._tell(StepFinished(self.task.id, index, record))

    def interrupt(self, failure: Failure) -> None:
        """End the run from outside, in mid-visit where one is open."""
        visit, self.current = self.current, None
        self.failure = failure
        if visit is None:
            return
        self.broken = StepRecord(
            step=visit.step.name,
            visit=visit.number,
            operator=visit.step.operator,
            result=None,
            inputs=tuple(visit.inputs),
            calls=visit.calls,
            tools=tuple(visit.tools),
            seconds=self.clock() - visit.started,
            failure=failure,
        )
        self._tell(StepFinished(self.task.id, len(self.records), self.broken))

    def _onward(self, target: str) -> tuple[str | None, Failure | None]:
        """Where a way to `target` really leads, once bounds are heeded."""
        passed: set[str] = set()
        step = self.program.steps[target]
        while step.max_visits is not None and self.visits.get(step.name, 0) >= step.max_visits:
            passed.add(step.name)
            if step.otherwise is None or step.otherwise in passed:
                message = f"step {step.name!r} has run {step.max_visits} times, its bound, and leads nowhere else"
                return None, Failure("workflow", "max_steps", message, step.name)
            step = self.program.steps[step.otherwise]
        # The record of the visit that leads here is not kept yet: it counts too.
        if len(self.records) + 1 >= self.settings.max_steps:
            message = f"the run's bound of {self.settings.max_steps} steps was met before step {step.name!r}"
            return None, Failure("workflow", "max_steps", message, step.name)
        return step.name, None

    def _tell(self, event: Event) -> None:
        if self.on_event is not None:
            self.on_event(event)

    def _keep(self, record: StepRecord) -> None:
        step = self.program.steps[record.step]
        # Asked before the result is kept: a step that reads its own earlier result was asked with that one.
        ended = step.type == "terminal" or record.failure is not None
        turn = ("", "") if ended else (self.turn(step), text(record.result))
        self.latest.pop(record.step, None)
        self.latest[record.step] = len(self.records)
        self.visits[record.step] = record.visit
        self.records.append(record)
        if self.saved:
            self.plain.append(record_to_plain(record))
        self.turns.append(turn)
        if not ended:
            self._say(self.chat, *turn)
            self.values[record.step] = text(self.value(record.step))

    # -- the state and back

    def state(self) -> State:
        """The update that a node returns."""
        return {
            "run": self.identity,
            "records": list(self.plain),
            "draws": dict(self.draws),
            "notebook": list(self.notebook),
            "failure": failure_to_plain(self.failure),
            "done": self.target is None,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a run where `state` left it."""
        self.draws = dict(state.get("draws") or {})
        self.notebook = list(state.get("notebook") or [])
        self.failure = failure_from_plain(state.get("failure"))
        for plain in state.get("records") or []:
            self._keep(record_from_plain(plain))

    def take_up(self, changed: Changed) -> None:
        """Begin where another run of this workflow on this task stood after a step, with another result of that step.

        Raises:
            UsageError: If the result cannot be that step's.
        """
        *before, last = changed.records
        step = self.program.steps[last.step]
        label: str | None = None
        target = step.next
        if step.type == "decision":
            if changed.result not in step.branches:
                raise UnknownNameError("label", str(changed.result), list(step.branches))
            label = str(changed.result)
            target = step.branches[label]
        for record in before:
            self._keep(record)
        visit = self.open(step)
        visit.tools.extend(last.tools)
        self.close(visit, Outcome(changed.result, label, target))
        self.begin = self.target

    def edit_last(self, result: Json) -> None:
        """Put `result` in the place of the last record's."""
        plain = [*self.plain[:-1], {**self.plain[-1], "result": result}]
        self.records, self.plain, self.turns, self.chat = [], [], [], []
        self.latest, self.visits = {}, {}
        self.values = {TASK: self.task.text}
        for record in plain:
            self._keep(record_from_plain(record))

    def trace(self, seconds: float) -> Trace:
        """The record of the run as it stands."""
        records = self.records if self.broken is None else [*self.records, self.broken]
        answer = None
        if self.failure is None and records and self.program.steps[records[-1].step].type == "terminal":
            answer = records[-1].result
        return Trace(
            workflow=self.program.fingerprint,
            task=self.task.id,
            steps=tuple(records),
            answer=answer,
            failure=self.failure,
            seconds=seconds,
        )


def failure_of(error: AutoflowError, step: str) -> Failure:
    """The failure that an error means for a run.

    Raises:
        AutoflowError: The error itself, where it is misuse.
    """
    if isinstance(error, ProviderError):
        return Failure("fault", "provider", error.message, step)
    if isinstance(error, SandboxError):
        return Failure("fault", "sandbox", error.message, step)
    if isinstance(error, BudgetExhaustedError):
        return Failure("fault", "budget", error.message, step)
    if isinstance(error, ReplyError):
        return Failure("workflow", "reply", error.message, step)
    if isinstance(error, OperatorError):
        return Failure("workflow", "operator", error.message, step)
    raise error
