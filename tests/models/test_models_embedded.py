"""The embedded model itself. `make test` fetches its weights first; without them these tests fail and say so."""

import asyncio
import math
from collections.abc import Iterator

import pytest

from autoflow.core.model import Message, Model, Request, Sampling
from autoflow.errors import ProviderError, ReplyError
from autoflow.models import embedded
from autoflow.models.factory import ModelOptions, open_model
from autoflow.models.structured import choose, structured

# One worker: two of these at once would load the model twice and slow each other down.
pytestmark = [pytest.mark.embedded, pytest.mark.xdist_group("embedded")]

SPEC = "embedded/smollm2-135m"
OPTIONS = ModelOptions(slots=4, context_tokens=1024, timeout_s=300, offline=True)


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    opened = open_model(SPEC, OPTIONS)
    yield opened
    asyncio.run(opened.aclose())
    assert not embedded._loaded


def ask(text: str, sampling: Sampling = Sampling(max_tokens=24), **rest: object) -> Request:  # noqa: B008
    return Request((Message("user", text),), sampling, **rest)  # type: ignore[arg-type]


async def test_greedy_answer_repeats_with_real_usage_and_a_cached_prefix(model: Model) -> None:
    request = ask("Here is a question about the geography of Europe. Name the capital of France.")
    first, second = await model.complete(request), await model.complete(request)
    assert "Paris" in first.text
    assert first.text == second.text
    assert (first.finish, first.model, first.usage.cost_usd) == ("stop", SPEC, 0.0)
    assert first.usage.input_tokens == second.usage.input_tokens == 46
    assert 0 < (first.usage.output_tokens or 0) <= 24
    assert (second.usage.cached_tokens or 0) >= 40


async def test_calls_under_way_together_answer_as_they_do_alone(model: Model) -> None:
    requests = [ask(f"Say something about the number {number}.", Sampling(max_tokens=12)) for number in range(10)]
    together = await asyncio.gather(*(model.complete(request) for request in requests))
    alone = [await model.complete(request) for request in requests[:3]]
    assert [reply.text for reply in together[:3]] == [reply.text for reply in alone]
    assert len({reply.text for reply in together}) > 5


async def test_schema_constrains_and_keeps_the_stated_order(model: Model) -> None:
    schema = {
        "type": "object",
        "properties": {
            "zeta": {"enum": ["x", "y"]},
            "alpha": {"type": "array", "items": {"type": "integer"}, "maxItems": 2},
        },
        "required": ["zeta", "alpha"],
        "additionalProperties": False,
    }
    value = await structured(model, ask("Give me the object."), schema)
    assert isinstance(value, dict)
    assert list(value) == ["zeta", "alpha"]
    reply = await model.complete(ask("Give me the object.", schema=schema))
    assert "\n" not in reply.text


async def test_grammar_constrains(model: Model) -> None:
    reply = await model.complete(ask("How many?", grammar='root ::= [0-9] [0-9] " apples"'))
    assert reply.text[2:] == " apples"
    with pytest.raises(ProviderError, match="grammar") as caught:
        await model.complete(ask("x", grammar="root ::= nowhere"))
    assert not caught.value.transient


async def test_label_probabilities_cover_the_labels_also_when_they_begin_alike(model: Model) -> None:
    labels = ("Paris", "Paris, Texas", "Berlin", "New York City")
    reply = await model.complete(ask("What is the capital of France? Answer with the name.", labels=labels))
    assert math.fsum(math.exp(value) for value in reply.label_logprobs.values()) == pytest.approx(1.0)
    assert reply.text == max(labels, key=lambda label: reply.label_logprobs[label])
    assert reply.label_logprobs["Paris"] > reply.label_logprobs["Berlin"]
    assert await choose(model, ask("Is it?"), ["yes", "no"]) in ("yes", "no")


async def test_labels_are_drawn_by_temperature_and_seed(model: Model) -> None:
    def drawn(sample: int) -> Request:
        return ask("Heads or tails?", Sampling(temperature=3.0, seed=5), labels=("heads", "tails"), sample=sample)

    texts = [(await model.complete(drawn(sample))).text for sample in range(8)]
    assert set(texts) == {"heads", "tails"}
    assert (await model.complete(drawn(0))).text == texts[0]


async def test_many_labels_are_constrained_without_probabilities(model: Model) -> None:
    labels = tuple(f"label {number}" for number in range(embedded.MOST_SCORED_LABELS + 1))
    reply = await model.complete(ask("Pick one.", labels=labels))
    assert reply.text in labels
    assert reply.label_logprobs == {}


async def test_seed_fixes_a_draw_and_samples_differ(model: Model) -> None:
    sampling = Sampling(temperature=1.2, top_p=0.95, max_tokens=16, seed=11)
    texts = [(await model.complete(ask("Tell a story.", sampling, sample=sample))).text for sample in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]


async def test_stop_and_length_are_reported(model: Model) -> None:
    counting = "Count: one, two, three, four, five. Repeat that."
    assert (await model.complete(ask(counting, Sampling(max_tokens=3)))).finish == "length"
    reply = await model.complete(ask(counting, Sampling(max_tokens=40, stop=("three",))))
    assert "three" not in reply.text


async def test_prompt_that_does_not_fit_is_the_flows_failure_and_names_both_numbers(model: Model) -> None:
    for rest in ({}, {"labels": ("yes", "no")}):
        with pytest.raises(ReplyError, match=r"the prompt has 4\d\d\d tokens; .* context is 1024"):
            await model.complete(ask("word " * 4000, **rest))


async def test_cancelled_call_ends_soon_and_the_model_goes_on(model: Model) -> None:
    tasks = [
        asyncio.create_task(model.complete(ask("Tell a very long story.", Sampling(max_tokens=900)))) for _ in range(9)
    ]
    await asyncio.sleep(0.3)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert (await model.complete(ask("Say hi.", Sampling(max_tokens=2)))).text


async def test_generator_and_interpreter_share_one_loaded_model(model: Model) -> None:
    second = open_model(SPEC, OPTIONS)
    assert len(embedded._loaded) == 1
    await second.aclose()
    await second.aclose()
    assert (await model.complete(ask("Say hi.", Sampling(max_tokens=2)))).text


async def test_loading_asking_and_closing_are_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    small = open_model(SPEC, ModelOptions(slots=1, context_tokens=512, threads=1, offline=True))
    waiting = [asyncio.create_task(small.complete(ask("Go on.", Sampling(max_tokens=400)))) for _ in range(3)]
    await asyncio.sleep(0.2)
    await small.aclose()
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(result, ProviderError | RuntimeError | asyncio.CancelledError)
    assert capfd.readouterr() == ("", "")


def test_model_answers_langchain_callers_without_a_loop(model: Model) -> None:
    runtime, _ = next(iter(embedded._loaded.values()))
    chat = embedded.EmbeddedChat(runtime)
    assert chat.invoke("Say hi.", stop=["!"], max_tokens=4).text
