"""The provider `transformers`: on a random Llama of the tests' own."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore")

import tiny_llama  # noqa: E402

from autoflow.core.model import Message, Model, Request, Sampling  # noqa: E402
from autoflow.errors import MissingDependencyError, ProviderError, ReplyError, UsageError  # noqa: E402
from autoflow.models.factory import open_model  # noqa: E402
from autoflow.models.options import ModelOptions  # noqa: E402

PROMPTS = ("Hello.", "A somewhat longer question, so that rows are padded?", "Third", "x" * 60)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama.make(tmp_path_factory.mktemp("llama"))


@pytest.fixture
async def model(place: Path) -> AsyncIterator[Model]:
    opened = open_model(f"transformers/{place}", ModelOptions(offline=True))
    yield opened
    await opened.aclose()


def _asked(text: str, sampling: Sampling = Sampling(max_tokens=24), **rest: object) -> Request:  # noqa: B008
    return Request((Message("user", text),), sampling, **rest)  # type: ignore[arg-type]


def _greedy(place: Path, text: str, count: int) -> str:
    """What transformers itself says, one token at a time, without any cache or batch."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, llama = AutoTokenizer.from_pretrained(place), AutoModelForCausalLM.from_pretrained(place).eval()
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], add_generation_prompt=True, return_dict=True
    )
    ids = list(ids["input_ids"])
    begun = len(ids)
    with torch.inference_mode():
        while len(ids) < begun + count:
            token = int(llama(torch.tensor([ids])).logits[0, -1].argmax())
            if token == tokenizer.eos_token_id:
                break
            ids.append(token)
    return str(tokenizer.decode(ids[begun:], skip_special_tokens=True))


async def test_greedy_replies_are_transformers_own_whatever_the_batch(model: Model, place: Path) -> None:
    alone = [(await model.complete(_asked(text))).text for text in PROMPTS]
    together = await asyncio.gather(*(model.complete(_asked(text)) for text in PROMPTS))
    assert alone == [reply.text for reply in together] == [_greedy(place, text, 24) for text in PROMPTS]
    assert len(set(alone)) > 1


async def test_no_progress_bar_goes_into_a_file(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from transformers.utils import logging

    logging.enable_progress_bar()
    opened = open_model(f"transformers/{place}", ModelOptions(offline=True))
    await opened.complete(_asked("Hello."))
    await opened.aclose()
    assert "%" not in capfd.readouterr().err


async def test_a_seed_gives_the_same_text_whatever_the_batch(model: Model) -> None:
    drawn = Sampling(temperature=1.0, top_p=0.9, max_tokens=16, seed=3)
    alone = [(await model.complete(_asked(text, drawn))).text for text in PROMPTS]
    together = await asyncio.gather(*(model.complete(_asked(text, drawn)) for text in PROMPTS))
    assert alone == [reply.text for reply in together]
    other = await model.complete(_asked(PROMPTS[0], replace(drawn, seed=4)))
    sample = await model.complete(_asked(PROMPTS[0], drawn, sample=1))
    assert len({alone[0], other.text, sample.text}) == 3


async def test_a_small_top_p_draws_as_greedily_as_temperature_zero(model: Model) -> None:
    nearly = Sampling(temperature=1.0, top_p=1e-6, max_tokens=12, seed=0)
    greedy = Sampling(max_tokens=12)
    for text in PROMPTS:
        assert (await model.complete(_asked(text, nearly))).text == (await model.complete(_asked(text, greedy))).text


def _probability(place: Path, text: str, label: str) -> float:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, llama = AutoTokenizer.from_pretrained(place), AutoModelForCausalLM.from_pretrained(place).eval()
    turns = [{"role": "user", "content": text}]
    prompt = tokenizer(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))["input_ids"]
    tokens = tokenizer(label)["input_ids"] + [tokenizer.eos_token_id]
    with torch.inference_mode():
        logits = llama(torch.tensor([prompt + tokens])).logits[0].double()
    each = torch.log_softmax(logits[len(prompt) - 1 : -1], -1)
    return float(each[range(len(tokens)), tokens].sum())


async def test_labels_are_chosen_by_their_exact_log_probability(model: Model, place: Path) -> None:
    labels = ("yes", "no", "not at all")
    reply = await model.complete(_asked("Well?", labels=labels))
    exact = {label: _probability(place, "Well?", label) for label in labels}
    total = math.log(sum(math.exp(value) for value in exact.values()))
    assert reply.label_logprobs == pytest.approx({label: value - total for label, value in exact.items()}, abs=1e-4)
    assert reply.text == max(exact, key=lambda label: exact[label])
    drawn = {
        (await model.complete(_asked("Well?", Sampling(temperature=2.0, seed=seed), labels=labels))).text
        for seed in range(12)
    }
    assert drawn <= set(labels)


async def test_a_reply_ends_at_its_stop_or_its_length_and_is_counted(model: Model) -> None:
    whole = await model.complete(_asked("Hello."))
    short = await model.complete(_asked("Hello.", Sampling(max_tokens=5)))
    assert short.finish == "length"
    assert short.usage.output_tokens == 5
    assert whole.usage.input_tokens == len("<|>user\nHello.<|>\n<|>assistant\n") - 3 * 2
    assert whole.usage.cost_usd == 0.0
    stop = whole.text[3:5]
    cut = await model.complete(_asked("Hello.", Sampling(max_tokens=24, stop=(stop,))))
    assert cut.finish == "stop"
    assert cut.text == whole.text.partition(stop)[0]


async def test_a_prompt_beyond_the_context_is_the_flow_s_failure_not_the_others(model: Model) -> None:
    answers = await asyncio.gather(
        model.complete(_asked("y" * 600)), model.complete(_asked("Hello.")), return_exceptions=True
    )
    assert isinstance(answers[0], ReplyError)
    assert not isinstance(answers[1], BaseException)


async def test_a_cancelled_call_ends_without_its_neighbours(model: Model) -> None:
    long = asyncio.create_task(model.complete(_asked("Hello.", Sampling(max_tokens=400, temperature=1.0, seed=1))))
    short = asyncio.create_task(model.complete(_asked("Third", Sampling(max_tokens=8))))
    await asyncio.sleep(0)
    long.cancel()
    assert (await short).usage.output_tokens is not None
    with pytest.raises(asyncio.CancelledError):
        await long


async def test_an_adapter_changes_what_is_said(place: Path, model: Model, tmp_path: Path) -> None:
    folder = tiny_llama.adapter(place, tmp_path / "adapter")
    adapted = open_model(f"transformers/{place}@{folder}", ModelOptions(offline=True))
    try:
        plain: Sequence[str] = [(await model.complete(_asked(text))).text for text in PROMPTS]
        changed = [(await adapted.complete(_asked(text))).text for text in PROMPTS]
        assert plain != changed
        assert adapted.name == f"transformers/{place}@{folder}"
    finally:
        await adapted.aclose()


def test_what_is_not_there_is_said_plainly(place: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        open_model(f"transformers/{tmp_path}/absent", ModelOptions(offline=True))
    with pytest.raises(UsageError, match="no folder"):
        open_model(f"transformers/{place}@./absent", ModelOptions(offline=True))
    with pytest.raises(MissingDependencyError, match="cannot be loaded"):
        open_model("transformers/nobody/no-such-model", ModelOptions(offline=True))


async def test_closing_ends_the_thread_and_refuses_what_comes_after(place: Path) -> None:
    import threading

    opened = open_model(f"transformers/{place}", ModelOptions(offline=True))
    await opened.complete(_asked("Hello."))
    await opened.aclose()
    await opened.aclose()
    with pytest.raises(ProviderError, match="closed"):
        await opened.complete(_asked("Hello."))
    assert "autoflow-transformers" not in {thread.name for thread in threading.enumerate()}
