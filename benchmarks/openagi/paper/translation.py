"""Machine Translation by T5, English to German.

Corrected: the published code strips the characters of `<pad></s>` from the translation's ends, not the marks, which
eats any p, a, d and s there; and a text longer than the model was trained on is cut.
"""

from collections.abc import Sequence
from typing import Any

from ..expert import Apply, Expert, Site, Weights
from . import hub

MODEL = Weights("google-t5/t5-base", "Apache-2.0", 892, "a9723ea")
PREFIX = "translate English to German: "
SHORTEST, LONGEST = 5, 1000
"""Tokens of a translation."""

READ = 512
"""Tokens of a text, its prefix included."""


def translator(item: Weights, site: Site) -> Any:
    """`texts -> German texts` by a T5 model of any size."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    network = hub.model(AutoModelForSeq2SeqLM, item, site)
    tokenizer = hub.part(AutoTokenizer, item, site)

    def translate(texts: list[str]) -> list[str]:
        words = tokenizer(
            [PREFIX + text for text in texts],
            return_tensors="pt",
            padding=True,
            truncation=True,
            max_length=READ,
            return_token_type_ids=False,
        )
        with torch.inference_mode():
            made = network.generate(**hub.moved(words, site), min_length=SHORTEST, max_length=LONGEST)
        return [text.strip() for text in tokenizer.batch_decode(made, skip_special_tokens=True)]

    return translate


def _load(site: Site) -> Apply:
    translate = translator(MODEL, site)

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        return list(translate([text for (text,) in rows]))

    return apply


EXPERT = Expert(
    module="Machine Translation",
    description="T5-base, English to German.",
    packages=hub.PACKAGES,
    load=_load,
    settings={"shortest": SHORTEST, "longest": LONGEST},
    weights=(MODEL,),
    file=__file__,
)
