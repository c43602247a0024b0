"""What each trainer is told where the configuration says nothing: every setting that shapes learning, in one place.

TRL's own defaults change between versions and differ from METHODS.md, so nothing here is left to them.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from autoflow.core.json import Json
from autoflow.errors import UsageError
from autoflow.training.config import Method

SAMPLES = 8
"""k: samples of one prompt in an update."""

_COMMON: Mapping[str, Json] = {
    "per_device_train_batch_size": SAMPLES,
    "gradient_accumulation_steps": 1,
    "gradient_checkpointing": False,
    "optim": "adamw_torch",
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_epsilon": 1e-8,
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "warmup_steps": 0,
    "logging_steps": 1,
    "save_strategy": "steps",
    "save_steps": 50,
    "save_total_limit": 2,
    "report_to": "none",
    "disable_tqdm": True,
    "dataloader_pin_memory": False,
}

_SAMPLING: Mapping[str, Json] = {
    "num_generations": SAMPLES,
    "num_iterations": 1,
    "max_steps": 100,
    "lr_scheduler_type": "constant",
    "max_completion_length": 256,
    # Untruncated: the distribution that is credited is the one that was sampled.
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": None,
    "repetition_penalty": 1.0,
    "disable_dropout": True,
    "epsilon": 0.2,
    "mask_truncated_completions": False,
    "shuffle_dataset": True,
}

DEFAULTS: Mapping[Method, Mapping[str, Json]] = {
    "sft": {
        "num_train_epochs": 3,
        "lr_scheduler_type": "cosine",
        "max_length": 2048,
        "packing": True,
        "packing_strategy": "bfd",
        "completion_only_loss": True,
        "shuffle_dataset": True,
        "loss_type": "nll",
    },
    "reinforce": {**_SAMPLING, "beta": 0.05, "normalize_advantages": False, "reward_clip_range": None},
    "grpo": {
        **_SAMPLING,
        "beta": 0.001,
        "loss_type": "dapo",  # a mean over tokens: with a mean over texts, short good texts and long bad ones win
        "scale_rewards": "group",
        "importance_sampling_level": "token",
        "use_bias_correction_kl": True,
    },
    "rlao": {
        "num_train_epochs": 3,
        "lr_scheduler_type": "constant",
        "max_length": 4096,
        "packing": False,
        "shuffle_dataset": True,
    },
}

LEARNING_RATES: Mapping[Method, tuple[float, float]] = {
    "sft": (2e-4, 2e-5),
    "reinforce": (1e-5, 1e-6),
    "grpo": (1e-5, 1e-6),
    "rlao": (2e-5, 2e-5),
}
"""With an adapter, and with all weights."""

OWNED = (
    "output_dir",
    "seed",
    "data_seed",
    "use_cpu",
    "remove_unused_columns",
    "eval_strategy",
    "eval_steps",
    "eval_on_start",
    "load_best_model_at_end",
    "metric_for_best_model",
    "greater_is_better",
    "restore_callback_states_from_checkpoint",
    "resume_from_checkpoint",
)
"""Set from the rest of the configuration."""


def arguments(method: Method, stated: Mapping[str, Any], *, lora: bool, known: Sequence[str]) -> dict[str, Any]:
    """The trainer's arguments: ours, and over them what the configuration states.

    Args:
        known: Every argument that the trainer has.

    Raises:
        UsageError: For one that it has not, or that is set elsewhere.
    """
    for name in stated:
        if name in OWNED:
            raise UsageError(f"trainer.{name} follows from the rest of the configuration; leave it out")
        if name not in known:
            close = difflib.get_close_matches(name, known)
            raise UsageError(
                f"the trainer of {method} has no argument {name!r}",
                hint=f"did you mean {close[0]}?" if close else "its arguments are those of the trainer's class in trl",
            )
    rate = LEARNING_RATES[method][0 if lora else 1]
    return {**_COMMON, **DEFAULTS[method], "learning_rate": rate, **stated}
