"""Nothing is paid twice, and nothing is lost."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoflow.core.budget import Budget, Spend
from autoflow.core.model import Feature, Message, Reply, Request, Sampling, Usage
from autoflow.errors import BudgetExhaustedError, ProviderError, UsageError
from autoflow.objective.meter import Meter
from autoflow.objective.metered import Metered
from autoflow.runs.ledger import Ledger


class Slow:
    """Counts its calls; each waits for `gate`. Answers the number of the call, or raises `error`."""

    name = "slow/model"
    features: frozenset[Feature] = frozenset({"schema"})

    def __init__(self) -> None:
        self.calls = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.closed = 0

    async def complete(self, request: Request) -> Reply:
        self.calls += 1
        number = self.calls
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return Reply(f"reply {number}", self.name, Usage(2, 1, None, 0.0), 0.5, "stop")

    async def aclose(self) -> None:
        self.closed += 1


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


@pytest.fixture
def model() -> Slow:
    return Slow()


@pytest.fixture
def meter() -> Meter:
    return Meter(Budget(), time.time)


@pytest.fixture
def metered(model: Slow, ledger: Ledger, meter: Meter) -> Metered:
    return Metered(model, ledger, meter)


def _request(text: str = "hi", sample: int = 0, temperature: float = 0.0) -> Request:
    return Request((Message("user", text),), Sampling(temperature), sample=sample)


async def test_recorded_reply_is_not_asked_for_again(
    metered: Metered, model: Slow, meter: Meter, ledger: Ledger
) -> None:
    first = await metered.complete(_request())
    second = await metered.complete(_request())
    assert (first.cached, second.cached) == (False, True)
    assert (second.text, second.usage, second.seconds) == (first.text, first.usage, first.seconds)
    assert model.calls == 1
    assert meter.spend == Spend(1, 2, 1, cached_calls=1)
    assert ledger.spend() == Spend(1, 2, 1)


async def test_another_run_of_the_process_finds_the_reply(model: Slow, ledger: Ledger, metered: Metered) -> None:
    await metered.complete(_request())
    again = Metered(model, ledger, Meter(Budget(calls=1), time.time))
    assert (await again.complete(_request())).cached
    assert model.calls == 1


async def test_other_samples_and_settings_are_other_calls(metered: Metered, model: Slow) -> None:
    for request in (_request(), _request(sample=1), _request(temperature=0.5), _request("ho")):
        await metered.complete(request)
    assert model.calls == 4


async def test_equal_requests_in_flight_are_one_call(metered: Metered, model: Slow, meter: Meter) -> None:
    model.gate.clear()
    tasks = [asyncio.create_task(metered.complete(_request())) for _ in range(5)]
    await asyncio.sleep(0)
    model.gate.set()
    replies = await asyncio.gather(*tasks)
    assert model.calls == 1
    assert {reply.text for reply in replies} == {"reply 1"}
    assert sorted(reply.cached for reply in replies) == [False, True, True, True, True]
    assert meter.spend.calls == 1


async def test_cancelled_caller_does_not_take_the_others_along(metered: Metered, model: Slow) -> None:
    model.gate.clear()
    first, second = [asyncio.create_task(metered.complete(_request())) for _ in range(2)]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    model.gate.set()
    assert (await second).text == "reply 2"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_cancelled_follower_leaves_the_call_alone(metered: Metered, model: Slow) -> None:
    model.gate.clear()
    first, second = [asyncio.create_task(metered.complete(_request())) for _ in range(2)]
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    model.gate.set()
    assert (await first).text == "reply 1"
    assert model.calls == 1


async def test_failed_call_is_counted_shared_and_asked_again_later(
    metered: Metered, model: Slow, ledger: Ledger, meter: Meter
) -> None:
    model.error = ProviderError("down", transient=True)
    model.gate.clear()
    tasks = [asyncio.create_task(metered.complete(_request())) for _ in range(2)]
    await asyncio.sleep(0)
    model.gate.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, ProviderError) for outcome in outcomes)
    assert model.calls == ledger.failed_calls() == meter.spend.calls == 1
    model.error = None
    assert (await metered.complete(_request())).text == "reply 2"


async def test_bug_in_a_model_is_not_hidden(metered: Metered, model: Slow, ledger: Ledger) -> None:
    model.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await metered.complete(_request())
    assert ledger.failed_calls() == 0


async def test_budget_stops_before_the_call(model: Slow, ledger: Ledger) -> None:
    metered = Metered(model, ledger, Meter(Budget(calls=2), time.time))
    await metered.complete(_request("1"))
    await metered.complete(_request("2"))
    with pytest.raises(BudgetExhaustedError):
        await metered.complete(_request("3"))
    assert model.calls == 2
    # What is recorded is still to be had.
    assert (await metered.complete(_request("1"))).cached


async def test_reply_that_was_paid_is_kept_even_if_its_price_is_unknown(model: Slow, ledger: Ledger) -> None:
    class Unpriced(Slow):
        async def complete(self, request: Request) -> Reply:
            self.calls += 1
            return Reply("x", self.name, Usage(1, 1))

    metered = Metered(Unpriced(), ledger, Meter(Budget(usd=1.0), time.time), role="generator")
    with pytest.raises(UsageError, match="slow/model"):
        await metered.complete(_request())
    assert ledger.spend("generator").unpriced == 1


async def test_model_without_a_price_is_refused_before_anything_is_asked(model: Slow, ledger: Ledger) -> None:
    with pytest.raises(UsageError, match="slow/model"):
        Metered(model, ledger, Meter(Budget(usd=1.0), time.time, price=lambda *_: None))


async def test_layer_shows_what_it_wraps(metered: Metered, model: Slow) -> None:
    assert metered.name == "slow/model"
    assert metered.features == {"schema"}
    await metered.aclose()
    assert model.closed == 1
