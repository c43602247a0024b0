"""Retries, time limits, adaptive concurrency, opening by name, replay, foreign LangChain models."""

import asyncio
import json
import random
import sqlite3
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from autoflow.core.model import Feature, Message, Reply, Request, Sampling, Usage
from autoflow.errors import MissingDependencyError, ProviderError, RunError, UnknownNameError, UsageError
from autoflow.models import factory
from autoflow.models.factory import ModelOptions, open_model
from autoflow.models.limit import Limited
from autoflow.models.retry import Retrying, Timed

ASK = Request((Message("user", "hello"),))
BUSY = ProviderError("too many", transient=True, status=429)
DOWN = ProviderError("down", transient=True, status=500)
WRONG = ProviderError("wrong", transient=False, status=400)


class Staged:
    """Raises the given errors in turn, then answers."""

    name = "staged/x"
    features: frozenset[Feature] = frozenset({"labels"})

    def __init__(self, *errors: ProviderError | None, wait: Callable[[], Any] | None = None) -> None:
        self.errors = list(errors)
        self.calls = 0
        self.closed = 0
        self._wait = wait

    async def complete(self, request: Request) -> Reply:
        self.calls += 1
        if self._wait is not None:
            await self._wait()
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return Reply("fine", self.name)

    async def aclose(self) -> None:
        self.closed += 1


class Slow(Staged):
    """A model in this process, which says how many calls it carries out at once."""

    concurrency = 1


@pytest.mark.parametrize(("model", "answers"), [(Slow, True), (Staged, False)])
async def test_a_model_in_this_process_may_take_longer_than_a_server(
    model: type[Staged], answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factory, "SERVER_S", 0.01)
    monkeypatch.setattr(factory.plugins, "load", lambda *_: lambda *_: model(wait=lambda: asyncio.sleep(0.1)))
    opened = open_model("scripted/slow", ModelOptions(max_retries=0))
    if answers:
        assert (await opened.complete(ASK)).text == "fine"
    else:
        with pytest.raises(ProviderError, match=r"did not answer within 0\.01 s"):
            await opened.complete(ASK)


class Clock:
    """Time that passes only in sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def retrying(model: Staged, clock: Clock, retries: int = 5, max_wait_s: float = 300, seed: int = 0) -> Retrying:
    return Retrying(
        model, retries=retries, max_wait_s=max_wait_s, rng=random.Random(seed), sleep=clock.sleep, clock=clock
    )


async def test_transient_errors_are_asked_again_with_growing_waits() -> None:
    clock, model = Clock(), Staged(DOWN, DOWN, DOWN, DOWN)
    reply = await retrying(model, clock).complete(ASK)
    assert (reply.text, model.calls) == ("fine", 5)
    assert clock.slept[0] < clock.slept[-1]
    assert reply.seconds == pytest.approx(sum(clock.slept))


async def test_same_seed_same_waits() -> None:
    waits = []
    for seed in (1, 1, 2):
        clock = Clock()
        await retrying(Staged(DOWN, DOWN), clock, seed=seed).complete(ASK)
        waits.append(clock.slept)
    assert waits[0] == waits[1] != waits[2]


async def test_retry_after_is_honoured() -> None:
    clock = Clock()
    await retrying(Staged(ProviderError("busy", transient=True, retry_after_s=12.0)), clock).complete(ASK)
    assert 12.0 <= clock.slept[0] < 13.0


@pytest.mark.parametrize(("errors", "retries", "calls"), [((WRONG,), 5, 1), ((DOWN,), 0, 1), ((DOWN,) * 9, 3, 4)])
async def test_attempts_are_bounded_and_permanent_errors_pass(
    errors: tuple[ProviderError, ...], retries: int, calls: int
) -> None:
    model = Staged(*errors)
    with pytest.raises(ProviderError) as caught:
        await retrying(model, Clock(), retries=retries).complete(ASK)
    assert caught.value is errors[0]
    assert model.calls == calls


async def test_total_time_is_bounded_without_waiting_in_vain() -> None:
    clock, model = Clock(), Staged(*[ProviderError("busy", transient=True, retry_after_s=40.0)] * 9)
    with pytest.raises(ProviderError):
        await retrying(model, clock, max_wait_s=100).complete(ASK)
    assert model.calls == 3
    assert clock.now <= 100


@pytest.mark.parametrize(("answered", "patience"), [(False, 10), (True, 60)])
async def test_a_server_that_is_silent_to_all_is_soon_asked_no_more(answered: bool, patience: float) -> None:
    silent = ProviderError("no connection", transient=True)
    clock, model = Clock(), Staged(*[None] * answered, *[silent] * 99)
    layer = retrying(model, clock, retries=50)
    if answered:
        await layer.complete(ASK)
    with pytest.raises(ProviderError):
        await layer.complete(ASK)
    assert patience / 3 < clock.now <= patience
    clock.now += patience
    calls = model.calls
    with pytest.raises(ProviderError):
        await layer.complete(ASK)
    assert model.calls == calls + 1
    # One answer, if only that it has too much to do, and it is there again.
    model.errors[:] = [BUSY, silent, silent, silent]
    assert (await layer.complete(ASK)).text == "fine"


async def test_cancellation_during_a_wait_passes_through() -> None:
    model = Staged(*[DOWN] * 9)
    layer = Retrying(model, retries=9, max_wait_s=300, rng=random.Random(0))
    task = asyncio.create_task(layer.complete(ASK))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.calls == 1


async def test_layers_show_the_model_within_and_close_it() -> None:
    model = Staged()
    layer = retrying(Limited(Timed(model, 1.0), most=2), Clock())  # type: ignore[arg-type]
    assert (layer.name, layer.features) == (model.name, model.features)
    await layer.aclose()
    assert model.closed == 1


async def test_hanging_call_is_a_transient_error_and_the_requests_limit_wins() -> None:
    model = Staged(wait=lambda: asyncio.sleep(60))
    with pytest.raises(ProviderError, match=r"0\.05 s") as caught:
        await Timed(model, 0.05).complete(ASK)
    assert caught.value.transient
    with pytest.raises(ProviderError, match=r"0\.01 s"):
        await Timed(model, 60).complete(Request(ASK.messages, timeout_s=0.01))


async def test_time_out_from_inside_is_not_taken_for_ours() -> None:
    async def inner() -> None:
        raise TimeoutError("inner")

    with pytest.raises(TimeoutError, match="inner"):
        await Timed(Staged(wait=inner), 60).complete(ASK)


# Adaptive concurrency


async def test_limit_halves_once_for_a_burst_and_grows_back() -> None:
    gate = asyncio.Event()
    model = Staged(*[BUSY] * 8, wait=gate.wait)
    layer = Limited(model, most=16)
    assert layer.limit == 16
    burst = [asyncio.create_task(layer.complete(ASK)) for _ in range(8)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*burst, return_exceptions=True)
    assert layer.limit == 8
    for _ in range(200):
        await layer.complete(ASK)
    assert layer.limit == layer.concurrency == 16


async def test_limit_never_falls_below_one_and_other_errors_leave_it() -> None:
    layer = Limited(Staged(*[BUSY] * 5, DOWN, WRONG), most=4)
    for _ in range(7):
        with pytest.raises(ProviderError):
            await layer.complete(ASK)
    assert layer.limit == 1
    assert (await layer.complete(ASK)).text == "fine"


async def test_never_more_in_flight_than_the_limit_and_turns_survive_cancellation() -> None:
    flying, peak = 0, 0

    async def work() -> None:
        nonlocal flying, peak
        flying += 1
        peak = max(peak, flying)
        try:
            await asyncio.sleep(0.001)
        finally:
            flying -= 1

    layer = Limited(Staged(wait=work), most=3)
    tasks = [asyncio.create_task(layer.complete(ASK)) for _ in range(60)]
    rng = random.Random(5)
    for _ in range(20):
        await asyncio.sleep(0.0005)
        rng.choice(tasks).cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert peak == 3
    assert (await asyncio.wait_for(layer.complete(ASK), 1)).text == "fine"


async def test_turn_given_at_the_moment_of_cancellation_is_passed_on() -> None:
    gate = asyncio.Event()
    layer = Limited(Staged(wait=gate.wait), most=1)

    async def first_then_cancel() -> None:
        await layer.complete(ASK)
        # The second call has its turn by now, and has not run since.
        second.cancel()

    first = asyncio.create_task(first_then_cancel())
    await asyncio.sleep(0)
    second, third = (asyncio.create_task(layer.complete(ASK)) for _ in range(2))
    await asyncio.sleep(0)
    gate.set()
    await first
    assert (await asyncio.wait_for(third, 1)).text == "fine"
    with pytest.raises(asyncio.CancelledError):
        await second


# Opening


@pytest.mark.parametrize("spec", ["gpt-5", "/x", "openai/", ""])
def test_name_without_a_provider_lists_the_providers(spec: str) -> None:
    with pytest.raises(UsageError, match=r"embedded.*langchain.*openai.*replay.*scripted"):
        open_model(spec)


def test_unknown_provider_and_embedded_model_list_what_exists() -> None:
    with pytest.raises(UnknownNameError, match="embedded, langchain, openai"):
        open_model("opnai/gpt-5")
    with pytest.raises(UnknownNameError, match="smollm2-135m"):
        open_model("embedded/llama")


async def test_scripted_model_opens_through_the_same_door(tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("- replies: [image]\n")
    model = open_model(f"scripted/{script}")
    assert (await model.complete(ASK)).text == "image"
    assert model.name == f"scripted/{script}"
    await model.aclose()


# Foreign LangChain models

FAKE = "langchain/langchain_core.language_models.fake_chat_models"


async def test_langchain_class_answers() -> None:
    model = open_model(f"{FAKE}:FakeListChatModel", ModelOptions(arguments={"responses": ["one", "two"]}))
    request = Request(ASK.messages, Sampling(temperature=0.5, seed=3, stop=("x",)))
    replies = [await model.complete(request) for _ in range(2)]
    assert [reply.text for reply in replies] == ["one", "two"]
    assert replies[0].usage == Usage()
    assert replies[0].model == f"{FAKE}:FakeListChatModel"
    assert model.features == frozenset()
    await model.aclose()


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [
        ("langchain/langchain_core", UsageError, "<module>:<Class>"),
        ("langchain/no_such_package.chat:Chat", MissingDependencyError, "pip install no-such-package"),
        (f"{FAKE}:FakeLstChatModel", UnknownNameError, "FakeListChatModel"),
        (f"{FAKE}:FakeListChatModel", UsageError, "responses"),
        ("langchain/json:JSONDecoder", UnknownNameError, "none"),
    ],
)
def test_langchain_errors_name_module_class_and_package(spec: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        open_model(spec)


async def test_foreign_failures_become_provider_errors() -> None:
    class StatusError(Exception):
        status_code = 503

    from langchain_core.language_models.fake_chat_models import FakeListChatModel

    from autoflow.models.langchain import _Foreign

    class Broken(FakeListChatModel):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            raise self.metadata["error"]  # type: ignore[index]

    for error, transient in ((StatusError("key sk-1"), True), (ValueError("sk-1"), False), (ConnectionError(), True)):
        chat = Broken(responses=["x"], metadata={"error": error})
        with pytest.raises(ProviderError) as caught:
            await _Foreign(chat, "langchain/x", arguments=lambda request: {}).complete(ASK)
        assert caught.value.transient is transient
        assert "sk-1" not in str(caught.value)
        assert caught.value.__cause__ is error


async def test_block_content_and_provider_finish_reasons_are_read() -> None:
    from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
    from langchain_core.messages import AIMessage

    from autoflow.models.chat import ChatModel

    blocks: Any = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "yes"}, "!"]
    answers = [
        AIMessage(blocks, response_metadata={"stop_reason": "max_tokens"}),
        AIMessage("x", response_metadata={"finish_reason": "odd"}),
    ]
    model = ChatModel(FakeMessagesListChatModel(responses=answers), "langchain/x", arguments=lambda request: {})
    first = await model.complete(Request((Message("system", "s"), Message("assistant", "a"), Message("user", "u"))))
    assert (first.text, first.finish) == ("yes!", "length")
    assert (await model.complete(ASK)).finish == "unknown"


# Replay


def record(folder: Path, *pairs: tuple[Request, Reply]) -> Path:
    folder.mkdir()
    with sqlite3.connect(folder / "ledger.sqlite") as database:
        database.execute("CREATE TABLE replies (key TEXT PRIMARY KEY, model TEXT, reply TEXT)")
        for request, reply in pairs:
            row = (request.key(reply.model), reply.model, json.dumps(asdict(reply)))
            database.execute("INSERT INTO replies VALUES (?, ?, ?)", row)
    database.close()
    return folder


async def test_replay_answers_what_was_recorded_and_nothing_else(tmp_path: Path) -> None:
    other = Request((Message("user", "other"),), Sampling(temperature=1.0, seed=4))
    folder = record(
        tmp_path / "run",
        (ASK, Reply("one", "openai/a", Usage(3, 1, None, 0.5), finish="stop")),
        (other, Reply("two", "openai/b")),
    )
    model = open_model(f"replay/{folder}")
    reply = await model.complete(ASK)
    assert (reply.text, reply.model, reply.cached, reply.usage) == ("one", "openai/a", True, Usage(3, 1, None, 0.5))
    assert (await model.complete(other)).text == "two"
    unseen = Request((Message("user", "never asked"),), purpose="step")
    with pytest.raises(ProviderError, match=r"never asked") as caught:
        await model.complete(unseen)
    assert "openai/a, openai/b" in str(caught.value)
    assert not caught.value.transient
    await model.aclose()
    await model.aclose()
    with pytest.raises(ProviderError, match="closed"):
        await model.complete(ASK)


def test_replay_of_what_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run folder"):
        open_model(f"replay/{tmp_path}")
    with pytest.raises(RunError, match="recorded no replies"):
        open_model(f"replay/{record(tmp_path / 'empty')}")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "ledger.sqlite").write_text("x" * 5000)
    with pytest.raises(RunError, match="cannot be read"):
        open_model(f"replay/{tmp_path / 'bad'}")
