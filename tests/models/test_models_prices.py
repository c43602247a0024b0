"""What a call costs: the user's rates, else what the provider says, else nobody knows."""

from pathlib import Path

import pytest
from openai_server import serve

from autoflow import plugins
from autoflow.config import Endpoint, Rates
from autoflow.core.model import Message, Request, Usage
from autoflow.errors import UnknownNameError
from autoflow.models.factory import ModelOptions, open_model, price_of
from autoflow.models.prices import cost

USAGE = Usage(1_000_000, 100_000, 200_000)
NEAR = {"near": Endpoint("http://127.0.0.1:9/v1")}
QUESTION = Request((Message("user", "What is 1 + 1?"),))


def test_input_output_and_cached_input_have_rates_of_their_own() -> None:
    assert cost(Rates(2.0, 10.0), USAGE) == pytest.approx(2.0 + 1.0)
    assert cost(Rates(2.0, 10.0, 0.5), USAGE) == pytest.approx(1.6 + 0.1 + 1.0)
    assert cost(Rates(0.0, 0.0), USAGE) == 0.0
    assert cost(Rates(2.0, 10.0), Usage(5, None)) is None


@pytest.mark.parametrize("spec", ["near/qwen3-8b", "openai/gpt-5-mini", "scripted/x.yaml", "langchain/module:Class"])
def test_the_users_rates_win_whatever_the_provider_says(spec: str) -> None:
    options = ModelOptions(endpoints=NEAR, prices={spec: Rates(3.0, 0.0)})
    assert price_of(spec, options, USAGE) == pytest.approx(3.0)


def test_without_them_the_provider_says() -> None:
    options = ModelOptions(endpoints=NEAR, prices={"openai/other": Rates(1.0, 1.0)})
    assert price_of("near/qwen3-8b", options, USAGE) is None
    assert price_of("langchain/module:Class", options, USAGE) is None
    known = price_of("openai/gpt-5-mini", options, USAGE)
    assert known is not None
    assert known > 0
    elsewhere = ModelOptions(base_url="http://127.0.0.1:9/v1")
    assert price_of("openai/qwen3-8b", elsewhere, USAGE) is None


def test_an_unknown_provider_is_named() -> None:
    with pytest.raises(UnknownNameError, match="unknown model provider 'luck'"):
        price_of("luck/x", ModelOptions(), USAGE)


def test_a_model_is_priced_without_being_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOFLOW_CACHE", "/nowhere")
    assert price_of("embedded/smollm2-135m", ModelOptions(offline=True), USAGE) == 0.0


def test_a_provider_that_is_a_mere_function_has_no_known_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "load", lambda *_: lambda name, options: None)
    assert price_of("scripted/x", ModelOptions(), USAGE) is None


async def test_replies_carry_the_cost_at_the_users_rates(tmp_path: Path) -> None:
    script = tmp_path / "s.yaml"
    script.write_text("- replies: [one two three]\n")
    spec = f"scripted/{script}"
    model = open_model(spec, ModelOptions(prices={spec: Rates(1e6, 10e6)}))
    reply = await model.complete(QUESTION)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (5, 3)
    assert reply.usage.cost_usd == pytest.approx(5 + 30)
    assert (model.name, model.features) == (spec, frozenset())
    await model.aclose()


async def test_a_server_of_ones_own_has_the_price_that_the_user_states() -> None:
    with serve(replies=["two"], cached_tokens=1) as server:
        options = ModelOptions(
            endpoints={"near": Endpoint(server.url)}, prices={"near/m": Rates(1.0, 2.0, 0.25)}, max_retries=0
        )
        model = open_model("near/m", options)
        usage = (await model.complete(QUESTION)).usage
        await model.aclose()
    assert usage.input_tokens is not None
    assert usage.output_tokens is not None
    expected = (usage.input_tokens - 1) * 1.0 + 1 * 0.25 + usage.output_tokens * 2.0
    assert usage.cost_usd == pytest.approx(expected / 1e6)
