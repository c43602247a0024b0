"""What operators share: their parameters, adding a turn, asking for text or JSON, several calls at once."""

import asyncio
import json
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from autoflow.core.json import Json
from autoflow.core.model import Message, Model, Request, Sampling
from autoflow.core.operator import Card, Invocation
from autoflow.errors import OperatorError
from autoflow.models.structured import structured

T = TypeVar("T")

SAMPLING_PARAMETERS: Mapping[str, Mapping[str, Json]] = {
    "temperature": {"type": "number", "minimum": 0, "maximum": 2, "default": None},
    "max_tokens": {"type": "integer", "minimum": 1, "default": None},
}
"""Parameters that `sampling` reads; absent ones leave the run's own setting."""

TEXT_CHARS = 500
"""Longest text within a structured reply of a model that is held to its grammar."""

MOST_CHARS = 8_000
"""Of a reply or of code that goes back to the model, so much is shown."""


def whole(least: int, most: int, default: int) -> Mapping[str, Json]:
    """The schema of a parameter that is a whole number."""
    return {"type": "integer", "minimum": least, "maximum": most, "default": default}


def seconds(most: float, default: float) -> Mapping[str, Json]:
    """The schema of a time limit."""
    return {"type": "number", "exclusiveMinimum": 0, "maximum": most, "default": default}


def temperature(default: float) -> Mapping[str, Mapping[str, Json]]:
    """`SAMPLING_PARAMETERS` of an operator whose draws must differ: the run's own temperature may be 0."""
    return {**SAMPLING_PARAMETERS, "temperature": {**SAMPLING_PARAMETERS["temperature"], "default": default}}


def settled(card: Card, parameters: Mapping[str, Json]) -> dict[str, Any]:
    """Every parameter of the card with its value, given or default. Lint says the same of a file before it runs.

    Raises:
        OperatorError: If one is unknown, missing, or does not fit its schema.
    """
    unknown = [name for name in parameters if name not in card.parameters]
    if unknown:
        there = ", ".join(card.parameters) or "none"
        raise OperatorError(f"{card.name} has no parameter {unknown[0]!r}; there are: {there}")
    if parameters:
        from autoflow.language.json_schema import fault_of_value

        for name, value in parameters.items():
            fault = fault_of_value(value, card.parameters[name])
            if fault is not None:
                raise OperatorError(f"parameter {name} of {card.name}: {fault}")
    found: dict[str, Any] = {}
    for name, schema in card.parameters.items():
        if name not in parameters and "default" not in schema:
            raise OperatorError(f"{card.name} needs the parameter {name!r}")
        value = parameters.get(name, schema.get("default"))
        # JSON Schema counts 5.0 among the integers.
        found[name] = int(value) if schema.get("type") == "integer" and isinstance(value, float) else value
    return found


def words(model: Model, least: int = 0) -> dict[str, Json]:
    """The schema of a text in a reply.

    A model that takes grammars is held to it while it samples, and is small: without a bound it would not stop.
    """
    schema: dict[str, Json] = {"type": "string"}
    if least:
        schema["minLength"] = least
    if "grammar" in model.features:
        schema["maxLength"] = TEXT_CHARS
    return schema


def say(conversation: Sequence[Message], text: str) -> tuple[Message, ...]:
    """The conversation with one more user turn.

    A last turn that is the user's already is continued: many chat templates refuse two user turns in a row.
    """
    if conversation and conversation[-1].role == "user":
        return (*conversation[:-1], Message("user", f"{conversation[-1].text}\n\n{text}"))
    return (*conversation, Message("user", text))


def answered(messages: Sequence[Message], reply: str, text: str) -> tuple[Message, ...]:
    """The conversation after a reply, with one more user turn."""
    return (*messages, Message("assistant", clipped(reply) or "(nothing)"), Message("user", text))


def sampling(base: Sampling, parameters: Mapping[str, Json]) -> Sampling:
    """`base` with the step's own `temperature` and `max_tokens`.

    Raises:
        OperatorError: If one of them is no number, or out of range.
    """
    warmth, max_tokens = parameters.get("temperature"), parameters.get("max_tokens")
    if warmth is not None:
        if isinstance(warmth, bool) or not isinstance(warmth, int | float) or not 0 <= warmth <= 2:
            raise OperatorError(f"temperature is a number from 0 to 2, not {warmth!r}")
        base = replace(base, temperature=float(warmth))
    if max_tokens is not None:
        if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 1:
            raise OperatorError(f"max_tokens is an integer of at least 1, not {max_tokens!r}")
        base = replace(base, max_tokens=max_tokens)
    return base


@dataclass(frozen=True, slots=True)
class Asking:
    """The model of a step, with the step's own sampling."""

    call: Invocation
    drawn: Sampling

    def request(self, messages: Sequence[Message], index: int = 0, purpose: str = "step") -> Request:
        """A request; `index` tells the independent draws of one visit apart, from 0 to 999."""
        return Request(tuple(messages), self.drawn, sample=self.call.sample + index, purpose=purpose)

    async def text(self, messages: Sequence[Message], index: int = 0, purpose: str = "step") -> str:
        """The reply without surrounding white space."""
        return (await self.call.model.complete(self.request(messages, index, purpose))).text.strip()

    async def json(
        self, messages: Sequence[Message], schema: Mapping[str, Json], index: int = 0, purpose: str = "step"
    ) -> Any:
        """The value that fits `schema`.

        Raises:
            ReplyError: If the reply does not fit, nor the repaired one.
        """
        return await structured(self.call.model, self.request(messages, index, purpose), schema)

    async def result(self, messages: Sequence[Message], index: int = 0, purpose: str = "step") -> Json:
        """The step's result: a text, or the value that fits the step's own schema.

        Raises:
            ReplyError: If the reply does not fit, nor the repaired one.
        """
        if self.call.output is not None:
            return await structured(self.call.model, self.request(messages, index, purpose), self.call.output)
        return await self.text(messages, index, purpose)


def asking(call: Invocation, parameters: Mapping[str, Json]) -> Asking:
    """The step's model with the temperature and length that `parameters` state.

    Raises:
        OperatorError: As `sampling`.
    """
    return Asking(call, sampling(call.sampling, parameters))


def newest(call: Invocation, what: str) -> Json:
    """The last result that the step reads.

    Raises:
        OperatorError: If it reads none; `what` says in the message what is missing.
    """
    if not call.inputs:
        raise OperatorError(f"there is no {what}: no step that this one reads has run before it")
    return next(reversed(list(call.inputs.values())))


def shown(value: Json) -> str:
    """A value as a model reads it: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def clipped(text: str, chars: int = MOST_CHARS) -> str:
    """The text, with its middle left out where it is longer: what matters of an error stands at its ends."""
    if len(text) <= chars:
        return text
    half = chars // 2
    return f"{text[:half]}\n... ({len(text) - 2 * half} characters left out)\n{text[-half:]}"


async def together(work: Sequence[Coroutine[Any, Any, T]], limit: int | None = None) -> list[T]:
    """Run all at once, at most `limit` at a time, and return their results in order.

    The first failure cancels the others, waits for them, and is raised.
    """
    found: dict[int, T] = {}
    waiting = iter(enumerate(work))

    async def worker() -> None:
        for index, one in waiting:
            found[index] = await one

    workers = [asyncio.ensure_future(worker()) for _ in range(min(limit or len(work), len(work)))]
    try:
        await asyncio.gather(*workers)
    except BaseException:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        for _, one in waiting:
            one.close()
        raise
    return [found[index] for index in range(len(work))]
