"""What a lost worker held is free for others, and a call that is withdrawn leaves nothing behind."""

import asyncio
import pickle
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoflow import errors
from autoflow.core.budget import Budget
from autoflow.core.model import Message, Reply, Request, Usage
from autoflow.errors import AutoflowError, BudgetExhaustedError, ProviderError, WorkerError
from autoflow.executors.clerk import Clerk
from autoflow.models.limit import Adaptive
from autoflow.objective.desk import Desk
from autoflow.objective.meter import Meter
from autoflow.runs.ledger import Ledger

REQUEST = Request((Message("user", "Which colour?"),))
REPLY = Reply("blue", "m/x", Usage(4, 1, None, 0.0), 0.1, "stop")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


def _clerks(ledger: Ledger, budget: Budget = Budget(), most: int = 1) -> tuple[Clerk, Clerk, Desk]:  # noqa: B008
    desk = Desk(ledger, Meter(budget, time.time))
    gates = {"m/x": Adaptive(most)}
    return Clerk(desk, gates, lambda _: None), Clerk(desk, gates, lambda _: None), desk


async def _begun(work: object) -> "asyncio.Task[object]":
    task = asyncio.ensure_future(work)  # type: ignore[call-overload]
    for _ in range(5):
        await asyncio.sleep(0)
    return task  # type: ignore[no-any-return]


async def test_an_equal_call_of_another_worker_waits_and_is_answered_from_the_record(ledger: Ledger) -> None:
    one, two, desk = _clerks(ledger)
    assert await one.ask(1, "k", "m/x", "interpreter", REQUEST, None) is None
    waiting = await _begun(two.ask(1, "k", "m/x", "interpreter", REQUEST, None))
    assert not waiting.done()
    assert await one.answered(1, REPLY) is None
    found = await waiting
    assert isinstance(found, Reply)
    assert found.cached
    assert desk.meter.spend.calls == 1
    assert ledger.reply("k") is not None


async def test_the_call_of_a_lost_worker_is_made_by_another_and_counts_as_failed(ledger: Ledger) -> None:
    one, two, desk = _clerks(ledger, Budget(calls=3))
    await one.ask(1, "k", "m/x", "interpreter", REQUEST, None)
    waiting = await _begun(two.ask(1, "k", "m/x", "interpreter", REQUEST, None))
    one.close()
    assert await waiting is None
    await two.answered(1, REPLY)
    assert (desk.meter.spend.calls, ledger.failed_calls()) == (2, 1)
    with pytest.raises(WorkerError, match="was given up"):
        await one.answered(1, REPLY)
    with pytest.raises(WorkerError, match="was given up"):
        await one.ask(2, "other", "m/x", "interpreter", REQUEST, None)
    await two.ask(2, "other", "m/x", "interpreter", REQUEST, None)
    with pytest.raises(BudgetExhaustedError):
        await two.ask(3, "third", "m/x", "interpreter", REQUEST, None)


async def test_a_lost_worker_leaves_its_turn_at_the_gate(ledger: Ledger) -> None:
    one, two, _ = _clerks(ledger)
    await one.enter(1, "m/x", 1)
    behind = await _begun(one.enter(2, "m/x", 1))
    waiting = await _begun(two.enter(1, "m/x", 1))
    assert not waiting.done()
    one.close()
    await waiting
    assert behind.cancelled()
    two.leave(1, "answered")


@pytest.mark.parametrize("end", ["leaves", "withdraws", "is lost"])
async def test_a_call_comes_with_its_first_turn_at_the_gate(ledger: Ledger, end: str) -> None:
    one, two, desk = _clerks(ledger)
    assert await one.ask(1, "k", "m/x", "interpreter", REQUEST, 1) is None
    waiting = await _begun(two.ask(1, "other", "m/x", "interpreter", REQUEST, 1))
    assert not waiting.done()
    if end == "leaves":
        one.leave(1, "answered")
    elif end == "withdraws":
        one.withdraw(1)
    else:
        one.close()
    assert await asyncio.wait_for(waiting, 1) is None
    two.leave(1, "answered")
    await two.answered(1, REPLY)
    assert (desk.meter.spend.calls, ledger.failed_calls()) == (2, end == "is lost")


async def test_a_call_withdrawn_while_it_waits_at_the_gate_leaves_nothing(ledger: Ledger) -> None:
    one, two, _ = _clerks(ledger, Budget(tokens=10))
    await one.enter(1, "m/x", 1)
    behind = await _begun(one.ask(2, "k", "m/x", "interpreter", REQUEST, 1))
    one.withdraw(2)
    await asyncio.wait([behind])
    assert behind.cancelled()
    one.leave(1, "answered")
    assert await asyncio.wait_for(two.ask(1, "k", "m/x", "interpreter", REQUEST, 1), 1) is None
    assert ledger.failed_calls() == 0


@pytest.mark.parametrize("let_through", [True, False])
async def test_a_withdrawn_call_leaves_nothing(ledger: Ledger, let_through: bool) -> None:
    one, two, desk = _clerks(ledger, Budget(tokens=10))
    held = 1 if let_through else 2
    await one.ask(1, "k", "m/x", "interpreter", REQUEST, None)
    if not let_through:
        await _begun(one.ask(2, "k", "m/x", "interpreter", REQUEST, None))
    one.withdraw(held)
    if not let_through:
        await one.answered(1, REPLY)
    found = await two.ask(1, "k", "m/x", "interpreter", REQUEST, None)
    assert (found is None) == let_through
    assert ledger.failed_calls() == 0
    assert desk.meter.spend.calls == (2 if let_through else 1)


async def test_a_turn_that_is_given_up_while_it_is_waited_for_is_nobodys(ledger: Ledger) -> None:
    one, two, _ = _clerks(ledger)
    await one.enter(1, "m/x", 1)
    await _begun(two.enter(1, "m/x", 1))
    two.leave(1, "failed")
    one.leave(1, "answered")
    await asyncio.wait_for(two.enter(2, "m/x", 1), 1)


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AutoflowError)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_errors_travel_between_processes_whole(kind: type[AutoflowError]) -> None:
    given: dict[type, AutoflowError] = {
        errors.UnknownNameError: errors.UnknownNameError("colour", "blu", ["blue"], hint="look"),
        errors.WorkflowError: errors.WorkflowError("bad", file="a.yaml", line=3, rule="AF1"),
        ProviderError: ProviderError("busy", transient=True, status=429, retry_after_s=2.0),
        errors.ReplyError: errors.ReplyError("no JSON", text="blue"),
    }
    error = given[kind] if kind in given else kind("what happened", hint="what to do")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert (str(back), back.args, back.__dict__) == (str(error), error.args, error.__dict__)
