"""Question Answering by DistilBERT: the span of the document with the highest start and end.

Corrected: the published code takes one span for the whole batch, from a tokenizer that it never defines; its end may
lie before its start; it may lie in the question; and a long document makes the model fail. Here each sample has its own
span, within the document, of which as much is read as the model can.
"""

from collections.abc import Sequence
from typing import Any

from ..expert import Apply, Expert, Site, Weights
from . import hub

MODEL = Weights("distilbert/distilbert-base-cased-distilled-squad", "Apache-2.0", 261, "564e9b5")


def best_span(start: Any, end: Any, allowed: Any) -> tuple[int, int]:
    """First and last token of the best span: start and end logits added, both in `allowed`, in order.

    Shapes (tokens,), three tensors.
    """
    import torch

    scores = start[:, None] + end[None, :]
    inside = allowed[:, None] & allowed[None, :]
    ordered = torch.ones_like(inside).triu()
    scores = scores.masked_fill(~(inside & ordered), float("-inf"))
    place = int(scores.argmax())
    return place // len(end), place % len(end)


def _load(site: Site) -> Apply:
    import torch
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    network = hub.model(AutoModelForQuestionAnswering, MODEL, site)
    tokenizer = hub.part(AutoTokenizer, MODEL, site)
    longest = network.config.max_position_embeddings

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        queries, documents = [query for query, _ in rows], [document for _, document in rows]
        words = tokenizer(
            queries,
            documents,
            return_tensors="pt",
            padding=True,
            truncation="only_second",
            max_length=longest,
            return_token_type_ids=False,
        )
        with torch.inference_mode():
            found = network(**hub.moved(words, site))
        answers = []
        for index in range(len(rows)):
            allowed = torch.tensor([number == 1 for number in words.sequence_ids(index)])
            first, last = best_span(found.start_logits[index].cpu(), found.end_logits[index].cpu(), allowed)
            answers.append(tokenizer.decode(words["input_ids"][index][first : last + 1], skip_special_tokens=True))
        return [answer.strip() for answer in answers]

    return apply


EXPERT = Expert(
    module="Question Answering",
    description="DistilBERT, fine-tuned on SQuAD.",
    packages=hub.PACKAGES,
    load=_load,
    weights=(MODEL,),
    file=__file__,
)
