"""Question Answering by retrieval: the document's sentence that is nearest the query. It marks no span."""

from collections.abc import Sequence
from typing import Any

from ..expert import Apply, Expert, Site
from .sentences import PACKAGES, WEIGHTS, encoder, split


def _load(site: Site) -> Apply:
    encode = encoder(site)

    def answer(query: str, document: str) -> str:
        sentences = split(document)
        vectors = encode([query, *sentences])
        return sentences[int((vectors[1:] @ vectors[0]).argmax())]

    def apply(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        return [answer(query, document) for query, document in rows]

    return apply


EXPERT = Expert(
    module="Question Answering",
    description="Retrieval: the whole sentence of the document nearest the query, by MiniLM.",
    packages=PACKAGES,
    load=_load,
    weights=WEIGHTS,
    file=__file__,
)
