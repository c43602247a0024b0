"""Draws texts from the model in training, apart from the trainers' own sampling."""

from collections.abc import Mapping, Sequence
from typing import Any

from autoflow.core.model import Message
from autoflow.training.judge import Sampled


def chat(messages: Sequence[Message]) -> list[dict[str, str]]:
    """The messages as the training libraries take them."""
    return [{"role": message.role, "content": message.text} for message in messages]


def templated(tokenizer: Any, prompt: Sequence[Mapping[str, str]]) -> list[int]:
    """The tokens of a prompt, up to where the answer begins."""
    found = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=True, return_dict=True)
    return [int(token) for token in found["input_ids"]]


def sample(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[Message]], *, temperature: float, max_tokens: int, seed: int
) -> list[Sampled]:
    """One text for each prompt, in order. Temperature 0 takes the likeliest token at each place.

    The process's random state is left as it was, so that looking at samples changes nothing that comes after.
    """
    import torch
    from transformers import GenerationConfig

    rendered = tokenizer.apply_chat_template(
        [chat(messages) for messages in prompts],
        add_generation_prompt=True,
        tokenize=True,
        padding=True,
        return_dict=True,
        return_tensors="pt",
    ).to(model.device)
    ends = model.generation_config.eos_token_id
    ends = [ends] if isinstance(ends, int) else list(ends or [])
    ends = list(dict.fromkeys([tokenizer.eos_token_id, *ends]))
    drawing = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature else {}
    settings = GenerationConfig(
        max_new_tokens=max_tokens, eos_token_id=ends, pad_token_id=tokenizer.pad_token_id, **drawing
    )
    was_training = model.training
    model.eval()
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            drawn = model.generate(**rendered, generation_config=settings)
    finally:
        model.train(was_training)
    return [decoded(tokenizer, row, ends) for row in drawn[:, rendered["input_ids"].shape[1] :].tolist()]


def decoded(tokenizer: Any, tokens: Sequence[int], ends: Sequence[int]) -> Sampled:
    """The text of sampled tokens, up to the first that ends it."""
    end = next((place for place, token in enumerate(tokens) if token in ends), None)
    text = tokenizer.decode(tokens[:end], skip_special_tokens=True)
    return Sampled(text, end is not None, tuple(tokens if end is None else tokens[: end + 1]))
