"""Sentiment Analysis by DistilBERT: POSITIVE or NEGATIVE.

Corrected: a long text is cut to what the model reads, where the published code fails.
"""

from collections.abc import Sequence
from typing import Any

from ..expert import Apply, Expert, Site, Weights
from . import hub

MODEL = Weights("distilbert/distilbert-base-uncased-finetuned-sst-2-english", "Apache-2.0", 268, "714eb0f")


def _load(site: Site) -> Apply:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    network = hub.model(AutoModelForSequenceClassification, MODEL, site)
    tokenizer = hub.part(AutoTokenizer, MODEL, site)
    longest = network.config.max_position_embeddings

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        texts = [text for (text,) in rows]
        words = tokenizer(
            texts,
            return_tensors="pt",
            padding=True,
            truncation=True,
            max_length=longest,
            return_token_type_ids=False,
        )
        with torch.inference_mode():
            logits = network(**hub.moved(words, site)).logits
        return [network.config.id2label[index] for index in logits.argmax(dim=-1).tolist()]

    return apply


EXPERT = Expert(
    module="Sentiment Analysis",
    description="DistilBERT, fine-tuned on SST-2.",
    packages=hub.PACKAGES,
    load=_load,
    weights=(MODEL,),
    file=__file__,
)
