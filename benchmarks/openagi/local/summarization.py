"""Text Summarization by extraction: the first sentence and those that, with it, come nearest the whole text's meaning.

Source: greedy selection by centroid, as Rossiello et al. (2017), with the lead kept, which news summaries rely on.
Plainly taking the sentences nearest the centre was worse than returning the whole text.
"""

from collections.abc import Sequence
from typing import Any

from ..expert import Apply, Expert, Site
from .sentences import PACKAGES, WEIGHTS, encoder, split

KEPT = 4
"""Sentences of a summary."""


def _load(site: Site) -> Apply:
    import numpy as np

    encode = encoder(site)

    def nearness(vectors: Any, centre: Any) -> float:
        middle = vectors.mean(axis=0)
        return float(middle @ centre / np.linalg.norm(middle))

    def summary(text: str) -> str:
        sentences = split(text)
        vectors = encode(sentences)
        centre = vectors.mean(axis=0)
        kept = [0]
        while len(kept) < min(KEPT, len(sentences)):
            left = [place for place in range(len(sentences)) if place not in kept]
            kept.append(max(left, key=lambda place: nearness(vectors[[*kept, place]], centre)))
        return " ".join(sentences[place] for place in sorted(kept))

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        return [summary(text) for (text,) in rows]

    return apply


EXPERT = Expert(
    module="Text Summarization",
    description="Extraction: four sentences, the first and those that cover the text best, by MiniLM.",
    packages=PACKAGES,
    load=_load,
    weights=WEIGHTS,
    file=__file__,
)
