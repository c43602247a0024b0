"""Protocol `segment`: a straight run of plain model steps is answered in one structured call.

The run goes from the step that the graph stands on up to and including a decision or a terminal; it breaks before a
step that needs more than the model's words: an operator, parameters, a model, a time-out, a `for_each` or `reads` of
its own, or a result of the same run inserted by `$(...)`. Each step has its own record; the call and the seconds are on
the record of the run's first step, so sums over a trace count them once. A run of one step goes as in `fused`.
"""

from collections.abc import Mapping, Sequence

from autoflow.core.json import Json
from autoflow.core.model import Request
from autoflow.core.trace import Failure
from autoflow.core.workflow import DEFAULT_OPERATOR, Step
from autoflow.interpreter.conversation import SegmentPart, SegmentTurn
from autoflow.interpreter.fused import decision_schema, fused
from autoflow.interpreter.session import Outcome, Session
from autoflow.interpreter.visit import Recorder, Visit
from autoflow.models.structured import structured
from autoflow.operators.asking import say
from autoflow.prompts import render

RESULT_CHARS = 1000
"""Longest result of a step within a segment, where the provider enforces it while sampling."""


async def segment(session: Session, step: Step) -> None:
    """Run `step` and those that can be answered with it."""
    steps = [step] if session.steered else straight(session, step)
    if len(steps) == 1:
        await fused(session, step)
        return
    visit = session.open(step)
    limit_s = session.limit(step)
    answers = await session.attempt(
        visit, answer(session, visit, steps), None if limit_s is None else limit_s * len(steps)
    )
    if isinstance(answers, Failure):
        session.close(visit, answers)
        return
    for index, (one, value) in enumerate(zip(steps, answers, strict=True)):
        if index:
            visit = session.open(one)
            visit.inputs.update(session.inputs(one))
        session.close(visit, outcome(one, value))
        if session.failure is not None:
            return


def straight(session: Session, first: Step) -> list[Step]:
    """The steps that one call answers, beginning with `first`."""
    found = [first]
    names = {first.name}
    if not plain(first):
        return found
    room = session.settings.max_steps - len(session.records)
    while found[-1].type == "process" and len(found) < room:
        step = session.program.steps[found[-1].next or ""]
        bounded = step.max_visits is not None and session.visits.get(step.name, 0) >= step.max_visits
        if step.name in names or bounded or not plain(step):
            break
        references = session.program.references[step.name]
        if any(name in names or name not in session.latest for name in references):
            break
        found.append(step)
        names.add(step.name)
    return found


def plain(step: Step) -> bool:
    """Whether the step can be answered together with others."""
    return (
        step.operator == DEFAULT_OPERATOR
        and bool(step.instruction.strip())
        and not step.parameters
        and step.for_each is None
        and step.reads is None
        and step.model is None
        and step.timeout_s is None
        # A schema is put inside another one: references to its root would no longer lead there.
        and (step.output is None or "$ref" not in str(step.output))
    )


async def answer(session: Session, visit: Visit, steps: Sequence[Step]) -> list[Json]:
    """The value of each step, in order."""
    visit.inputs.update(session.inputs(visit.step))
    model = Recorder(session.model, visit)
    bounded = "grammar" in model.features
    reason = session.settings.decision_reason
    keys = [f"step_{index + 1}" for index in range(len(steps))]
    parts = [
        SegmentPart(key, session.instruction(step), tuple(step.branches)) for key, step in zip(keys, steps, strict=True)
    ]
    request = Request(
        say(session.conversation(visit.step), render(SegmentTurn(parts, reason))),
        session.settings.sampling,
        purpose="segment",
    )
    schema: dict[str, Json] = {
        "type": "object",
        "properties": {
            key: value_schema(step, reason=reason, bounded=bounded) for key, step in zip(keys, steps, strict=True)
        },
        "required": keys,
        "additionalProperties": False,
    }
    value = await structured(model, request, schema)
    assert isinstance(value, Mapping)  # noqa: S101  (the schema says so, and `structured` has checked it)
    return [value[key] for key in keys]


def value_schema(step: Step, *, reason: bool, bounded: bool) -> Mapping[str, Json]:
    """What the value of one step must look like."""
    if step.type == "decision":
        if reason:
            return decision_schema(tuple(step.branches), bounded=bounded)
        return {"type": "string", "enum": list(step.branches)}
    if step.output is not None:
        return step.output
    return {"type": "string", "maxLength": RESULT_CHARS} if bounded else {"type": "string"}


def outcome(step: Step, value: Json) -> Outcome:
    """What the value of one step means."""
    if step.type == "decision":
        label = str(value["label"] if isinstance(value, Mapping) else value)
        return Outcome(value, label, step.branches[label])
    return Outcome(value.strip() if isinstance(value, str) else value, target=step.next)
