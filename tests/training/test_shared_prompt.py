"""Reading a prompt once for all its samples changes what is computed by rounding alone."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")

from training_helpers import config, made, make_model, scoring, weights

from autoflow.errors import UsageError

pytestmark = [
    pytest.mark.xdist_group("training"),  # torch is slow to import: once is enough
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"),
]

PROMPTS = [
    {"prompt": [{"role": "user", "content": text}], "assignment": text} for text in ("abcabc", "h", "gabfed" * 3)
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny"))


def trained(method: str, model: Path, folder: Path, prompts: Any, **changes: Any) -> Any:
    seen: list[tuple[str, int]] = []
    trainer_changes = {
        "optim": "sgd",  # Adam's first step is the sign of the gradient, which rounding can turn
        "learning_rate": 0.1,
        "max_completion_length": 6,
        "max_steps": 3,
        "beta": 0.5,
    }
    settings = config(method, model, trainer={**trainer_changes, **changes.pop("trainer", {})}, **changes)
    trainer = made(settings, folder, score=scoring(lambda text: text.count("a") / 6, seen), prompts=prompts)
    start = weights(trainer)
    batches: list[Any] = []
    inner = trainer._compute_loss

    def _compute_loss(model: Any, inputs: Any) -> Any:
        batches.append(inputs)
        return inner(model, inputs)

    trainer._compute_loss = _compute_loss
    trainer.train()
    return trainer, seen, start, batches


def furthest(left: Any, right: Any) -> float:
    return max(float((left[name] - right[name]).abs().max()) for name in left)


@pytest.mark.parametrize(("method", "lora"), [("reinforce", {"rank": 2, "alpha": 4}), ("grpo", None)])
def test_samples_losses_and_weights_are_those_of_the_plain_way(
    method: str, lora: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autoflow.training import drawing

    # What is compared is learned from the same samples: drawn together, they would be others from the same seed.
    monkeypatch.setattr(drawing, "draw_together", lambda *_, **__: None)
    plain, texts, start, _ = trained(method, model, tmp_path / "plain", PROMPTS[:1], lora=lora, shared_prompt=False)
    shared, others, _, _ = trained(method, model, tmp_path / "shared", PROMPTS[:1], lora=lora, shared_prompt=True)
    assert others == texts
    assert len({len(text) for text, _ in texts}) > 1  # of several lengths, so that there is padding
    for name in ("loss", "kl", "entropy", "grad_norm"):
        left, right = ([line[name] for line in t.state.log_history if name in line] for t in (plain, shared))
        assert right == pytest.approx(left, abs=1e-5), name
    assert furthest(weights(plain), weights(shared)) < 1e-6 < furthest(start, weights(plain))


@pytest.mark.parametrize("method", ["reinforce", "grpo"])
def test_a_batch_has_the_samples_of_one_prompt_and_the_update_stays(
    method: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autoflow.training import drawing

    monkeypatch.setattr(drawing, "draw_together", lambda *_, **__: None)
    steps = {"gradient_accumulation_steps": 3, "num_generations": 4, "per_device_train_batch_size": 4}
    plain, texts, start, dealt = trained(
        method, model, tmp_path / "plain", PROMPTS, trainer=steps, lora=None, shared_prompt=False
    )
    shared, others, _, batches = trained(
        method, model, tmp_path / "shared", PROMPTS, trainer=steps, lora=None, shared_prompt=True
    )
    assert others == texts
    assert all(len({tuple(row.tolist()) for row in batch["prompt_ids"]}) == 1 for batch in batches)
    assert len(batches) == len(dealt) == 9
    assert any(len({tuple(row.tolist()) for row in batch["prompt_ids"]}) > 1 for batch in dealt)
    assert furthest(weights(plain), weights(shared)) < 1e-6 < furthest(start, weights(plain))


def test_what_the_batches_hold_is_dealt_out_by_prompt() -> None:
    import torch

    from autoflow.training.shared_prompt import by_prompt

    def batch(prompts: list[int], names: list[str]) -> dict[str, Any]:
        rows = torch.tensor(prompts)
        return {"prompt_ids": rows[:, None], "advantages": rows / 10, "n": torch.tensor(4), "x": None, "names": names}

    first, second = by_prompt([batch([2, 1], ["a", "b"]), batch([1, 2], ["c", "d"])])
    assert first["prompt_ids"].tolist() == [[1], [1]]
    assert second["prompt_ids"].tolist() == [[2], [2]]
    assert [first["names"], second["names"]] == [["b", "c"], ["a", "d"]]
    assert torch.equal(second["advantages"], torch.tensor([0.2, 0.2]))
    assert first["n"] == 4
    assert first["x"] is None


def test_log_probabilities_of_several_prompts_are_those_of_the_plain_way(model: Path, tmp_path: Path) -> None:
    import torch

    changes = {"num_generations": 4, "per_device_train_batch_size": 12, "max_steps": 1}
    trainer, _, _, (batch,) = trained("grpo", model, tmp_path, PROMPTS, trainer=changes, shared_prompt=False)
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    assert not mask.bool().all()
    length = batch["completion_ids"].shape[1]
    from autoflow.training.shared_prompt import log_probabilities

    with torch.no_grad():
        logs, entropies, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, length, compute_entropy=True
        )
        for attention in ("sdpa", "eager"):
            trainer.model.set_attn_implementation(attention)
            found = log_probabilities(trainer.model, ids, mask, length, attention=attention)
            assert torch.allclose(found[0], logs, atol=1e-5)
            assert torch.allclose(found[1], entropies, atol=1e-5)


def test_samples_of_several_prompts_are_those_of_the_plain_way(model: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    from autoflow.training.drawing import draw_together

    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    texts = [text for text in ("abcabc", "h", "gabfed") for _ in range(3)]
    asked = tokenizer(texts, padding=True, return_tensors="pt", return_token_type_ids=False)
    greedy = GenerationConfig(max_new_tokens=12, do_sample=False, eos_token_id=[3], pad_token_id=0)
    plain = network.generate(**asked, generation_config=greedy)
    draw_together(network)
    shared = network.generate(**asked, generation_config=greedy)
    assert torch.equal(shared[:, : plain.shape[1]], plain)
    assert len({tuple(row.tolist()) for row in plain[:, asked["input_ids"].shape[1] :]}) > 1


def test_it_is_the_way_of_models_with_full_attention_and_refused_for_others() -> None:
    from types import SimpleNamespace

    from autoflow.training.shared_prompt import wanted

    full = SimpleNamespace(config=SimpleNamespace(_attn_implementation="sdpa", sliding_window=None))
    windowed = SimpleNamespace(config=SimpleNamespace(_attn_implementation="sdpa", sliding_window=128))
    assert [wanted(asked, full) for asked in (None, True, False)] == [True, True, False]
    assert [wanted(asked, windowed) for asked in (None, False)] == [False, False]
    with pytest.raises(UsageError, match="a window of 128"):
        wanted(True, windowed)
