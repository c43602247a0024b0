"""`decompose`: the task as a list of sub-questions. MetaFlow's Decompose (arXiv:2606.30704), after its description."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.operator import Card, Invocation
from autoflow.operators.asking import SAMPLING_PARAMETERS, asking, say, settled, whole, words
from autoflow.prompts import render


@dataclass(frozen=True, slots=True)
class DecomposePrompt:
    """The instruction, and what a sub-question must be."""

    template: ClassVar[str] = "operators/decompose.j2"
    instruction: str
    most: int


class Decompose:
    """Asks once for a list, which a later step can map over with `for_each`."""

    card = Card(
        name="decompose",
        description="Breaks the task down into a list of sub-questions, which a step with for_each can answer one by "
        "one.",
        output="list",
        parameters={"most": whole(1, 20, 5), **SAMPLING_PARAMETERS},
    )
    prompts = (DecomposePrompt,)

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int]:
        """One."""
        return (1, 1)

    async def run(self, call: Invocation) -> Json:
        """The sub-questions, one to `most` texts, in the order in which they should be answered."""
        given = settled(self.card, call.parameters)
        questions: dict[str, Json] = {
            "type": "array",
            "items": words(call.model, 1),
            "minItems": 1,
            "maxItems": given["most"],
        }
        turn = say(call.conversation, render(DecomposePrompt(call.instruction, given["most"])))
        found: Json = await asking(call, given).json(turn, call.output or questions)
        return found


PLUGIN = Decompose()
