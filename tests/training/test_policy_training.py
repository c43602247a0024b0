"""What must hold of `reinforce` and `grpo`, on a model small enough to train in a second."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")

from training_helpers import config, made, make_model, scoring, weights

pytestmark = [
    pytest.mark.xdist_group("training"),  # torch is slow to import: once is enough
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"),
]

METHODS = ("reinforce", "grpo")
WEIGHTS = [("reinforce", {"rank": 2, "alpha": 4}), ("grpo", None), ("grpo", {"rank": 2, "alpha": 4})]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny"))


def letters_a(text: str) -> float:
    """Share of the letter a."""
    return text.count("a") / 4


def same(left: Any, right: Any) -> bool:
    import torch

    return all(torch.equal(left[name], right[name]) for name in left)


def close(left: Any, right: Any, tolerance: float) -> bool:
    return all(float((left[name] - right[name]).abs().max()) <= tolerance for name in left)


@pytest.mark.parametrize(("method", "lora"), WEIGHTS)
def test_zero_learning_rate_changes_nothing(method: str, lora: Any, model: Path, tmp_path: Path) -> None:
    settings = config(method, model, lora=lora, trainer={"learning_rate": 0.0})
    trainer = made(settings, tmp_path, score=scoring(letters_a))
    before = weights(trainer)
    trainer.train()
    assert same(before, weights(trainer))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("reward", [-0.1, 0.7])
def test_equal_rewards_have_no_advantage_and_change_nothing(
    method: str, reward: float, model: Path, tmp_path: Path
) -> None:
    trainer = made(config(method, model), tmp_path, score=scoring(lambda _: reward))
    before = weights(trainer)
    trainer.train()
    assert set(trainer._logs["advantages"]) == {0.0}
    assert same(before, weights(trainer))
    assert [line["flat"] for line in trainer.state.log_history if "flat" in line] == [1.0, 1.0]


@pytest.mark.parametrize(("beta", "spread", "computed"), [(0.0, False, 0), (0.0, True, 2), (0.1, False, 2)])
def test_what_can_teach_nothing_is_not_computed(
    beta: float, spread: bool, computed: int, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import trl

    losses = []
    inner = trl.GRPOTrainer._compute_loss

    def counted(*arguments: Any) -> Any:
        losses.append(arguments)
        return inner(*arguments)

    monkeypatch.setattr(trl.GRPOTrainer, "_compute_loss", counted)
    rewards = iter(range(1000))
    score = scoring((lambda _: float(next(rewards))) if spread else (lambda _: 0.5))
    trainer = made(config("grpo", model, trainer={"beta": beta}), tmp_path, score=score)
    before = weights(trainer)
    trainer.train()
    assert len(losses) == computed
    assert same(before, weights(trainer)) is not spread


@pytest.mark.parametrize("method", METHODS)
def test_a_known_bandit_is_solved(method: str, model: Path, tmp_path: Path) -> None:
    changes = {"max_steps": 40, "max_completion_length": 1, "learning_rate": 3e-2}
    seen: list[tuple[str, int]] = []
    trainer = made(
        config(method, model, trainer=changes), tmp_path, score=scoring(lambda text: float(text == "c"), seen)
    )
    trainer.train()
    late = [text for text, step in seen if step >= 35]
    early = [text for text, step in seen if step < 2]
    assert early.count("c") < len(early) / 2
    assert late.count("c") >= 0.9 * len(late)


@pytest.mark.parametrize("method", METHODS)
def test_one_batch_of_eight_equals_eight_of_one(method: str, model: Path, tmp_path: Path) -> None:
    found = []
    for size in (8, 1):
        # Plain gradient descent: Adam's first step is the sign of the gradient, which rounding can turn.
        changes = {"optim": "sgd", "per_device_train_batch_size": size, "gradient_accumulation_steps": 8 // size}
        trainer = made(config(method, model, trainer=changes), tmp_path / str(size), score=scoring(letters_a))
        before = weights(trainer)
        trainer.train()
        assert not same(before, weights(trainer))
        found.append(weights(trainer))
    assert close(*found, tolerance=1e-6)


@pytest.mark.parametrize(("method", "lora"), WEIGHTS)
def test_a_resumed_run_equals_an_uninterrupted_one(method: str, lora: Any, model: Path, tmp_path: Path) -> None:
    changes = {"max_steps": 4, "save_steps": 2}
    prompts = [{"prompt": [{"role": "user", "content": letter}], "assignment": letter} for letter in "abc"]
    settings = config(method, model, lora=lora, trainer=changes)
    whole = made(settings, tmp_path / "whole", score=scoring(letters_a), prompts=prompts)
    whole.train()
    texts: list[tuple[str, int]] = []
    resumed = made(settings, tmp_path / "whole", score=scoring(letters_a, texts), prompts=prompts)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    assert min(step for _, step in texts) == 2
    assert same(weights(whole), weights(resumed))
    kept = ("loss", "reward", "kl", "valid")
    left, right = ([{key: line.get(key) for key in kept} for line in t.state.log_history[:4]] for t in (whole, resumed))
    assert left == right


def test_training_goes_on_from_an_adapter_and_measures_divergence_from_it(model: Path, tmp_path: Path) -> None:
    lora = {"rank": 2, "alpha": 4}
    first = made(config("grpo", model, lora=lora), tmp_path / "first", score=scoring(letters_a))
    first.train()
    first.model.save_pretrained(tmp_path / "adapter")
    changes = {"max_steps": 4, "save_steps": 2}
    settings = config("grpo", model, lora=lora, adapter=str(tmp_path / "adapter"), trainer=changes)
    whole = made(settings, tmp_path / "second", score=scoring(letters_a))
    assert same(_adapter(first), _adapter(whole))
    whole.train()
    divergences = [line["kl"] for line in whole.state.log_history if "kl" in line]
    assert divergences[0] == 0.0
    assert divergences[-1] > 0.0
    resumed = made(settings, tmp_path / "second", score=scoring(letters_a))
    resumed.train(resume_from_checkpoint=str(tmp_path / "second" / "checkpoint-2"))
    assert same(weights(whole), weights(resumed))


def _adapter(trainer: Any) -> dict[str, Any]:
    return {name: value for name, value in weights(trainer).items() if ".default." in name}


@pytest.mark.parametrize("method", METHODS)
def test_the_text_that_is_scored_is_the_text_that_is_credited(method: str, model: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []
    trainer = made(config(method, model, trainer={"max_steps": 1}), tmp_path, score=scoring(letters_a, seen))
    batches = _watched(trainer)
    trainer.train()
    (batch,) = batches
    credited = [
        trainer.processing_class.decode(ids[mask.bool()], skip_special_tokens=True)
        for ids, mask in zip(batch["completion_ids"], batch["completion_mask"], strict=True)
    ]
    # A step's samples are shuffled before they are learned from; advantages say which is whose.
    scored = [text for text, _ in seen]
    assert sorted(credited) == sorted(scored)
    rewards = [letters_a(text) for text in credited]
    mean = sum(rewards) / len(rewards)
    advantages = batch["advantages"].tolist()
    assert all((advantage > 0) == (reward > mean) for advantage, reward in zip(advantages, rewards, strict=True))


def test_samples_without_a_reward_are_skipped_and_counted(model: Path, tmp_path: Path) -> None:
    def value(text: str) -> float | None:
        return None if text.startswith(("b", "c", "d")) else letters_a(text)

    trainer = made(config("grpo", model, trainer={"max_steps": 1}), tmp_path, score=scoring(value))
    batches = _watched(trainer)
    trainer.train()
    texts = [trainer.processing_class.decode(ids, skip_special_tokens=True) for ids in batches[0]["completion_ids"]]
    unscored = [value(text) is None for text in texts]
    assert any(unscored)
    assert not all(unscored)
    assert [a == 0.0 for a, none in zip(batches[0]["advantages"].tolist(), unscored, strict=True) if none] == [
        True
    ] * sum(unscored)
    assert trainer.state.log_history[0]["unscored"] == sum(unscored)


def _watched(trainer: Any) -> list[Any]:
    """Every batch that a loss is computed on."""
    batches = []
    inner = trainer._compute_loss

    def _compute_loss(model: Any, inputs: Any) -> Any:
        batches.append(inputs)
        return inner(model, inputs)

    trainer._compute_loss = _compute_loss
    return batches


def _log_probabilities(model: Any, batch: Any) -> Any:
    """log pi of each whole completion, by the plainest way."""
    import torch

    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
    chosen = torch.log_softmax(logits, -1).gather(-1, ids[:, 1:, None])[..., 0]
    length = batch["completion_ids"].shape[1]
    return (chosen[:, -length:] * batch["completion_mask"]).sum(1)


def leave_one_out(rewards: Any, log_ratios: Any, beta: float) -> Any:
    """METHODS.md, section 1: r_i less the mean of the others; beta KL enters by its score-function gradient."""
    total = rewards - beta * log_ratios
    return total - (total.sum() - total) / (len(total) - 1)


def test_the_gradient_of_reinforce_is_that_of_the_equation(model: Path, tmp_path: Path) -> None:
    import torch
    from transformers import TrainerCallback

    beta = 0.5
    changes = {"max_steps": 1, "beta": beta, "max_grad_norm": 0.0, "learning_rate": 0.0}
    trainer = made(config("reinforce", model, trainer=changes), tmp_path, score=scoring(letters_a))
    torch.manual_seed(1)
    with torch.no_grad():  # away from the reference, so that there is a divergence
        for weight in trainer.model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    gradients: dict[str, Any] = {}

    class Keep(TrainerCallback):
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            gradients.update({name: weight.grad.clone() for name, weight in trainer.model.named_parameters()})

    trainer.add_callback(Keep())
    batches = _watched(trainer)
    trainer.train()
    (batch,) = batches
    texts = [trainer.processing_class.decode(ids, skip_special_tokens=True) for ids in batch["completion_ids"]]
    rewards = torch.tensor([letters_a(text) for text in texts])
    log_policy = _log_probabilities(trainer.model, batch)
    with torch.no_grad():
        ratios = log_policy - _log_probabilities(trainer.ref_model, batch)
    assert float(ratios.abs().max()) > 0.01
    loss = -(leave_one_out(rewards, ratios, beta) * log_policy).mean()
    expected = torch.autograd.grad(loss, list(trainer.model.parameters()))
    for (name, _), gradient in zip(trainer.model.named_parameters(), expected, strict=True):
        assert torch.allclose(gradients[name], gradient, atol=1e-6), name


def test_the_equation_is_followed_on_average() -> None:
    import itertools

    import torch

    torch.manual_seed(0)
    beta, arms = 0.3, 4
    parameters = torch.randn(arms, dtype=torch.float64, requires_grad=True)
    reference = torch.log_softmax(torch.randn(arms, dtype=torch.float64), 0)
    rewards = torch.rand(arms, dtype=torch.float64)
    log_policy = torch.log_softmax(parameters, 0)
    policy = log_policy.exp()
    objective = -(policy * rewards).sum() + beta * (policy * (log_policy - reference)).sum()
    (exact,) = torch.autograd.grad(objective, parameters, retain_graph=True)
    mean = torch.zeros(arms, dtype=torch.float64)
    for group in itertools.product(range(arms), repeat=3):  # every group that could be drawn, by its probability
        drawn = torch.tensor(group)
        advantages = leave_one_out(rewards[drawn], (log_policy - reference)[drawn], beta).detach()
        (gradient,) = torch.autograd.grad(-(advantages * log_policy[drawn]).mean(), parameters, retain_graph=True)
        mean += policy[drawn].prod().detach() * gradient
    assert torch.allclose(mean, exact, atol=1e-12)


def test_advantages_of_grpo_are_the_groups_standard_scores(model: Path, tmp_path: Path) -> None:
    import statistics

    seen: list[tuple[str, int]] = []
    trainer = made(config("grpo", model, trainer={"max_steps": 1}), tmp_path, score=scoring(letters_a, seen))
    trainer.train()
    rewards = [letters_a(text) for text, _ in seen]
    mean, deviation = statistics.mean(rewards), statistics.stdev(rewards)
    assert trainer._logs["advantages"] == pytest.approx([(r - mean) / (deviation + 1e-4) for r in rewards], abs=1e-4)
