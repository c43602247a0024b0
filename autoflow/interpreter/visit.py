"""One visit of one step while it lasts: the calls it makes, the tools it runs, and how its draws are numbered.

`Request.sample` of a call is

    run's sample x 10^12 + occurrence x 10^6 + item x 10^3 + the operator's own index

at temperature above 0, where `occurrence` counts the equal requests of earlier visits in the same run and `item` is the
place in a `for_each`. A loop that comes back to the same prompt so draws anew; a resumed run, or one answered from the
record, repeats exactly, whatever the concurrency. At temperature 0 only the run's sample and the operator's index
count: an equal prompt has an equal answer.
"""

import asyncio
import hashlib
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from functools import lru_cache

from autoflow import telemetry
from autoflow.core.json import Json
from autoflow.core.model import Feature, Model, Reply, Request, Usage
from autoflow.core.trace import Call
from autoflow.core.workflow import Step
from autoflow.errors import AutoflowError

PER_ITEM = 10**3
PER_OCCURRENCE = 10**6
PER_RUN = 10**12


@lru_cache(1024)
def seed_of(seed: int, sample: int) -> int:
    """A seed below 2^31 that depends on both numbers alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{sample}".encode()).digest()[:4], "big") >> 1


class Visit:
    """Collects what one visit does. `draws` holds the counts of its equal requests until the visit is committed."""

    __slots__ = (
        "clock",
        "draws",
        "earlier",
        "inputs",
        "number",
        "run_sample",
        "seed",
        "slots",
        "started",
        "step",
        "tools",
    )

    def __init__(
        self,
        step: Step,
        number: int,
        inputs: MutableMapping[str, Json],
        *,
        run_sample: int,
        seed: int | None,
        earlier: MutableMapping[str, int],
        clock: Callable[[], float],
    ) -> None:
        self.step = step
        self.number = number
        self.inputs = inputs
        self.run_sample = run_sample
        self.seed = seed
        self.earlier = earlier
        self.clock = clock
        self.started = clock()
        self.draws: dict[str, int] = {}
        self.slots: list[Call | None] = []
        self.tools: list[str] = []

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls in the order they were begun."""
        return tuple(call for call in self.slots if call is not None)

    def draw(self, request: Request, item: int, model: str) -> Request:
        """The request with its sample index and seed."""
        sampling = request.sampling
        if sampling.temperature <= 0:
            return replace(request, sample=self.run_sample * PER_RUN + request.sample) if self.run_sample else request
        identity = f"{request.key(model)[:24]}:{item}"
        occurrence = self.earlier.get(identity, 0) + self.draws.get(identity, 0)
        self.draws[identity] = self.draws.get(identity, 0) + 1
        sample = self.run_sample * PER_RUN + occurrence * PER_OCCURRENCE + item * PER_ITEM + request.sample
        if self.seed is not None and sampling.seed is None:
            sampling = replace(sampling, seed=seed_of(self.seed, sample))
        return replace(request, sample=sample, sampling=sampling)


class Recorder:
    """A model whose calls are kept on a visit, failed and cancelled ones too."""

    __slots__ = ("_inner", "_item", "_visit")

    def __init__(self, inner: Model, visit: Visit, item: int = 0) -> None:
        self._inner = inner
        self._visit = visit
        self._item = item

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def features(self) -> frozenset[Feature]:
        return self._inner.features

    async def complete(self, request: Request) -> Reply:
        visit, name = self._visit, self._inner.name
        request = visit.draw(request, self._item, name)
        key = request.key(name)
        slot = len(visit.slots)
        visit.slots.append(None)
        started = visit.clock()
        try:
            with telemetry.chat_span(name, request) as span:
                reply = await self._inner.complete(request)
                telemetry.replied(span, reply)
        except (AutoflowError, asyncio.CancelledError) as error:
            message = error.message if isinstance(error, AutoflowError) else "cancelled"
            seconds = visit.clock() - started
            visit.slots[slot] = Call(key, name, request.purpose, Usage(), seconds, error=message)
            raise
        visit.slots[slot] = Call(key, reply.model, request.purpose, reply.usage, reply.seconds, reply.cached)
        return reply

    async def aclose(self) -> None:
        """The model belongs to the run, not to the visit: nothing to release."""
