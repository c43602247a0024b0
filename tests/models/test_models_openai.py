"""The `openai` provider over real HTTP on loopback."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, AsyncCallbackManager
from langchain_core.globals import set_debug
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers.context import collect_runs, register_configure_hook, tracing_v2_enabled
from openai_server import EMPTY, HANG, MALFORMED, RESET, SERVER_ERROR, TOO_MANY, TRUNCATED, Fault, serve

from autoflow.core.model import Message, Model, Reply, Request, Sampling
from autoflow.errors import MissingDependencyError, ProviderError, ReplyError, UsageError
from autoflow.models import chat as chat_models
from autoflow.models.factory import Endpoint, ModelOptions, open_model
from autoflow.models.openai import OpenAIChat, strict
from autoflow.models.prices import price
from autoflow.models.structured import choose, structured

HELLO = Request((Message("system", "Be brief."), Message("user", "Say hello.")), Sampling(max_tokens=20))
ONCE = ModelOptions(max_retries=0)


async def ask(url: str, request: Request = HELLO, options: ModelOptions = ONCE) -> Reply:
    model = open_model("openai/test", replace(options, base_url=url))
    try:
        return await model.complete(request)
    finally:
        await model.aclose()


async def fault_of(url: str, options: ModelOptions = ONCE, request: Request = HELLO) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await ask(url, request, options)
    return caught.value


async def test_compressed_reply_is_read() -> None:
    with serve(replies=["Grüße!" * 1000], compress=True) as server:
        assert (await ask(server.url)).text == "Grüße!" * 1000
    with serve(faults=[replace(TOO_MANY, headers={"Content-Encoding": "identity", "Retry-After": "2"})]) as server:
        assert (await fault_of(server.url)).retry_after_s == 2


async def test_redirections_are_followed_and_cookies_kept() -> None:
    moved = Fault("status", 307, {"Location": "/v1/chat/completions", "Set-Cookie": "who=me; Path=/"})
    with serve(replies=["here"], faults=[moved, moved]) as server:
        assert (await ask(server.url)).text == "here"
    assert [headers.get("Cookie") for headers in server.headers] == [None, "who=me", "who=me"]
    limited = replace(TOO_MANY, headers={"Retry-After": "0", "Set-Cookie": "who=me; Path=/"})
    with serve(replies=["here"], faults=[limited]) as server:
        await ask(server.url, options=ModelOptions(max_retries=1))
    assert [headers.get("Cookie") for headers in server.headers] == [None, "who=me"]


async def test_calls_go_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(replies=["by proxy"]) as server:
        monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
        assert (await ask("http://nowhere.invalid/v1")).text == "by proxy"
    assert server.headers[0]["Host"] == "nowhere.invalid"


async def test_reply_carries_text_model_usage_and_finish() -> None:
    with serve(replies=["Hello there!"], cached_tokens=3) as server:
        reply = await ask(server.url)
    assert (reply.text, reply.model, reply.finish) == ("Hello there!", "openai/test", "stop")
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.cached_tokens) == (4, 2, 3)
    assert reply.seconds > 0


async def test_unknown_price_is_none_and_a_known_one_counts_cached_tokens() -> None:
    with serve(replies=["x"]) as server:
        assert (await ask(server.url)).usage.cost_usd is None
    from autoflow.core.model import Usage

    url = "https://api.openai.com/v1"
    usage = Usage(1_000_000, 1_000_000, 1_000_000)
    full, cached = price("gpt-5-mini", url, replace(usage, cached_tokens=None)), price("gpt-5-mini", url, usage)
    assert full is not None
    assert cached is not None
    assert 0 < cached < full
    assert price("no-such-model", url, usage) is None
    assert price("gpt-5-mini", url, Usage()) is None


@pytest.mark.parametrize("model", ["gpt-5-mini", "gpt-4o", "gpt-4.1-nano", "o3"])
def test_the_quick_price_equals_the_tables_own_calculation(model: str) -> None:
    from genai_prices import Usage as Counts
    from genai_prices import calc_price

    from autoflow.core.model import Usage

    own = calc_price(Counts(input_tokens=1234, output_tokens=77, cache_read_tokens=200), model, provider_id="openai")
    assert price(model, "https://api.openai.com/v1", Usage(1234, 77, 200)) == pytest.approx(float(own.total_price))


async def test_sampling_reaches_the_server_and_draws_have_their_own_seeds() -> None:
    sampling = Sampling(temperature=0.7, top_p=0.9, max_tokens=5, seed=7, stop=("END",))
    with serve(replies=["x"]) as server:
        for sample in (0, 1):
            await ask(server.url, Request((Message("user", "hi"),), sampling, sample=sample))
    first, second = server.bodies
    assert (first["temperature"], first["top_p"], first["max_tokens"], first["stop"]) == (0.7, 0.9, 5, ["END"])
    assert first["seed"] == 7 != second["seed"]
    assert "response_format" not in first


async def test_no_usage_reported_is_none_not_zero() -> None:
    with serve(replies=["x"], report_usage=False) as server:
        usage = (await ask(server.url)).usage
    assert usage.input_tokens is None
    assert usage.output_tokens is None


@pytest.mark.parametrize(
    ("fault", "transient", "status"),
    [
        (RESET, True, None),
        (MALFORMED, True, None),
        (TRUNCATED, True, None),
        (EMPTY, True, None),
        (Fault("not_json"), True, None),
        (SERVER_ERROR, True, 500),
        (Fault("status", 503), True, 503),
        (Fault("status", 429, {"Retry-After": "7"}), True, 429),
        (Fault("status", 408), True, 408),
        (Fault("status", 409), True, 409),
        (Fault("status", 425), True, 425),
        (Fault("status", 429, {}, {"code": "insufficient_quota", "message": "no money"}), False, 429),
        (Fault("status", 404, {}, {"message": "no such model"}), False, 404),
        (Fault("status", 400, {}, {"message": "bad"}), False, 400),
        (Fault("status", 401), False, 401),
        (Fault("status", 403), False, 403),
    ],
    ids=lambda value: getattr(value, "kind", None) and f"{value.kind}-{value.status}",
)
async def test_every_failure_is_a_provider_error(fault: Fault, transient: bool, status: int | None) -> None:
    with serve(faults=[fault]) as server:
        error = await fault_of(server.url)
    assert (error.transient, error.status) == (transient, status)
    if fault.headers:
        assert error.retry_after_s == 7


async def test_hanging_reply_ends_at_the_time_out_and_is_tried_again() -> None:
    with serve(faults=[HANG], replies=["late"]) as server:
        request = replace(HELLO, timeout_s=1.0)
        reply = await ask(server.url, request, ModelOptions(max_retries=1, seed=1))
        assert reply.text == "late"
        assert server.calls == 2


async def test_server_that_is_not_there_is_transient_and_named() -> None:
    error = await fault_of("http://127.0.0.1:9/v1")
    assert error.transient
    assert "the connection to test at http://127.0.0.1:9/v1 failed (Connection refused)" in str(error)
    nowhere = await fault_of("http://nowhere.invalid/v1")
    assert "http://nowhere.invalid/v1 failed (" in str(nowhere)


def test_address_that_is_none_is_refused_before_anything_is_asked() -> None:
    for url in ("ftp://127.0.0.1/v1", "127.0.0.1/v1", "http://"):
        with pytest.raises(UsageError, match="no address of a server"):
            open_model("openai/x", ModelOptions(base_url=url))


async def test_proxy_of_the_environment_is_used_unless_the_host_is_excepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serve(replies=["by proxy"]) as server:
        # The test server serves as one: a proxy is asked for the whole address, whose path it then looks at.
        monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
        assert (await ask("http://models.invalid/v1")).text == "by proxy"
        assert server.headers[0]["Host"] == "models.invalid"
        monkeypatch.setenv("no_proxy", "models.invalid")
        assert (await fault_of("http://models.invalid/v1")).transient


def test_one_model_serves_one_loop_after_another() -> None:
    with serve(replies=["x"]) as server:
        model = open_model("openai/m", replace(ONCE, base_url=server.url))
        for _ in range(2):
            assert asyncio.run(model.complete(HELLO)).text == "x"
        asyncio.run(model.aclose())


async def test_all_transient_faults_in_a_row_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoflow.models.retry.FIRST_WAIT_S", 0.01)
    faults = [TOO_MANY, SERVER_ERROR, RESET, MALFORMED, TRUNCATED, EMPTY]
    with serve(faults=faults * 3, latency_s=0.002) as server:
        model = open_model("openai/test", ModelOptions(base_url=server.url, max_retries=18, seed=3))
        requests = [Request((Message("user", f"question {index}"),)) for index in range(40)]
        replies = await asyncio.gather(*(model.complete(request) for request in requests))
        await model.aclose()
    assert [reply.text for reply in replies] == [f"question {index}" for index in range(40)]
    assert server.calls == 40 + len(faults) * 3


async def test_concurrency_adapts_to_a_server_that_takes_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoflow.models.retry.FIRST_WAIT_S", 0.02)
    with serve(latency_s=0.01, max_in_flight=4) as server:
        model = open_model("openai/test", ModelOptions(base_url=server.url, max_retries=30, seed=3))
        replies = await asyncio.gather(
            *(model.complete(Request((Message("user", f"q{index}"),))) for index in range(120))
        )
        await model.aclose()
    assert len(replies) == 120
    assert server.answered == 120
    assert server.calls < 240


# Keys


async def test_key_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-123456")
    with serve(key="sk-other-999999") as server:
        error = await fault_of(server.url)
        assert server.headers[0]["Authorization"] == "Bearer sk-secret-123456"
    assert "OPENAI_API_KEY" in str(error)
    assert "sk-" not in str(error)


async def test_key_in_a_servers_message_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sesame-open-42")
    with serve(faults=[Fault("status", 500, {}, {"message": "key sesame-open-42 or sk-abc failed"})]) as server:
        error = await fault_of(server.url)
    assert "sesame" not in str(error)
    assert "sk-abc" not in str(error)
    assert "failed" in str(error)


async def test_server_of_ones_own_is_asked_without_a_key() -> None:
    with serve(replies=["x"]) as server:
        await ask(server.url)
    assert "Authorization" not in server.headers[0]


async def test_endpoint_gets_its_own_key_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    monkeypatch.setenv("LOCAL_KEY", "local")
    with serve(replies=["x"]) as server:
        endpoints = {"lab": Endpoint(server.url, "LOCAL_KEY"), "open": Endpoint(server.url)}
        for spec in ("lab/qwen/qwen3", "open/m"):
            model = open_model(spec, ModelOptions(endpoints=endpoints))
            assert (await model.complete(HELLO)).model == spec
            await model.aclose()
    assert server.headers[0]["Authorization"] == "Bearer local"
    assert "Authorization" not in server.headers[1]
    assert server.bodies[0]["model"] == "qwen/qwen3"


def test_an_address_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(UsageError, match="name or password") as caught:
        open_model("openai/x", ModelOptions(base_url="http://ann:hush@127.0.0.1:9/v1"))
    assert "hush" not in str(caught.value)


def test_missing_key_names_the_variable_and_an_alternative() -> None:
    with pytest.raises(MissingDependencyError, match="OPENAI_API_KEY"):
        open_model("openai/gpt-5-mini")
    with pytest.raises(MissingDependencyError, match="LAB_KEY"):
        open_model("lab/m", ModelOptions(endpoints={"lab": Endpoint("http://127.0.0.1:9/v1", "LAB_KEY")}))


async def test_401_without_a_key_says_that_none_was_sent() -> None:
    with serve(key="k") as server:
        error = await fault_of(server.url)
    assert "no key was sent" in str(error)


# Parameters that a model refuses


def refusing(parameter: str, message: str, *, named: bool = True) -> Callable[[dict[str, Any]], Fault | None]:
    def refuse(body: dict[str, Any]) -> Fault | None:
        if parameter not in body:
            return None
        return Fault("status", 400, {}, {"message": message, "param": parameter if named else None})

    return refuse


@pytest.mark.parametrize("named", [True, False])
async def test_refused_temperature_is_left_out_from_then_on(named: bool) -> None:
    message = "Unsupported value: 'temperature' does not support 0 with this model."
    with serve(replies=["fine"], refuse=refusing("temperature", message, named=named)) as server:
        model = open_model("openai/reasoner", replace(ONCE, base_url=server.url))
        for _ in range(3):
            assert (await model.complete(HELLO)).text == "fine"
        await model.aclose()
    assert server.calls == 4


async def test_token_limit_is_sent_under_the_name_that_the_model_knows() -> None:
    message = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    )
    with serve(replies=["fine"], refuse=refusing("max_tokens", message)) as server:
        await ask(server.url)
    assert server.bodies[1]["max_completion_tokens"] == 20


async def test_server_that_knows_neither_name_is_an_error() -> None:
    def refuse(body: dict[str, Any]) -> Fault | None:
        name = "max_tokens" if "max_tokens" in body else "max_completion_tokens"
        return Fault("status", 422, {}, {"message": f"{name}: extra fields not permitted"})

    with serve(refuse=refuse) as server:
        assert (await fault_of(server.url)).status == 422


async def test_server_without_json_schema_is_asked_in_words() -> None:
    message = "This response_format type is unavailable now"
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    with serve(replies=['Sure: {"a": 4}'], refuse=refusing("response_format", message, named=False)) as server:
        model = open_model("openai/m", replace(ONCE, base_url=server.url))
        assert await structured(model, HELLO, schema) == {"a": 4}
        await model.aclose()
    assert '"integer"' in server.bodies[1]["messages"][-1]["content"]


async def test_prompt_that_does_not_fit_is_the_flows_failure() -> None:
    fault = Fault("status", 400, {}, {"message": "too long: 9000 tokens", "code": "context_length_exceeded"})
    with serve(faults=[fault]) as server, pytest.raises(ReplyError, match="too long"):
        await ask(server.url)


# Forms


async def test_schema_and_labels_are_constrained_by_the_server() -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    with serve() as server:
        model = open_model("openai/m", replace(ONCE, base_url=server.url))
        assert await structured(model, HELLO, schema) == {"n": 1}
        assert await structured(model, HELLO, {"type": "array", "items": {"type": "string"}}) == ["text"]
        assert await choose(model, HELLO, ["maybe", "no"]) == "maybe"
        await model.aclose()
    forms = [body["response_format"]["json_schema"] for body in server.bodies]
    assert [form["strict"] for form in forms] == [True, True, True]
    assert all(form["schema"]["type"] == "object" for form in forms)


async def test_reply_that_ignores_the_form_is_left_to_the_caller() -> None:
    with serve(replies=["maybe so"]) as server:
        reply = await ask(server.url, replace(HELLO, labels=("yes", "no")))
    assert reply.text == "maybe so"


async def test_grammar_is_refused_before_the_call() -> None:
    with serve() as server:
        error = await fault_of(server.url, request=replace(HELLO, grammar='root ::= "x"'))
        assert server.calls == 0
    assert not error.transient


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object", "properties": {}, "required": [], "additionalProperties": False}, True),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}, False),
        ({"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}, False),
        ({"type": "object", "properties": {"a": True}, "required": ["a"], "additionalProperties": False}, False),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": [], "additionalProperties": False},
            False,
        ),
        ({"type": "object", "properties": 3, "additionalProperties": False}, False),
        ({"type": "array"}, False),
        ({"type": "array", "items": {"oneOf": []}}, False),
        ({"anyOf": [{"type": "string"}, {"const": 1}]}, True),
        ({"anyOf": [{"not": {}}]}, False),
    ],
)
def test_strict_mode_is_claimed_only_for_schemas_that_it_takes(schema: Any, expected: bool) -> None:
    assert strict(schema) is expected


# LangChain


async def test_langchain_callbacks_see_every_call() -> None:
    seen: list[str] = []

    class Watcher(AsyncCallbackHandler):
        async def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
            seen.append(messages[0][-1].content)

        async def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            seen.append(response.generations[0][0].text)

    from autoflow.models.chat import ChatModel

    with serve(replies=["hi"]) as server:
        chat = OpenAIChat(model="m", base_url=server.url, key=None, key_env=None, timeout_s=5, connections=2)
        model = ChatModel(
            chat, "openai/m", arguments=lambda request: {}, config={"callbacks": [Watcher()]}, close=chat.aclose
        )
        assert model.chat is chat
        await model.complete(HELLO)
        answer = await chat.ainvoke("again", logprobs=True)
        await model.aclose()
        await model.aclose()
    assert seen == ["Say hello.", "hi"]
    assert answer.text == "hi"
    assert server.bodies[1]["logprobs"] is True


async def test_callbacks_around_the_caller_see_its_calls_too() -> None:
    seen: list[str] = []

    class Watcher(AsyncCallbackHandler):
        async def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            seen.append(response.generations[0][0].text)

    with serve(replies=["hi"]) as server:
        model = open_model("openai/m", replace(ONCE, base_url=server.url))
        chain = RunnableLambda(lambda request: request, afunc=model.complete)
        watched = await chain.ainvoke(HELLO, {"callbacks": [Watcher()]})
        alone = await chain.ainvoke(HELLO)
        await model.aclose()
    assert seen == ["hi"]
    assert replace(watched, seconds=0.0) == replace(alone, seconds=0.0)


HOOK: ContextVar[AsyncCallbackHandler | None] = ContextVar("test_models_openai", default=None)
register_configure_hook(HOOK, inheritable=False)


@contextmanager
def hooked() -> Iterator[None]:
    token = HOOK.set(AsyncCallbackHandler())
    yield
    HOOK.reset(token)


@contextmanager
def debugging() -> Iterator[None]:
    set_debug(True)
    yield
    set_debug(False)


@pytest.mark.parametrize("watching", [hooked, debugging, tracing_v2_enabled, collect_runs])
async def test_what_watches_the_whole_process_sees_calls_too(watching: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with watching():
        assert AsyncCallbackManager.configure().handlers
        assert chat_models._watched_globally()
    assert not AsyncCallbackManager.configure().handlers
    assert not chat_models._watched_globally()
    # LangChain's list of hooks is its own: should it move, LangChain is asked.
    with watching(), monkeypatch.context() as patch:
        patch.setattr(chat_models, "context", object())
        assert chat_models._watched_globally()


async def test_runs_collected_around_a_call_hold_it() -> None:
    with serve(replies=["hi"]) as server:
        model = open_model("openai/m", replace(ONCE, base_url=server.url))
        with collect_runs() as collected:
            await model.complete(HELLO)
        await model.complete(HELLO)
        await model.aclose()
    assert len(collected.traced_runs) == 1


async def test_cancelled_call_frees_its_place() -> None:
    with serve(faults=[HANG], replies=["next"]) as server:
        model = open_model("openai/m", ModelOptions(base_url=server.url, max_concurrency=1))
        first = asyncio.create_task(model.complete(HELLO))
        second = asyncio.create_task(model.complete(HELLO))
        await asyncio.sleep(0.1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert (await second).text == "next"
        await model.aclose()


async def test_calls_in_flight_share_the_time() -> None:
    with serve(latency_s=0.1) as server:
        model: Model = open_model("openai/m", ModelOptions(base_url=server.url))
        started = time.perf_counter()
        await asyncio.gather(*(model.complete(HELLO) for _ in range(16)))
        await model.aclose()
    assert time.perf_counter() - started < 1.2
    assert server.peak > 8


async def test_synchronous_use_says_what_to_call() -> None:
    chat = OpenAIChat(model="m", base_url="http://127.0.0.1:9/v1", key=None, key_env=None, timeout_s=5, connections=2)
    with pytest.raises(UsageError, match="ainvoke"):
        chat.invoke("x")
    await chat.aclose()


async def test_refusals_without_end_are_an_error() -> None:
    def refuse(body: dict[str, Any]) -> Fault:
        return Fault("status", 400, {}, {"message": f"unknown parameter: {sorted(body)[-1]}", "param": "seed"})

    with serve(refuse=refuse) as server:
        request = replace(HELLO, sampling=Sampling(seed=1))
        assert (await fault_of(server.url, request=request)).status == 400


@pytest.mark.parametrize("parameter", ["temperature", "max_tokens"])
async def test_refusal_met_by_calls_under_way_together_fails_none(parameter: str) -> None:
    with serve(replies=["ok"], refuse=refusing(parameter, f"'{parameter}' is not supported")) as server:
        model = open_model("openai/m", replace(ONCE, base_url=server.url))
        replies = await asyncio.gather(*(model.complete(HELLO) for _ in range(8)))
        await model.aclose()
    assert [reply.text for reply in replies] == ["ok"] * 8


def test_the_test_server_speaks_json(tmp_path: Any) -> None:
    from urllib.request import Request as Plain
    from urllib.request import urlopen

    with serve(replies=[lambda body: body["model"].upper()]) as server:
        body = json.dumps({"model": "abc", "messages": [{"role": "user", "content": "x"}]}).encode()
        with urlopen(Plain(f"{server.url}/chat/completions", body, {"Content-Type": "application/json"})) as answer:
            assert json.load(answer)["choices"][0]["message"]["content"] == "ABC"


async def test_another_release_of_the_http_library_is_asked_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoflow.models.openai_client._is_known", lambda _: False)
    with serve(replies=["one", "two"], compress=True) as server:
        assert (await ask(server.url)).text == "one"
        assert (await ask(server.url)).text == "two"
