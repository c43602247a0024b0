"""Text Generation by GPT-2, greedily.

Corrected: published were 30 tokens with the prompt counted among them, so that a longer prompt was returned as it came
or failed; here 30 are added, to as much of the prompt's end as the model reads with them.
"""

from collections.abc import Sequence
from typing import Any

from ..expert import Apply, Expert, Site, Weights
from . import hub

MODEL = Weights("openai-community/gpt2", "MIT", 548, "607a30d")
ADDED = 30
"""Tokens."""


def _load(site: Site) -> Apply:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network = hub.model(AutoModelForCausalLM, MODEL, site)
    tokenizer = hub.part(AutoTokenizer, MODEL, site)
    longest = network.config.n_positions - ADDED

    def continued(text: str) -> str:
        words = tokenizer(text or tokenizer.eos_token, return_tensors="pt")["input_ids"][:, -longest:].to(site.device)
        with torch.inference_mode():
            made = network.generate(
                words,
                attention_mask=torch.ones_like(words),
                max_new_tokens=ADDED,
                do_sample=False,
                pad_token_id=tokenizer.eos_token_id,
            )
        return text + str(tokenizer.decode(made[0, words.shape[1] :], skip_special_tokens=True))

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        # One by one, as published: GPT-2 has no padding token, and padding changes what it says.
        return [continued(text) for (text,) in rows]

    return apply


EXPERT = Expert(
    module="Text Generation",
    description="GPT-2, 30 more tokens.",
    packages=hub.PACKAGES,
    load=_load,
    settings={"added": ADDED},
    weights=(MODEL,),
    file=__file__,
)
