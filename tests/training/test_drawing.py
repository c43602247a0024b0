"""Samples drawn together from one copy of each prompt are those that the library draws one by one."""

import copy
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")

from training_helpers import make_model

pytestmark = [
    pytest.mark.xdist_group("training"),  # torch is slow to import: once is enough
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"),
]

TEXTS = [text for text, count in (("abcabc", 3), ("h", 1), ("gabfed" * 2, 2)) for _ in range(count)]
LONG = 150
"""Tokens drawn: more than the room for what is written has at first."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny"), spread=0.3)


def asked(model: Path) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    return tokenizer(TEXTS, padding=True, return_tensors="pt", return_token_type_ids=False)


def greedy(**changes: Any) -> Any:
    from transformers import GenerationConfig

    return GenerationConfig(**{"max_new_tokens": LONG, "do_sample": False, "pad_token_id": 0, **changes})


def opened(model: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)


def alone(network: Any, prompts: Any) -> list[list[int]]:
    """Each row drawn by itself, without padding before it, and filled up after it."""
    found = []
    for ids, mask in zip(prompts["input_ids"], prompts["attention_mask"], strict=True):
        drawn = network.generate(ids[mask.bool()][None], generation_config=greedy())
        text = drawn[0, int(mask.sum()) :].tolist()
        found.append([*text, *[0] * (LONG - len(text))])
    return found


def test_greedy_texts_are_those_drawn_alone(model: Path) -> None:
    from autoflow.training.drawing import draw_together

    network, prompts = opened(model), asked(model)
    expected = alone(network, prompts)
    before = network.config._attn_implementation
    draw_together(network)
    drawn = network.generate(**prompts, generation_config=greedy())
    assert drawn[:, prompts["input_ids"].shape[1] :].tolist() == expected
    assert len({tuple(row) for row in expected}) == 3
    assert max(len(set(row)) for row in expected) > 3
    assert network.config._attn_implementation == before


def test_samples_have_the_distribution_that_the_model_states(model: Path) -> None:
    import torch
    from transformers import AutoTokenizer

    from autoflow.training.drawing import draw_together

    network = opened(model)
    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    rows = 4000
    prompts = tokenizer(["abcabc"] * rows, return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        first = (network(prompts["input_ids"][:1]).logits[0, -1] / 0.8).softmax(-1)
    kept = first.topk(5).indices
    expected = torch.zeros_like(first)
    expected[kept] = first[kept] / first[kept].sum()
    draw_together(network)
    drawing = greedy(do_sample=True, temperature=0.8, top_k=5, eos_token_id=[], max_new_tokens=2)
    torch.manual_seed(7)
    drawn = network.generate(**prompts, generation_config=drawing)[:, prompts["input_ids"].shape[1] :]
    counts = torch.bincount(drawn[:, 0], minlength=len(first))
    assert counts[expected == 0].sum() == 0
    # The chi-square statistic of four degrees of freedom is beyond 23.5 once in 10,000 times.
    assert float(((counts - rows * expected)[kept] ** 2 / (rows * expected[kept])).sum()) < 23.5
    taken = kept[0]
    with torch.no_grad():
        after = torch.cat([prompts["input_ids"][0], taken[None]])[None]
        second = (opened(model)(after).logits[0, -1] / 0.8).softmax(-1)
    likely = second.topk(5).indices
    follows = torch.bincount(drawn[drawn[:, 0] == taken, 1], minlength=len(first))
    wanted = float(follows.sum()) * second[likely] / second[likely].sum()
    assert float(((follows[likely] - wanted) ** 2 / wanted).sum()) < 23.5


def test_a_text_does_not_hang_on_when_others_end(model: Path) -> None:
    import torch

    from autoflow.training.drawing import draw_together

    network, prompts = opened(model), asked(model)
    draw_together(network)
    found = []
    for ends in ([], [3]):
        torch.manual_seed(7)
        drawing = greedy(do_sample=True, temperature=0.8, top_k=0, eos_token_id=ends, max_new_tokens=40)
        found.append(network.generate(**prompts, generation_config=drawing)[:, prompts["input_ids"].shape[1] :])
    whole, ended = found[0].tolist(), found[1].tolist()
    stops = [row.index(3) + 1 if 3 in row else len(row) for row in whole]
    assert len(set(stops)) > 2
    for row, text, stop in zip(whole, ended, stops, strict=True):
        assert text[:stop] == row[:stop]
        assert not any(text[stop:])  # filled up


def test_a_chance_falls_on_no_token_without_probability() -> None:
    import torch

    from autoflow.training.drawing import _drawn

    scores = torch.full((3, 50_000), -torch.inf)
    scores[:, 7] = scores[:, 9] = 0.0
    assert _drawn(scores, torch.tensor([0.0, 0.5, 1 - 2.0**-24])).tolist() == [7, 9, 9]


def test_the_copy_in_half_precision_has_the_adapter_as_it_is_now(model: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    from autoflow.training.drawing import _half_precision

    adapted = get_peft_model(opened(model), LoraConfig(r=2, lora_alpha=4, target_modules="all-linear"))
    inner = adapted.get_base_model()
    current = _half_precision(inner)
    for seed in (1, 2):
        torch.manual_seed(seed)
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight)
        merged = copy.deepcopy(adapted).merge_and_unload().to(torch.bfloat16).state_dict()
        writer = current().state_dict()
        assert writer.keys() == merged.keys()
        assert all(torch.equal(writer[name], merged[name]) for name in merged)
