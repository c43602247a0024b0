"""Two ends of a link: what is called there is carried out, cancelled and raised as it would be here."""

import asyncio
import socket
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from autoflow.core.model import Message, Reply, Request, Sampling, Usage
from autoflow.core.task import Task
from autoflow.core.trace import Call, Failure, StepRecord, Trace
from autoflow.errors import BudgetExhaustedError, WorkerError
from autoflow.executors.link import Closed, Link
from autoflow.objective.drawing import Drawn


@asynccontextmanager
async def _ends(handler: Callable[[str, tuple[Any, ...]], object]) -> AsyncIterator[tuple[Link, Link]]:
    """This end, and the one where the handler is."""
    links, serving = [], []
    for end in socket.socketpair():
        reader, writer = await asyncio.open_unix_connection(sock=end)
        links.append(Link(reader, writer, handler))
        serving.append(asyncio.create_task(links[-1].serve()))
    try:
        yield links[0], links[1]
    finally:
        for link in links:
            link.close()
        await asyncio.gather(*serving)


async def test_functions_and_coroutines_give_their_results_and_errors() -> None:
    async def later(value: object) -> object:
        await asyncio.sleep(0)
        if value == "budget":
            raise BudgetExhaustedError("used up", hint="more")
        return value

    def handle(method: str, arguments: tuple[Any, ...]) -> object:
        if method == "break":
            raise KeyError("no such thing")
        return later(*arguments) if method == "later" else arguments[0]

    async with _ends(handle) as (here, _):
        assert await here.call("now", 1) == 1
        assert await asyncio.gather(*(here.call("later", number) for number in range(50))) == list(range(50))
        with pytest.raises(BudgetExhaustedError, match="used up") as caught:
            await here.call("later", "budget")
        assert caught.value.hint == "more"
        with pytest.raises(WorkerError, match="KeyError: 'no such thing'"):
            await here.call("break")


async def test_what_is_sent_arrives_as_it_is() -> None:
    request = Request(
        (Message("system", "s"), Message("user", "\ud800")),
        Sampling(0.5, seed=1, stop=("x",)),
        schema={"type": "object"},
        labels=("a",),
        timeout_s=2.0,
    )
    failure = Failure("fault", "provider", "gone", "work")
    call = Call("k", "m/x", "step", Usage(1, 2, None, 0.5), 0.1, cached=True)
    record = StepRecord("work", 1, "generate", {"answer": [1, None]}, calls=(call,), failure=failure)
    reply = Reply("t", "m/x", Usage(1, 2), 0.1, "stop", label_logprobs={"a": -0.1})
    drawn = Drawn(Trace("w", "t0", (record,), failure=failure), failure)
    async with _ends(lambda _, arguments: arguments) as (here, _):
        for value in (request, reply, drawn, Task("t0", "text", {"a": 1}, {"answer": "b"}, "kind")):
            assert await here.call("give", value) == (value,)


async def test_a_cancelled_call_is_cancelled_there() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with _ends(lambda *_: wait()) as (here, _):
        calling = asyncio.create_task(here.call("wait"))
        await begun.wait()
        calling.cancel()
        await asyncio.wait_for(ended.wait(), 5)


async def test_a_call_cancelled_at_once_is_never_begun() -> None:
    begun = []

    async def work() -> None:
        begun.append(1)

    async with _ends(lambda method, _: work() if method == "work" else "reached") as (here, _):
        with warnings.catch_warnings(record=True) as complaints:
            warnings.simplefilter("always")
            calling = asyncio.create_task(here.call("work"))
            await asyncio.sleep(0)
            calling.cancel()
            assert await here.call("other") == "reached"
            await asyncio.sleep(0.01)
        assert (begun, complaints) == ([], [])


async def test_a_side_that_is_gone_ends_every_call() -> None:
    async with _ends(lambda *_: asyncio.sleep(60)) as (here, there):
        calls = [asyncio.create_task(here.call("wait")) for _ in range(3)]
        await asyncio.sleep(0.01)
        there.close()
        assert [type(error) for error in await asyncio.gather(*calls, return_exceptions=True)] == [Closed] * 3
        with pytest.raises(Closed):
            await here.call("wait")
