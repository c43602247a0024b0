"""A training configuration is read strictly, with errors that say where, and flags win over it."""

from pathlib import Path
from typing import Any

import pytest

from autoflow.errors import DataError, UsageError
from autoflow.training.config import TrainConfig, load
from autoflow.training.defaults import DEFAULTS, LEARNING_RATES, OWNED, arguments

GRPO = """\
model: base
tasks:
  benchmarks: [openagi]
trainer:
  learning_rate: 1e-5
"""


def read(tmp_path: Path, text: str, method: Any = "grpo", changes: Any = None) -> TrainConfig:
    file = tmp_path / "train.yaml"
    file.write_text(text)
    return load(file, method, changes or {})


def test_a_file_is_read_with_numbers_as_yaml_1_2_has_them(tmp_path: Path) -> None:
    config = read(tmp_path, GRPO)
    assert config.trainer == {"learning_rate": 1e-5}
    assert (config.method, config.form, config.reward.name) == ("grpo", "outline", "score")


def test_flags_win_over_the_file_and_need_none(tmp_path: Path) -> None:
    changes = {
        "trainer.learning_rate": 0.5,
        "tasks.instances": 3,
        "reward": {"name": "cost", "options": {"unit": "usd"}},
    }
    config = read(tmp_path, GRPO, changes=changes)
    assert (config.trainer["learning_rate"], config.tasks and config.tasks.instances) == (0.5, 3)
    assert config.reward.options == {"unit": "usd"}
    alone = load(None, "sft", {"model": "base", "data": ["x"]})
    assert (alone.method, alone.data) == ("sft", ("x",))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (GRPO + "tau: hot\n", r"train\.yaml:6:6: tau: "),
        (GRPO + "temperature: 1\n", r"train\.yaml:6:14: temperature: no such key; there are: method, model"),
        (GRPO + "lora: {r: 8}\n", r"train\.yaml:6:11: lora\.r: no such key; there are: rank, alpha"),
        (GRPO + "method: sft\n", r"train\.yaml:6:9: the file is for the method sft, the command for grpo"),
        ("tasks: {benchmarks: [openagi]}\n", "model: is missing"),
        ("- a\n", "must be a mapping"),
    ],
)
def test_a_fault_of_the_file_is_told_with_its_place(text: str, wrong: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=wrong):
        read(tmp_path, text)


def test_a_fault_of_a_flag_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"tasks\.instances: "):
        read(tmp_path, GRPO, changes={"tasks.instances": 0})
    with pytest.raises(UsageError, match="model: is missing"):
        load(None, "sft", {"data": ["x"]})


@pytest.mark.parametrize(
    ("method", "changes", "wrong"),
    [
        ("grpo", {"tasks": None}, "grpo needs tasks to score on"),
        ("sft", {"tasks": None}, "sft needs data to learn from"),
        ("reinforce", {"lora": {"dropout": 0.1}}, "takes no dropout"),
        ("grpo", {"lora": None, "adapter": "a"}, "gone on with as an adapter"),
    ],
)
def test_what_does_not_go_together_is_refused(method: Any, changes: Any, wrong: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=wrong):
        read(tmp_path, GRPO, method, changes)


def test_what_a_method_is_told_is_stated_and_changed_by_the_configuration_alone() -> None:
    known = ["learning_rate", "beta", *OWNED]
    told = arguments("reinforce", {"beta": 0.2}, lora=True, known=known)
    assert (told["beta"], told["learning_rate"], told["num_generations"]) == (0.2, 1e-5, 8)
    # The sampled distribution is the credited one.
    for method in ("reinforce", "grpo"):
        drawn = {
            name: DEFAULTS[method][name] for name in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
        }
        assert drawn == {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": None, "repetition_penalty": 1.0}
    assert DEFAULTS["reinforce"]["beta"] == 0.05
    assert DEFAULTS["grpo"]["beta"] == 0.001
    assert LEARNING_RATES["grpo"] == (1e-5, 1e-6)
    with pytest.raises(UsageError, match="no argument 'learning_rat'"):
        arguments("grpo", {"learning_rat": 1}, lora=True, known=known)
    with pytest.raises(UsageError, match="follows from the rest"):
        arguments("grpo", {"seed": 1}, lora=True, known=known)


def test_every_setting_that_is_stated_is_one_that_the_trainers_have() -> None:
    pytest.importorskip("trl")
    from dataclasses import fields

    from trl import GRPOConfig, RLOOConfig, SFTConfig

    kinds: dict[Any, Any] = {"sft": SFTConfig, "rlao": SFTConfig, "reinforce": RLOOConfig, "grpo": GRPOConfig}
    for method, kind in kinds.items():
        known = {item.name for item in fields(kind)}
        assert set(arguments(method, {}, lora=True, known=[])) <= known
        assert set(OWNED) <= known


def test_benchmarks_may_be_named_by_a_pattern(tmp_path: Path) -> None:
    from autoflow.training.train import _each

    for name in ("train-2", "train-1", "test-1"):
        (tmp_path / name).mkdir()
    assert _each(["openagi", str(tmp_path / "train-*")]) == [
        "openagi",
        str(tmp_path / "train-1"),
        str(tmp_path / "train-2"),
    ]
    with pytest.raises(UsageError, match="there is no benchmark folder"):
        _each([str(tmp_path / "validation-*")])
