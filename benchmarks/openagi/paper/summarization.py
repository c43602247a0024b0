"""Text Summarization by BART, with the generation settings that come with it.

Corrected: the published code strips the characters of `</s>` from the summary's ends, not the mark, and fails on a text
longer than the model reads, which here is cut.
"""

from collections.abc import Sequence
from typing import Any

from ..expert import Apply, Expert, Site, Weights
from . import hub

MODEL = Weights("facebook/bart-large-cnn", "MIT", 1626, "37f520fa929c961707657b28798b30c003dd100b")


def _load(site: Site) -> Apply:
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    network = hub.model(AutoModelForSeq2SeqLM, MODEL, site)
    tokenizer = hub.part(AutoTokenizer, MODEL, site)
    longest = network.config.max_position_embeddings

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        texts = [text for (text,) in rows]
        words = tokenizer(
            texts, return_tensors="pt", padding=True, truncation=True, max_length=longest, return_token_type_ids=False
        )
        with torch.inference_mode():
            made = network.generate(**hub.moved(words, site))
        return [text.strip() for text in tokenizer.batch_decode(made, skip_special_tokens=True)]

    return apply


EXPERT = Expert(
    module="Text Summarization",
    description="BART-large, fine-tuned on CNN/DailyMail.",
    packages=hub.PACKAGES,
    load=_load,
    weights=(MODEL,),
    file=__file__,
)
