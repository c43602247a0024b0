"""What must hold of `sft` and `rlao`, which learn from recorded data."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")

from training_helpers import config, made, make_model, weights

from autoflow.core.model import Message
from autoflow.errors import DataError
from autoflow.training import demonstrations
from autoflow.training.trajectories import Turn, weight

pytestmark = [
    pytest.mark.xdist_group("training"),  # torch is slow to import: once is enough
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny"))


def rows(*pairs: tuple[str, str]) -> Any:
    from datasets import Dataset

    return Dataset.from_list(
        [
            {"prompt": [{"role": "user", "content": asked}], "completion": [{"role": "assistant", "content": said}]}
            for asked, said in pairs
        ]
    )


def turn(action: str, reward: float, *, prefix: tuple[Message, ...] = (Message("user", "a"),)) -> Turn:
    return Turn(prefix, action, reward)


def same(left: Any, right: Any) -> bool:
    import torch

    return all(torch.equal(left[name], right[name]) for name in left)


def close(left: Any, right: Any, tolerance: float) -> bool:
    return all(float((left[name] - right[name]).abs().max()) <= tolerance for name in left)


PAIRS = (
    ("a", "cab"),
    ("b", "beef"),
    ("ab", "d"),
    ("cd", "face"),
    ("e", "gab"),
    ("f", "hag"),
    ("g", "dad"),
    ("h", "fee"),
)
TURNS = tuple(turn(said, reward) for (_, said), reward in zip(PAIRS, [1, 0.5, 0, -0.1] * 2, strict=True))


def trained(method: str, model: Path, folder: Path, resume: str | None = None, **changes: Any) -> Any:
    material = {"demonstrations": rows(*PAIRS)} if method == "sft" else {"turns": TURNS}
    trainer = made(config(method, model, **changes), folder, **material)
    trainer.train(resume_from_checkpoint=resume)
    return trainer


@pytest.mark.parametrize("method", ["sft", "rlao"])
def test_zero_learning_rate_changes_nothing(method: str, model: Path, tmp_path: Path) -> None:
    settings = {"trainer": {"max_steps": 2, "learning_rate": 0.0}}
    material: dict[str, Any] = {"demonstrations": rows(*PAIRS)} if method == "sft" else {"turns": TURNS}
    trainer = made(config(method, model, **settings), tmp_path, **material)
    before = weights(trainer)
    trainer.train()
    assert same(before, weights(trainer))


@pytest.mark.parametrize("method", ["sft", "rlao"])
def test_one_batch_of_eight_equals_eight_of_one(method: str, model: Path, tmp_path: Path) -> None:
    found = []
    for size in (8, 1):
        settings = {
            "optim": "sgd",
            "learning_rate": 0.1,
            "max_steps": 1,
            "per_device_train_batch_size": size,
            "gradient_accumulation_steps": 8 // size,
            "packing": False,
        }
        found.append(weights(trained(method, model, tmp_path / str(size), trainer=settings)))
    assert close(*found, tolerance=1e-6)


@pytest.mark.parametrize("method", ["sft", "rlao"])
def test_a_resumed_run_equals_an_uninterrupted_one(method: str, model: Path, tmp_path: Path) -> None:
    settings = {
        "max_steps": 6,
        "save_steps": 3,
        "per_device_train_batch_size": 2,
        "packing": False,
        "learning_rate": 1e-2,
    }
    lora = {"rank": 2, "alpha": 4, "dropout": 0.2}  # dropout draws random numbers
    whole = trained(method, model, tmp_path, lora=lora, trainer=settings)
    resumed = trained(method, model, tmp_path, str(tmp_path / "checkpoint-3"), lora=lora, trainer=settings)
    assert same(weights(whole), weights(resumed))


def test_sft_learns_what_it_is_shown_and_only_that(model: Path, tmp_path: Path) -> None:
    settings = {"max_steps": 60, "learning_rate": 3e-2, "lr_scheduler_type": "constant", "packing": False}
    trainer = made(config("sft", model, trainer=settings), tmp_path, demonstrations=rows(("a", "cab"), ("b", "fed")))
    batches = []
    inner = trainer.compute_loss

    def _compute_loss(model: Any, inputs: Any, *arguments: Any, **options: Any) -> Any:
        batches.append(inputs["labels"].clone())
        return inner(model, inputs, *arguments, **options)

    trainer.compute_loss = _compute_loss
    trainer.train()
    learned = [trainer.processing_class.decode(row[row != -100], skip_special_tokens=True) for row in batches[0]]
    assert sorted(text.strip() for text in learned) == ["cab", "fed"]
    from autoflow.training.sampling import sample

    drawn = sample(
        trainer.model,
        trainer.processing_class,
        [[Message("user", "a")], [Message("user", "b")]],
        temperature=0.0,
        max_tokens=8,
        seed=0,
    )
    assert [item.text for item in drawn] == ["cab", "fed"]
    assert all(item.finished for item in drawn)


def test_packed_examples_do_not_see_each_other(model: Path, tmp_path: Path) -> None:
    found = []
    for packing in (True, False):
        settings = {"optim": "sgd", "learning_rate": 0.1, "max_steps": 1, "packing": packing, "max_length": 2048}
        found.append(weights(trained("sft", model, tmp_path / str(packing), trainer=settings)))
    assert close(*found, tolerance=1e-6)


def test_an_example_that_would_be_cut_off_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="longer than 4 tokens"):
        made(config("sft", model, trainer={"max_length": 4}), tmp_path, demonstrations=rows(*PAIRS))
    with pytest.raises(DataError, match="more than 4"):
        made(config("rlao", model, trainer={"max_length": 4}), tmp_path, turns=TURNS)


def test_demonstrations_are_read_from_files_and_folders(tmp_path: Path) -> None:
    lines = [{"prompt": row["prompt"], "completion": row["completion"], "domain": "x"} for row in rows(*PAIRS)]
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "README.md").write_text("A card.\n")
    (tmp_path / "hub" / "train.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    rows(*PAIRS).save_to_disk(str(tmp_path / "saved"))
    for place in (tmp_path / "hub" / "train.jsonl", tmp_path / "hub", tmp_path / "saved"):
        assert [row["completion"][0]["content"] for row in demonstrations.load([str(place)])] == [b for _, b in PAIRS]
    (tmp_path / "other.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(DataError, match="no column 'prompt'"):
        demonstrations.load([str(tmp_path / "other.jsonl")])


def test_the_loss_of_rlao_is_the_weighted_mean_of_the_actions_losses(model: Path, tmp_path: Path) -> None:
    import torch

    trainer = made(config("rlao", model, trainer={"max_steps": 1, "learning_rate": 0.0}), tmp_path, turns=TURNS)
    expected = []
    for item in TURNS:
        tokenizer = trainer.processing_class
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": "a"}], add_generation_prompt=True, tokenize=False
        )
        start = len(tokenizer(asked)["input_ids"])
        ids = torch.tensor([tokenizer(f"{asked}{item.action}<|im_end|>\n")["input_ids"]])
        with torch.no_grad():
            logs = torch.log_softmax(trainer.model(input_ids=ids).logits[0, :-1], -1)
        tokens = -logs.gather(-1, ids[0, 1:, None])[:, 0]
        expected.append(weight(item.reward, 0.4) * float(tokens[start - 1 :].mean()))
    trainer.train()
    assert trainer.state.log_history[0]["loss"] == pytest.approx(sum(expected) / len(expected), rel=1e-4)


def test_rlao_learns_from_the_last_action_alone_unless_told_otherwise(model: Path, tmp_path: Path) -> None:
    from autoflow.training.base import load_tokenizer
    from autoflow.training.weighted import IGNORED
    from autoflow.training.weighted import rows as tokenised

    prefix = (Message("user", "a"), Message("assistant", "bad"), Message("user", "b"))
    tokenizer = load_tokenizer(str(model))
    learned = {}
    for whole in (False, True):
        (row,) = tokenised([turn("cab", 1.0, prefix=prefix)], tokenizer, tau=0.4, whole_prefix=whole, max_length=None)
        kept = [token for token in row["labels"] if token != IGNORED]
        learned[whole] = tokenizer.decode(kept, skip_special_tokens=True)
    assert learned == {False: "cab", True: "badcab"}


def test_a_known_bandit_is_solved_by_rlao(model: Path, tmp_path: Path) -> None:
    # Every arm was tried equally often; one was rewarded.
    turns = [turn(letter, 1.0 if letter == "c" else -0.1) for letter in "abcdefgh"]
    settings = {"max_steps": 60, "learning_rate": 1e-2, "num_train_epochs": 60}
    trainer = made(config("rlao", model, trainer=settings), tmp_path, turns=turns)
    trainer.train()
    from autoflow.training.sampling import sample

    prompts = [[Message("user", "a")]] * 64
    drawn = sample(trainer.model, trainer.processing_class, prompts, temperature=1.0, max_tokens=1, seed=0)
    # 12.18 of the 12.18 + 7 * 0.78 that all arms weigh together
    assert sum(item.text == "c" for item in drawn) / 64 == pytest.approx(12.18 / 17.64, abs=0.15)
