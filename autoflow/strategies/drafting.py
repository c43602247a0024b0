"""How strategies ask for a workflow: what every request says, in a size that the generator can take."""

import asyncio
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from autoflow.core.model import Feature, Model, Reply, Request, Sampling
from autoflow.core.strategy import Situation
from autoflow.errors import ProviderError
from autoflow.generator.draft import Check, Draft, DraftRequest, Form, Limits, answer_of, conversation, draft
from autoflow.strategies.evidence import TASK_CHARS, clipped

T = TypeVar("T")

MAX_CANDIDATES = 1000
"""Bound on the drafts of a round; sample indices are counted on it."""

_TOO_LONG = (400, 413)
# What providers answer to a prompt beyond the model's context.


@dataclass(frozen=True, slots=True)
class Size:
    """How much a generator is shown and may write."""

    prompt_chars: int
    max_tokens: int
    max_steps: int
    max_instruction_chars: int
    max_note_chars: int = 600


LARGE = Size(prompt_chars=24_000, max_tokens=2000, max_steps=10, max_instruction_chars=400)
SMALL = Size(prompt_chars=4_900, max_tokens=600, max_steps=6, max_instruction_chars=100, max_note_chars=120)
"""For a context of about 2,000 tokens."""


def size_of(generator: Model, large: Size = LARGE, **stated: int | None) -> Size:
    """`SMALL` for a generator that takes grammars, which is one that runs in this process with a small context; else
    `large`. What is stated and not `None` goes before either."""
    size = SMALL if "grammar" in generator.features else large
    return replace(size, **{name: value for name, value in stated.items() if value is not None})


def opening(
    situation: Situation,
    size: Size,
    *,
    index: int = 0,
    sampling: Sampling = Sampling(),  # noqa: B008  frozen
    examples: int = 2,
    tool_steps: bool = True,
) -> DraftRequest:
    """What every request of a round says: the kind of task, operators, examples, the form of the answer, bounds.

    Args:
        index: Which independent draft of the round, below `MAX_CANDIDATES`.
        examples: Train tasks shown.
        tool_steps: Whether a step may be carried out by a tool operator.
    """
    train = situation.benchmark.train
    # First and last, as the published generator is shown: they are the likeliest to differ in kind.
    chosen = [*train[: max(0, examples - 1)], *train[-1:]] if examples else []
    return DraftRequest(
        description=situation.benchmark.description,
        cards=tuple(card for card in situation.cards if tool_steps or card.kind == "model"),
        examples=tuple(dict.fromkeys(clipped(task.text, TASK_CHARS) for task in chosen)),
        answer=answer_of(situation.benchmark.baseline),
        limits=Limits(size.max_steps, size.max_instruction_chars, size.max_note_chars),
        sampling=sampling,
        sample=situation.round * MAX_CANDIDATES + index,
    )


async def together(work: Iterable[Awaitable[T]]) -> list[T]:
    """The results, in order. All finish before an error passes on: what was paid for is on record on a resume."""
    found = await asyncio.gather(*work, return_exceptions=True)
    results: list[T] = []
    for item in found:
        if isinstance(item, BaseException):
            raise item
        results.append(item)
    return results


async def fitted(
    generator: Model,
    requests: Iterable[DraftRequest],
    size: Size,
    *,
    form: Form,
    repairs: int,
    check: Check | None = None,
) -> Draft:
    """Draft on the first of `requests`, from most to least evidence, that fits `size` and that the model takes.

    The last is sent whatever its length.

    Raises:
        ProviderError, BudgetExhaustedError: From the generator.
        ValueError: For no requests.
    """
    waiting = iter(requests)
    request = next(waiting, None)
    while request is not None:
        less = next(waiting, None)
        chars = sum(len(turn.text) for turn in conversation(request, form))
        if chars <= size.prompt_chars or less is None:
            try:
                return await draft(generator, request, repairs=repairs, form=form, check=check)
            except ProviderError as error:
                # Characters only estimate tokens. A model that finds the prompt too long gets a shorter one.
                if error.status not in _TOO_LONG or less is None:
                    raise
        request = less
    raise ValueError("there is nothing to ask")


class Heard:
    """A model that remembers the key of the first request it answered: where the run's ledger keeps the prompt."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.key: str | None = None

    @property
    def name(self) -> str:
        """Of the model within."""
        return self._model.name

    @property
    def features(self) -> frozenset[Feature]:
        """Of the model within."""
        return self._model.features

    async def complete(self, request: Request) -> Reply:
        """The answer of the model within."""
        reply = await self._model.complete(request)
        if self.key is None:
            self.key = request.key(self._model.name)
        return reply

    async def aclose(self) -> None:
        """The model belongs to the run: nothing to release."""
