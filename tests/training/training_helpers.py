"""A model of a few thousand weights with a tokenizer of bytes, made on the spot; and trainers on it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from autoflow.training.config import TrainConfig
from autoflow.training.judge import Judged, Sampled
from autoflow.training.outcome import Outcome

# Turns are cut short: a real prompt would be a thousand tokens, which is most of the time of these tests.
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'][:80] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LETTERS = "abcdefgh"


def make_model(folder: Path, *, letters: str | None = LETTERS, spread: float = 0.02) -> Path:
    """A random Llama. With `letters` its vocabulary is these, so that a bandit has few arms; `None`: all bytes.

    `spread` is the standard deviation of its weights: an adapter can turn the output only as far as they are large.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(letters) if letters else sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<pad>", "<unk>", "<|im_start|>", "<|im_end|>", *alphabet]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", unk_token="<unk>", bos_token="<|im_start|>", eos_token="<|im_end|>"
    )
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokens),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=4096,
            initializer_range=spread,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=3,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def config(method: str, model: Path, **changes: Any) -> TrainConfig:
    """A configuration for the tiny model; `trainer` is merged over what all tests share."""
    trainer = (
        {"max_completion_length": 4, "max_steps": 2, "learning_rate": 1e-2} if method in ("reinforce", "grpo") else {}
    )
    values: dict[str, Any] = {"method": method, "model": str(model), "seed": 3, "lora": None, **changes}
    if method in ("reinforce", "grpo"):
        values.setdefault("tasks", {"benchmarks": ["openagi"]})
    else:
        values.setdefault("data", ["elsewhere"])
    values["trainer"] = {**trainer, **changes.get("trainer", {})}
    return TrainConfig.model_validate(values)


def scoring(value: Callable[[str], float | None], seen: list[tuple[str, int]] | None = None) -> Any:
    """A scorer of samples by their text alone; `seen` gathers (text, step)."""

    def score(ids: Sequence[str], samples: Sequence[Sampled], step: int) -> Callable[[], list[Judged]]:
        found = []
        for sampled in samples:
            if seen is not None:
                seen.append((sampled.text, step))
            reward = value(sampled.text)
            found.append(Judged(sampled, Outcome(True, True, reward), reward))
        return lambda: found

    return score


class Unwatched:
    """Stands for the bridge where no event loop is there."""

    stopping = False

    def check(self) -> None:
        """Nobody abandons a test."""

    def tell(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call it here and now."""
        function(*arguments)


def made(settings: TrainConfig, folder: Path, **material: Any) -> Any:
    """The trainer of a configuration."""
    from autoflow.training.callbacks import Following
    from autoflow.training.trainer import Material, build, quiet

    quiet()
    if settings.method in ("reinforce", "grpo"):
        material.setdefault("prompts", [{"prompt": [{"role": "user", "content": "a"}], "assignment": "one"}])
    following = Following(material.pop("bridge", Unwatched()), lambda _: None, lambda: {})
    return build(settings, Material(**material), folder, following)


def weights(trainer: Any) -> Mapping[str, Any]:
    """A copy of all weights."""
    return {name: value.detach().clone() for name, value in trainer.model.state_dict().items()}
