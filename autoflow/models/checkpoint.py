"""The embedded model's weights as a checkpoint that transformers loads: to run it there, and to train on it.

Made once from the GGUF file in the cache folder (`autoflow.models.weights`), without a hub. transformers reads that
file, but does not save what it read from one: the weights are copied into a fresh model, which it does save.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from autoflow.errors import MissingDependencyError, UsageError
from autoflow.models import weights

NAME = "smollm2-135m"
"""What `transformers/...` and the trainers call it."""

_FOLDER = "smollm2-135m-instruct"


def checkpoint_path() -> Path:
    """Where the checkpoint is, or will be."""
    return weights.cache_folder() / "weights" / _FOLDER


def ensure_checkpoint(progress: Callable[[str], None] | None = None, *, offline: bool = False) -> Path:
    """The folder of the checkpoint, in float32 (540 MB), made at the first call; safe among concurrent processes.

    Raises:
        MissingDependencyError: If the GGUF file or a package is absent; the hint is what provides it.
    """
    target = checkpoint_path()
    if target.is_dir():
        return target
    source = weights.ensure_weights(progress, offline=offline)
    tell = progress or (lambda line: None)
    with weights.locked(target.with_suffix(".lock"), tell):
        if target.is_dir():  # another process made it while this one waited
            return target
        tell("making a checkpoint of the embedded model for transformers (half a minute)")
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="checkpoint-") as folder:
            made = Path(folder) / "made"
            convert(source, made)
            made.rename(target)
    return target


def without_bars() -> None:
    """Have transformers draw no progress bars where they would go into a file."""
    from transformers.utils import logging

    if not sys.stderr.isatty():
        logging.disable_progress_bar()


def convert(source: Path, target: Path) -> None:
    """Write a GGUF file of the llama architecture as a checkpoint.

    Raises:
        MissingDependencyError: If a package is absent.
    """
    try:
        import torch
        from tokenizers import pre_tokenizers
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM
    except ImportError as error:
        raise MissingDependencyError(
            f"a checkpoint is made with the package {error.name}, which is not installed",
            hint="install torch, then: pip install 'autoflow[train]'",
        ) from error
    without_bars()
    place, file = str(source.parent), source.name
    tokenizer = AutoTokenizer.from_pretrained(place, gguf_file=file)
    # The conversion forgets that SmolLM2 takes digits one by one, which matters for signs such as 1/2 as one character.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    read = AutoModelForCausalLM.from_pretrained(place, gguf_file=file, dtype=torch.float32)
    config = AutoConfig.from_pretrained(place, gguf_file=file)
    config.dtype = torch.float32
    fresh = LlamaForCausalLM(config)
    fresh.load_state_dict(read.state_dict())
    fresh.save_pretrained(target)
    tokenizer.save_pretrained(target)


def merge(
    adapter: Path, target: Path, *, base: str | None = None, progress: Callable[[str], None] | None = None
) -> str:
    """Write the adapter's base with the adapter merged in, and its tokenizer, to `target`. Returns the base.

    Args:
        base: A folder or a name on the hub; `None`: what the adapter says it was trained on.

    Raises:
        UsageError: If `target` is not empty, or the base is not known or cannot be loaded.
        DataError: If the adapter cannot be read.
        MissingDependencyError: Without the training libraries.
    """
    from autoflow.models import lora

    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is there and not empty", hint="name another folder, or remove this one")
    place = base or lora.load(adapter).base
    if not place:
        raise UsageError(f"{adapter} does not say what it was trained on", hint="name it with --base")
    if place in (NAME, f"embedded/{NAME}", f"transformers/{NAME}"):
        place = str(ensure_checkpoint(progress))
    try:
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise MissingDependencyError(
            f"the package {error.name} is not installed", hint="install torch, then: pip install 'autoflow[train]'"
        ) from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(place)
        model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32)
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UsageError(f"the base {place} cannot be loaded: {reason}", hint="name it with --base") from error
    PeftModel.from_pretrained(model, str(adapter)).merge_and_unload().save_pretrained(target)
    tokenizer.save_pretrained(target)
    return place
