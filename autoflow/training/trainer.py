"""Builds the trainer of a method from the configuration: model, data, arguments, callbacks."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
import trl
from transformers import EarlyStoppingCallback, PrinterCallback

from autoflow.errors import UsageError
from autoflow.training import alike, base, bundled, demonstrations, drawing, shared_prompt, typed, weighted
from autoflow.training.callbacks import Following
from autoflow.training.config import SAMPLING_METHODS, TrainConfig
from autoflow.training.defaults import arguments
from autoflow.training.held_out import SCORE, looking
from autoflow.training.policy import Rewards, Score, eager
from autoflow.training.sampling import decoded
from autoflow.training.trajectories import Turn

Look = Callable[[Any, Any], dict[str, float]]
"""(model, tokenizer) -> metrics of what it writes for held-out prompts."""


@dataclass(frozen=True, slots=True)
class Material:
    """What a run learns from, one of the three by method; and what it looks at."""

    prompts: Sequence[Mapping[str, Any]] = ()
    """`reinforce`, `grpo`: rows of `prompt` and `assignment`."""

    held_out: Sequence[Mapping[str, Any]] = ()
    """Rows that are looked at, for their grammars where samples are typed."""

    demonstrations: Any = None
    """`sft`: a data set of `prompt` and `completion`."""

    turns: Sequence[Turn] = ()
    """`rlao`."""

    score: Score | None = None
    """`reinforce`, `grpo`: what judges samples."""


def quiet() -> None:
    """Leave the terminal to this project's own progress lines."""
    # One library's deprecations by another: nothing that anyone here could act on.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|peft)\.")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()


def build(
    config: TrainConfig,
    material: Material,
    folder: Path,
    following: Following,
    look: Look | None = None,
    *,
    wrap: Callable[[type], type] = lambda kind: kind,
) -> Any:
    """The trainer, ready for `train`. Checkpoints go below `folder`. `wrap` makes the class that is made of TRL's.

    Raises:
        UsageError: For arguments that do not fit, and a model that cannot be loaded.
        DataError: For data that does not fit.
    """
    kind, settings = _classes(config)
    transformers.set_seed(config.seed)  # a fresh adapter is drawn at random
    known = [item.name for item in fields(settings)]
    chosen = arguments(config.method, config.trainer, lora=config.lora is not None, known=known)
    tokenizer = base.load_tokenizer(config.model)
    model = base.load_model(config)
    gpu = base.on_gpu()
    # Unlike elsewhere, what the machine has decides here: half precision is slower where it is not built in.
    chosen.setdefault("bf16", gpu and torch.cuda.is_bf16_supported())
    if look is not None and config.held_out is not None:
        chosen.update(_looks(config.held_out.every))
    args = settings(
        output_dir=str(folder),
        seed=config.seed,
        data_seed=config.seed,
        use_cpu=not gpu,
        remove_unused_columns=config.method not in SAMPLING_METHODS,
        restore_callback_states_from_checkpoint=True,
        **chosen,
    )
    options: dict[str, Any] = {"model": model, "args": args, "processing_class": tokenizer, "callbacks": [following]}
    if config.adapter is None and config.lora is not None:
        options["peft_config"] = base.fresh_adapter(config.lora)
    if config.held_out is not None and look is not None:
        options["callbacks"].append(EarlyStoppingCallback(config.held_out.patience))
    rows = _rows(config, material, tokenizer, args, options)
    if config.method in SAMPLING_METHODS:
        if shared_prompt.wanted(config.shared_prompt, model):
            grammars = None
            if config.typed:
                typed_rows = [*material.prompts, *material.held_out]
                grammars = typed.Grammars(typed_rows, tokenizer, model.get_output_embeddings().weight.shape[0])
            inner = model.get_base_model() if config.adapter is not None else model
            drawing.draw_together(inner, grammars, half=args.bf16 and not gpu)
            kind = shared_prompt.sharing(kind, grammars)
        elif config.typed:
            raise UsageError("typed samples need a shared prompt", hint="leave `shared_prompt` out, or: typed: false")
        kind = eager(kind, options["reward_funcs"])
    if look is not None:
        # Never read: only the constructor asks for it.
        options["eval_dataset"] = rows.select([0])
    trainer = looking(wrap(kind), look)(train_dataset=rows, **options)
    trainer.remove_callback(PrinterCallback)
    return trainer


def _classes(config: TrainConfig) -> tuple[Any, Any]:
    return {
        "sft": (trl.SFTTrainer if config.bundle is None else bundled.BundledTrainer, trl.SFTConfig),
        "reinforce": (trl.RLOOTrainer, trl.RLOOConfig),
        "grpo": (trl.GRPOTrainer, trl.GRPOConfig),
        "rlao": (weighted.WeightedTrainer, trl.SFTConfig),
    }[config.method]


def _looks(every: int) -> dict[str, Any]:
    return {
        "eval_strategy": "steps",
        "eval_steps": every,
        "eval_on_start": True,
        "save_steps": every,  # the best checkpoint must be one that was saved
        "load_best_model_at_end": True,
        "metric_for_best_model": SCORE,
        "greater_is_better": True,
    }


def _rows(config: TrainConfig, material: Material, tokenizer: Any, args: Any, options: dict[str, Any]) -> Any:
    if config.method in SAMPLING_METHODS:
        if material.score is None:
            raise ValueError(f"{config.method} needs something that scores samples")
        ends = _ends(options["model"], tokenizer)
        rewards = Rewards(material.score, lambda tokens: decoded(tokenizer, tokens, ends), args.num_generations)
        options["reward_funcs"] = rewards
        return datasets.Dataset.from_list(list(material.prompts))
    if config.method == "sft":
        demonstrations.check_lengths(material.demonstrations, tokenizer, args.max_length)
        if config.bundle is None:
            return material.demonstrations
        options["data_collator"] = alike.Collator(tokenizer.pad_token_id)
        args.dataset_kwargs = {"skip_prepare_dataset": True}
        args.packing = False
        return datasets.Dataset.from_list(bundled.rows(material.demonstrations, tokenizer, config.bundle))
    options["data_collator"] = weighted.Collator(tokenizer.pad_token_id)
    args.dataset_kwargs = {"skip_prepare_dataset": True}
    made = weighted.rows(
        material.turns,
        tokenizer,
        tau=config.tau,
        whole_prefix=config.whole_prefix,
        max_length=args.max_length,
    )
    return datasets.Dataset.from_list(made)


def _ends(model: Any, tokenizer: Any) -> list[int]:
    stated = model.generation_config.eos_token_id
    return [tokenizer.eos_token_id, *([stated] if isinstance(stated, int) else stated or [])]
