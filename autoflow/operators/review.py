"""`review`: what is wrong with the newest result, point by point. AFlow's Review."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.operator import Card, Invocation
from autoflow.operators.asking import SAMPLING_PARAMETERS, asking, newest, say, settled, words
from autoflow.prompts import render

ACCEPTED = "Accepted: nothing needs to change."
"""The result where the reviewer finds nothing."""


@dataclass(frozen=True, slots=True)
class ReviewPrompt:
    """The instruction, and what a point must say."""

    template: ClassVar[str] = "operators/review.j2"
    instruction: str


class Review:
    """Asks once for faults and a verdict. The faults come first: a verdict before them would bind them."""

    card = Card(
        name="review",
        description="Reviews the newest result against the task and lists each fault with the change it needs, or "
        "accepts it.",
        parameters=SAMPLING_PARAMETERS,
    )
    prompts = (ReviewPrompt,)

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int]:
        """One."""
        return (1, 1)

    async def run(self, call: Invocation) -> Json:
        """One line a fault, or `ACCEPTED` where the reviewer accepts it or names no fault.

        Raises:
            OperatorError: If there is no result to review.
        """
        given = settled(self.card, call.parameters)
        newest(call, "result to review")
        turn = say(call.conversation, render(ReviewPrompt(call.instruction)))
        points: Json = {"type": "array", "items": words(call.model, 1), "maxItems": 10}
        schema: dict[str, Json] = {
            "type": "object",
            "properties": {"points": points, "accept": {"type": "boolean"}},
            "required": ["points", "accept"],
            "additionalProperties": False,
        }
        found = await asking(call, given).json(turn, schema)
        if found["accept"] or not found["points"]:
            return ACCEPTED
        return "\n".join(f"- {point}" for point in found["points"])


PLUGIN = Review()
