"""What operators that ask a model share: adding a turn, a step's own sampling, several calls at once."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from autoflow.core.json import Json
from autoflow.core.model import Message, Sampling
from autoflow.errors import OperatorError

T = TypeVar("T")

SAMPLING_PARAMETERS: Mapping[str, Mapping[str, Json]] = {
    "temperature": {"type": "number", "minimum": 0, "maximum": 2, "default": None},
    "max_tokens": {"type": "integer", "minimum": 1, "default": None},
}
"""Parameters that `sampling` reads; absent ones leave the run's own setting."""


def say(conversation: Sequence[Message], text: str) -> tuple[Message, ...]:
    """The conversation with one more user turn.

    A last turn that is the user's already is continued: many chat templates refuse two user turns in a row.
    """
    if conversation and conversation[-1].role == "user":
        return (*conversation[:-1], Message("user", f"{conversation[-1].text}\n\n{text}"))
    return (*conversation, Message("user", text))


def sampling(base: Sampling, parameters: Mapping[str, Json]) -> Sampling:
    """`base` with the step's own `temperature` and `max_tokens`.

    Raises:
        OperatorError: If one of them is no number, or out of range.
    """
    temperature, max_tokens = parameters.get("temperature"), parameters.get("max_tokens")
    if temperature is not None:
        if isinstance(temperature, bool) or not isinstance(temperature, int | float) or not 0 <= temperature <= 2:
            raise OperatorError(f"temperature is a number from 0 to 2, not {temperature!r}")
        base = replace(base, temperature=float(temperature))
    if max_tokens is not None:
        if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 1:
            raise OperatorError(f"max_tokens is an integer of at least 1, not {max_tokens!r}")
        base = replace(base, max_tokens=max_tokens)
    return base


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
