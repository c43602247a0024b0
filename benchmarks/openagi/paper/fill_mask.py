"""Fill Mask by DistilBERT: the likeliest word for each `[MASK]`.

Corrected: the published code fails on a text without `[MASK]` and on one that is longer than the model reads, and puts
the word for the first mask into all of them. Here such a text stays as it is, each mask gets its own word, and a mask
is read within the words around it.
"""

from collections.abc import Sequence
from typing import Any

from autoflow.errors import OperatorError

from ..expert import Apply, Expert, Site, Weights
from . import hub

MODEL = Weights("distilbert/distilbert-base-uncased", "Apache-2.0", 268, "12040accade4e8a0f71eabdb258fecc2e7e948be")
MASK = "[MASK]"
AROUND = 100
"""Words read on each side of a mask."""


def window(before: str, after: str) -> str:
    """The words around one mask, of the texts before and behind it, as a text with that mask alone."""
    left = before.replace(MASK, " ").split()[-AROUND:]
    right = after.replace(MASK, " ").split()[:AROUND]
    # Punctuation that touches the mask stays at it: "[MASK]." ends a sentence.
    close = "" if after[:1] in {",", ".", ";", ":", "!", "?", "'"} else " "
    return f"{' '.join([*left, MASK])}{close}{' '.join(right)}".strip()


def _load(site: Site) -> Apply:
    import torch
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    network = hub.model(AutoModelForMaskedLM, MODEL, site)
    tokenizer = hub.part(AutoTokenizer, MODEL, site)
    longest = network.config.max_position_embeddings

    def word(text: str) -> str:
        words = tokenizer(text, return_tensors="pt", truncation=True, max_length=longest, return_token_type_ids=False)
        places = (words["input_ids"][0] == tokenizer.mask_token_id).nonzero()
        if len(places) == 0:
            raise OperatorError(f"the {AROUND} words before the mask are more than the model reads")
        with torch.inference_mode():
            logits = network(**hub.moved(words, site)).logits[0, int(places[0])]
        return str(tokenizer.decode([int(logits.argmax())])).strip()

    def filled(text: str) -> str:
        done, *rest = text.split(MASK)
        for place, piece in enumerate(rest):
            # What is filled in is not read again: a model may answer with the mask itself.
            done += word(window(done, MASK.join(rest[place:]))) + piece
        return done

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        return [filled(text) for (text,) in rows]

    return apply


EXPERT = Expert(
    module="Fill Mask",
    description="DistilBERT, the likeliest word for each mask.",
    packages=hub.PACKAGES,
    load=_load,
    settings={"around": AROUND},
    weights=(MODEL,),
    file=__file__,
)
