"""Demonstrations that begin alike, read once: the same loss and gradient as one by one."""

import random
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore")

import tiny_llama  # noqa: E402

from autoflow.training.alike import IGNORED, Collator, Tokens, bundle, bundles, tokens_of  # noqa: E402


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama.make(tmp_path_factory.mktemp("llama"))


def _rows(count: int, seed: int = 0) -> list[Tokens]:
    rng = random.Random(seed)
    shared = tuple(rng.randrange(3, 90) for _ in range(20))
    return [
        Tokens(
            shared + tuple(rng.randrange(3, 90) for _ in range(rng.randint(1, 6))),
            tuple(rng.randrange(3, 90) for _ in range(rng.randint(1, 8))),
        )
        for _ in range(count)
    ]


def _loss_and_gradient(model: Any, batch: dict[str, Any]) -> tuple[float, Any]:
    import torch

    model.zero_grad()
    labels = batch.pop("labels")
    logits = model(**batch).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")
    loss.backward()
    return float(loss), torch.cat([weight.grad.flatten() for weight in model.parameters()])


def test_a_bundle_has_the_loss_and_gradient_of_its_rows(place: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(place, attn_implementation="sdpa")
    rows = _rows(5)
    loss, gradient = 0.0, torch.zeros(())
    for row in rows:
        ids = torch.tensor([[*row.prompt, *row.completion]])
        labels = torch.tensor([[*[IGNORED] * len(row.prompt), *row.completion]])
        one, slope = _loss_and_gradient(model, {"input_ids": ids, "labels": labels})
        loss, gradient = loss + one, gradient + slope
    # In a batch with a longer one, so that it is filled up.
    batch = Collator(0)([bundle(rows)])
    together, slope = _loss_and_gradient(model, batch)
    assert together == pytest.approx(loss, rel=1e-4)
    assert torch.allclose(slope, gradient, rtol=1e-3, atol=1e-4)
    padded, _ = _loss_and_gradient(model, Collator(0)([bundle(rows[:2]), bundle(rows[2:])]))
    assert padded == pytest.approx(loss, rel=1e-4)


def test_equal_prompts_keep_a_token_of_their_own(place: Path) -> None:
    row = Tokens((5, 6, 7), (8, 2))
    found = bundle([row, Tokens((5, 6, 7), (9, 2))])
    assert found["input_ids"] == [5, 6, 7, 8, 2, 7, 9, 2]
    assert found["position_ids"] == [0, 1, 2, 3, 4, 2, 3, 4]
    assert found["labels"] == [IGNORED, IGNORED, IGNORED, 8, 2, IGNORED, 9, 2]


def test_rows_are_bundled_while_they_begin_alike_and_none_is_lost() -> None:
    rows = [*_rows(5, seed=1), *_rows(3, seed=2)]
    found = list(bundles(rows, 4))
    assert [max(item["owners"]) for item in found] == [4, 1, 3]
    learned = [label for item in found for label in item["labels"] if label != IGNORED]
    assert learned == [token for row in rows for token in row.completion]


def test_rows_are_tokenised_as_a_generator_is_asked_and_end_with_their_turn(place: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(place)
    row = {
        "prompt": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}],
        "completion": [{"role": "assistant", "content": "{}"}],
    }
    found = tokens_of(row, tokenizer)
    text = tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
    assert list(found.prompt) == tokenizer(text)["input_ids"]
    assert tokenizer.decode(list(found.completion)) == "{}<|im_end|>"
