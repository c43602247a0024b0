"""Bundled demonstrations are learned from as if they were read one by one."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")

from training_helpers import config, made, make_model, weights

pytestmark = [
    pytest.mark.xdist_group("training"),  # torch is slow to import: once is enough
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny"))


def rows() -> Any:
    from datasets import Dataset

    pairs = [(f"abcdefgh{letter}", said) for letter, said in zip("abcdefgh", "fgabhcde", strict=True)]
    return Dataset.from_list(
        [
            {"prompt": [{"role": "user", "content": asked}], "completion": [{"role": "assistant", "content": said}]}
            for asked, said in pairs
        ]
    )


def trained(model: Path, folder: Path, bundle: int | None, resume: str | None = None, **trainer: Any) -> Any:
    settings = {"optim": "sgd", "learning_rate": 0.1, "max_steps": 1, "packing": False, **trainer}
    found = made(config("sft", model, bundle=bundle, trainer=settings), folder, demonstrations=rows())
    found.train(resume_from_checkpoint=resume)
    return found


def difference(left: Any, right: Any) -> float:
    return max(float((left[name] - right[name]).abs().max()) for name in left)


@pytest.mark.parametrize(("bundle", "batch"), [(8, 1), (4, 2)])
def test_an_update_from_bundles_is_the_update_from_their_rows(
    model: Path, tmp_path: Path, bundle: int, batch: int
) -> None:
    alone = trained(model, tmp_path / "alone", 1, per_device_train_batch_size=8)
    together = trained(model, tmp_path / "together", bundle, per_device_train_batch_size=batch)
    untrained = trained(model, tmp_path / "untrained", 1, learning_rate=0.0)
    assert difference(weights(alone), weights(together)) < 1e-6
    assert difference(weights(untrained), weights(together)) > 1e-4
    assert together.state.log_history[0]["loss"] == pytest.approx(alone.state.log_history[0]["loss"], rel=1e-4)


def test_bundles_over_several_batches_weigh_every_token_alike(model: Path, tmp_path: Path) -> None:
    found = [
        weights(trained(model, tmp_path / str(size), 2, per_device_train_batch_size=size, **steps))
        for size, steps in ((4, {}), (1, {"gradient_accumulation_steps": 4}))
    ]
    assert difference(*found) < 1e-6


def test_a_resumed_run_on_bundles_equals_an_uninterrupted_one(model: Path, tmp_path: Path) -> None:
    settings = {"max_steps": 6, "save_steps": 3, "per_device_train_batch_size": 1, "optim": "adamw_torch"}
    whole = trained(model, tmp_path, 3, **settings)
    resumed = trained(model, tmp_path, 3, str(tmp_path / "checkpoint-3"), **settings)
    assert difference(weights(whole), weights(resumed)) == 0.0
