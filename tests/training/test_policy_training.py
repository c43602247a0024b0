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


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("lora", [None, {"rank": 2, "alpha": 4}])
def test_zero_learning_rate_changes_nothing(method: str, lora: Any, model: Path, tmp_path: Path) -> None:
    settings = config(method, model, lora=lora, trainer={"learning_rate": 0.0})
    trainer = made(settings, tmp_path, score=scoring(letters_a))
    before = weights(trainer)
    trainer.train()
    assert same(before, weights(trainer))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("reward", [0.0, -0.1, 0.7])
def test_equal_rewards_have_no_advantage_and_change_nothing(
    method: str, reward: float, model: Path, tmp_path: Path
) -> None:
    trainer = made(config(method, model), tmp_path, score=scoring(lambda _: reward))
    before = weights(trainer)
    trainer.train()
    assert set(trainer._logs["advantages"]) == {0.0}
    assert same(before, weights(trainer))
    assert [line["flat"] for line in trainer.state.log_history if "flat" in line] == [1.0, 1.0]


@pytest.mark.parametrize("method", METHODS)
def test_a_known_bandit_is_solved(method: str, model: Path, tmp_path: Path) -> None:
    changes = {"max_steps": 40, "max_completion_length": 1, "learning_rate": 3e-2}
    seen: list[tuple[str, int]] = []
    trainer = made(config(method, model, trainer=changes), tmp_path, score=scoring(lambda text: float(text == "c"), seen))
    trainer.train()
    late = [text for text, step in seen if step >= 35]
    early = [text for text, step in seen if step < 2]
    assert early.count("c") < len(early) / 2
    assert late.count("c") >= 0.9 * len(late)
