"""The model that is trained: base weights, an adapter to go on from, or a fresh one."""

from pathlib import Path
from typing import Any

from autoflow.errors import MissingDependencyError, UsageError
from autoflow.models import checkpoint
from autoflow.training.config import Lora, TrainConfig

_EMBEDDED = (checkpoint.NAME, f"embedded/{checkpoint.NAME}", f"transformers/{checkpoint.NAME}")

INSTALL = "make train-env, or: pip install torch, then pip install 'autoflow[train]'"


def require() -> None:
    """Make sure that the training libraries are there.

    Raises:
        MissingDependencyError: Naming the command that installs them.
    """
    try:
        import peft  # noqa: F401
        import torch  # noqa: F401
        import trl  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f"training needs the package {error.name}", hint=INSTALL) from error


def on_gpu() -> bool:
    """Whether a CUDA device is there to train on."""
    import torch

    return bool(torch.cuda.is_available())


def load_tokenizer(model: str) -> Any:
    """The base's tokenizer, padding on the left as generation needs it.

    Raises:
        UsageError: If it cannot be had, or has no chat template.
    """
    from transformers import AutoTokenizer

    tokenizer = _opened(AutoTokenizer, place_of(model), padding_side="left")
    if not tokenizer.chat_template:
        raise UsageError(f"the tokenizer of {model} has no chat template", hint="take an instruction-tuned model")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(config: TrainConfig) -> Any:
    """The weights in float32, with the adapter that training goes on from, if there is one.

    What the base says about sampling is dropped: a top-k of its own would make the distribution that is sampled
    another than the one that is credited.

    Raises:
        UsageError: If they cannot be had.
    """
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    model = _opened(AutoModelForCausalLM, place_of(config.model), dtype=torch.float32)
    stated = model.generation_config
    model.generation_config = GenerationConfig(
        bos_token_id=stated.bos_token_id, eos_token_id=stated.eos_token_id, pad_token_id=stated.pad_token_id
    )
    if config.adapter is None:
        return model
    from peft import PeftModel

    adapted = _opened(PeftModel, config.adapter, model, is_trainable=True)
    # Its configuration has the base's name; in a checkpoint, peft would ask the hub for a model of that name.
    adapted.peft_config["default"].base_model_name_or_path = place_of(config.model)
    return adapted


def fresh_adapter(lora: Lora) -> Any:
    """The configuration of a new adapter."""
    from peft import LoraConfig

    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.modules if isinstance(lora.modules, str) else list(lora.modules),
        task_type="CAUSAL_LM",
    )


def place_of(name: str) -> str:
    """The folder or hub name of a base: `smollm2-135m` is the embedded model's checkpoint, made at the first call.

    Raises:
        MissingDependencyError: If its weights are absent.
    """
    return str(checkpoint.ensure_checkpoint()) if name in _EMBEDDED else name


def _opened(kind: Any, name: str, *arguments: Any, **options: Any) -> Any:
    # A folder is never looked for on the hub, nor a hub name taken for a folder that is missing.
    if name.startswith((".", "/", "~")) and not Path(name).expanduser().is_dir():
        raise UsageError(f"there is no folder {name}")
    place = str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name
    try:
        return kind.from_pretrained(*arguments, place, **options)
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UsageError(
            f"{name} cannot be loaded: {reason}", hint="name a folder of weights, or a model on the hub"
        ) from error
