"""A call starts only if the budget can hold it."""

import asyncio
from pathlib import Path

import pytest

from autoflow.core.budget import Budget, Spend
from autoflow.core.model import Message, Reply, Request, Sampling, Usage
from autoflow.errors import BudgetExhaustedError, UsageError
from autoflow.objective.meter import Meter
from autoflow.runs.ledger import Ledger


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _request(characters: int = 40, max_tokens: int | None = None) -> Request:
    return Request((Message("user", "x" * characters),), Sampling(max_tokens=max_tokens))


async def test_no_limit_lets_everything_start() -> None:
    meter = Meter(Budget(), Clock())
    for _ in range(3):
        meter.settle(await meter.admit("m", _request()), Usage(5, 2, None, None))
    meter.cached(Usage(5, 2, None, None))
    assert meter.spend == Spend(3, 15, 6, 0.0, unpriced=3, cached_calls=1)


async def test_calls_count_when_they_start_also_failed_ones() -> None:
    meter = Meter(Budget(calls=2), Clock())
    meter.fail(await meter.admit("m", _request()))
    await meter.admit("m", _request())
    with pytest.raises(BudgetExhaustedError, match="budget of 2 calls"):
        await meter.admit("m", _request())
    assert meter.spend.calls == 2


async def test_seconds_count_earlier_sittings() -> None:
    clock = Clock()
    meter = Meter(Budget(seconds=10), clock, earlier_seconds=6)
    clock.now = 3.9
    await meter.admit("m", _request())
    clock.now = 4.0
    with pytest.raises(BudgetExhaustedError, match="10 seconds"):
        await meter.admit("m", _request())


async def test_tokens_reserve_the_worst_case() -> None:
    meter = Meter(Budget(tokens=100), Clock())
    meter.settle(await meter.admit("m", _request(40, max_tokens=90)), Usage(10, 30))
    await meter.admit("m", _request(40, max_tokens=50))
    with pytest.raises(BudgetExhaustedError, match=r"may take 70 tokens, and 40 of the budget of 100"):
        await meter.admit("m", _request(40, max_tokens=60))


async def test_without_a_maximum_the_longest_reply_so_far_is_reserved() -> None:
    meter = Meter(Budget(tokens=100), Clock())
    meter.settle(await meter.admit("m", _request(40)), Usage(10, 45))
    with pytest.raises(BudgetExhaustedError, match="may take 55 tokens"):
        await meter.admit("m", _request(40))


async def test_call_waits_for_what_others_may_leave() -> None:
    meter = Meter(Budget(tokens=100), Clock())
    first = await meter.admit("m", _request(40, max_tokens=60))
    second = asyncio.create_task(meter.admit("m", _request(40, max_tokens=60)))
    await asyncio.sleep(0)
    assert not second.done()
    meter.settle(first, Usage(10, 5))
    assert (await second).tokens == 70


async def test_waiting_call_learns_that_the_budget_is_gone() -> None:
    meter = Meter(Budget(tokens=100), Clock())
    first = await meter.admit("m", _request(40, max_tokens=60))
    waiting = [asyncio.create_task(meter.admit("m", _request(40, max_tokens=60))) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    meter.settle(first, Usage(10, 60))
    with pytest.raises(BudgetExhaustedError):
        await waiting[1]


async def test_dollars_are_priced_before_the_call() -> None:
    meter = Meter(Budget(usd=1.0), Clock(), price=lambda model, got, gave: (got + gave) * 0.01)
    meter.settle(await meter.admit("m", _request(40, max_tokens=40)), Usage(10, 30, None, 0.4))
    with pytest.raises(BudgetExhaustedError, match=r"may cost \$0\.7000, and \$0\.4000 of the budget of \$1\.0000"):
        await meter.admit("m", _request(40, max_tokens=60))
    await meter.admit("m", _request(40, max_tokens=50))


async def test_dollars_without_a_price_table_are_judged_by_what_was_paid() -> None:
    meter = Meter(Budget(usd=1.0), Clock())
    meter.settle(await meter.admit("m", _request(40)), Usage(10, 30, None, 0.8))
    with pytest.raises(BudgetExhaustedError, match=r"may cost \$0\.8000"):
        await meter.admit("m", _request(40))


async def test_model_in_process_costs_nothing() -> None:
    meter = Meter(Budget(usd=0.01), Clock())
    for _ in range(5):
        meter.settle(await meter.admit("m", _request()), Usage(10, 30, None, 0.0))
    assert meter.spend.usd == 0.0


async def test_unknown_price_under_a_dollar_budget_names_the_model() -> None:
    priced = Meter(Budget(usd=1.0), Clock(), price=lambda model, got, gave: None)
    with pytest.raises(UsageError, match="no price is known for p/odd"):
        priced.check("p/odd")
    with pytest.raises(UsageError, match="no price is known for p/odd"):
        await priced.admit("p/odd", _request())
    unpriced = Meter(Budget(usd=1.0), Clock())
    unpriced.check("p/odd")
    with pytest.raises(UsageError, match="no price is known for p/odd"):
        unpriced.settle(await unpriced.admit("p/odd", _request()), Usage(1, 1))
    Meter(Budget(tokens=1), Clock(), price=lambda model, got, gave: None).check("p/odd")


async def test_resumed_meter_goes_on_from_the_ledger(tmp_path: Path) -> None:
    clock = Clock()
    with Ledger(tmp_path / "ledger.sqlite", clock=clock) as ledger:
        ledger.add_reply("k", _request(), Reply("x", "m", Usage(3, 4, None, 0.5)), role="generator")
        ledger.add_failed_call("j", "m", "down", role="interpreter")
        clock.now = 7.0
    with Ledger(tmp_path / "ledger.sqlite", clock=clock) as ledger:
        meter = Meter.resuming(Budget(calls=2), ledger, clock)
    assert meter.spend == Spend(2, 3, 4, 0.5)
    assert meter.seconds == 7.0
    with pytest.raises(BudgetExhaustedError):
        await meter.admit("m", _request())
