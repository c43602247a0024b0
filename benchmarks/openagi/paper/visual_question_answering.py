"""Visual Question Answering by ViLT: one of its 3,129 answers.

Corrected: a long question is cut to what the model reads, where the published code fails.
"""

from collections.abc import Sequence
from typing import Any

from ..expert import Apply, Expert, Site, Weights
from . import hub

MODEL = Weights("dandelin/vilt-b32-finetuned-vqa", "Apache-2.0", 470, "d0a1f6a")


def _load(site: Site) -> Apply:
    import torch
    from transformers import AutoTokenizer, ViltForQuestionAnswering, ViltImageProcessorPil

    network = hub.model(ViltForQuestionAnswering, MODEL, site)
    processor, tokenizer = hub.part(ViltImageProcessorPil, MODEL, site), hub.part(AutoTokenizer, MODEL, site)
    longest = network.config.max_position_embeddings

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        questions = [question for _, question in rows]
        words = tokenizer(questions, return_tensors="pt", padding=True, truncation=True, max_length=longest)
        pictures = processor(images=hub.images(rows), return_tensors="pt")
        with torch.inference_mode():
            logits = network(**hub.moved({**words, **pictures}, site)).logits
        return [network.config.id2label[index] for index in logits.argmax(dim=-1).tolist()]

    return apply


EXPERT = Expert(
    module="Visual Question Answering",
    description="ViLT, fine-tuned on VQA.",
    packages=hub.PACKAGES,
    load=_load,
    weights=(MODEL,),
    file=__file__,
)
