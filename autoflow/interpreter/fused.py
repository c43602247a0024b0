"""Protocol `fused`: one model call a step; a decision's reason and label come in the same call."""

from collections.abc import Mapping, Sequence
from typing import Any

from autoflow.core.json import Json
from autoflow.core.model import Message, Request
from autoflow.core.operator import Invocation
from autoflow.core.workflow import DEFAULT_OPERATOR, Step
from autoflow.errors import ReplyError
from autoflow.interpreter.conversation import text
from autoflow.interpreter.session import HaltError, Outcome, Session
from autoflow.interpreter.visit import Recorder, Visit
from autoflow.models.structured import choose, match, structured
from autoflow.operators.asking import sampling, say, together

REASON_CHARS = 300
"""Longest reason, where the provider enforces it while sampling; a small model would otherwise not stop."""


async def fused(session: Session, step: Step) -> None:
    """Run one step."""
    visit = session.open(step)
    session.close(visit, await session.attempt(visit, perform(session, visit), session.limit(step)))


async def perform(session: Session, visit: Visit) -> Outcome:
    """Carry out the step of `visit`."""
    step = visit.step
    inputs = session.inputs(step)
    visit.inputs.update(inputs)
    if step.type == "terminal" and not step.instruction.strip() and step.operator == DEFAULT_OPERATOR:
        return Outcome(next(reversed(inputs.values()), None))
    if step.type == "decision":
        return await decide(session, visit, inputs)
    if step.for_each is not None:
        return Outcome(await each(session, visit, inputs, step.for_each), target=step.next)
    call = session.invocation(visit, session.turn(step), inputs, session.conversation(step))
    return Outcome(await operate(session, visit, call), target=step.next)


async def operate(session: Session, visit: Visit, call: Invocation) -> Json:
    """Run the step's operator and check its result against the step's schema."""
    operator = session.operators[visit.step.operator]
    if operator.card.kind == "tool":
        visit.tools.append(operator.card.name)
    result = await operator.run(call)
    # `generate` has its replies checked where they are read; others may return what they like.
    if call.output is not None and operator.card.name != DEFAULT_OPERATOR:
        fit(result, call.output)
    return result


def fit(result: Json, schema: Mapping[str, Json]) -> None:
    """Refuse a result that does not fit the schema.

    Raises:
        ReplyError: Saying where it does not.
    """
    import jsonschema

    validator = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    error = jsonschema.exceptions.best_match(validator(schema).iter_errors(result))
    if error is not None:
        raise ReplyError(f"the result does not fit the step's schema: {error.message}", text=text(result))


async def each(session: Session, visit: Visit, inputs: Mapping[str, Json], source: str) -> list[Json]:
    """Run the step once for each item of a list result, in parallel; results in the list's order."""
    items = session.value(source)
    if isinstance(items, str | Mapping) or not isinstance(items, Sequence):
        kind = "a text" if isinstance(items, str) else type(items).__name__
        raise HaltError(
            "operator", f"step {visit.step.name!r} maps over {source!r}, whose result is {kind}, not a list"
        )
    bound = session.settings.max_items
    if len(items) > bound:
        raise HaltError("max_steps", f"{source!r} has {len(items)} items; for_each maps over {bound} at most")
    conversation = session.conversation(visit.step)
    others = {name: value for name, value in inputs.items() if name != source}
    work = []
    for index, item in enumerate(items):
        instruction = session.instruction(visit.step, (source, text(item)))
        call = session.invocation(visit, instruction, {**others, source: item}, conversation, index)
        work.append(operate(session, visit, call))
    return await together(work, session.settings.item_concurrency)


# -- decisions


async def decide(session: Session, visit: Visit, inputs: Mapping[str, Json]) -> Outcome:
    """Answer a decision and take its branch; an unmatched answer leads to `otherwise`."""
    step = visit.step
    labels = tuple(step.branches)
    conversation = session.conversation(step)
    turn = session.turn(step)
    try:
        if step.operator != DEFAULT_OPERATOR:
            result = await operate(session, visit, session.invocation(visit, turn, inputs, conversation))
            label = match(text(result), labels)
            if label is None:
                asked = (*say(conversation, turn), Message("assistant", text(result)))
                label = await branch(session, visit, asked, labels)
            return Outcome(result, label, step.branches[label])
        model = Recorder(session.model_of(step), visit)
        drawn = sampling(session.settings.sampling, step.parameters) if step.parameters else session.settings.sampling
        request = Request(say(conversation, turn), drawn, purpose="decision")
        if not session.reasons(step):
            label = await choose(model, request, labels)
            return Outcome(label, label, step.branches[label])
        answer = await structured(model, request, decision_schema(labels, bounded="grammar" in model.features))
        assert isinstance(answer, Mapping)  # noqa: S101  (the schema says so, and `structured` has checked it)
        label = str(answer["label"])
        return Outcome(dict(answer), label, step.branches[label])
    except ReplyError as error:
        return unmatched(step, error)


def unmatched(step: Step, error: ReplyError) -> Outcome:
    """Where a decision without a readable label leads.

    Raises:
        HaltError: If it has no `otherwise`.
    """
    if step.otherwise is None:
        labels = ", ".join(step.branches)
        raise HaltError("branch_unmatched", f"decision {step.name!r}: the answer is none of: {labels}") from error
    return Outcome(error.text, None, step.otherwise)


def decision_schema(labels: Sequence[str], *, bounded: bool) -> dict[str, Json]:
    """The reason first: what is written before the label can inform it."""
    reason: dict[str, Any] = {"type": "string", "maxLength": REASON_CHARS} if bounded else {"type": "string"}
    return {
        "type": "object",
        "properties": {"reason": reason, "label": {"type": "string", "enum": list(labels)}},
        "required": ["reason", "label"],
        "additionalProperties": False,
    }


async def branch(session: Session, visit: Visit, asked: tuple[Message, ...], labels: Sequence[str]) -> str:
    """Read the label off an answer that was given in other words."""
    model = Recorder(session.model_of(visit.step), visit)
    messages = say(asked, f"Answer with one of: {' | '.join(labels)}")
    return await choose(model, Request(messages, session.settings.sampling, purpose="branch"), labels)
