"""`revise`: the newest version again, with the changes that a review asks for. AFlow's Revise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.operator import Card, Invocation
from autoflow.operators.asking import SAMPLING_PARAMETERS, asking, newest, say, settled
from autoflow.prompts import render


@dataclass(frozen=True, slots=True)
class RevisePrompt:
    """The instruction, and what may change."""

    template: ClassVar[str] = "operators/revise.j2"
    instruction: str


class Revise:
    """Asks once, with the work and its review among the results that the step reads."""

    card = Card(
        name="revise",
        description="Writes the newest version of the work again with the changes that a review asks for.",
        parameters=SAMPLING_PARAMETERS,
    )
    prompts = (RevisePrompt,)

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int]:
        """One."""
        return (1, 1)

    async def run(self, call: Invocation) -> Json:
        """The revised work, or the JSON value that fits `call.output`.

        Raises:
            OperatorError: If there is no result to revise.
        """
        given = settled(self.card, call.parameters)
        newest(call, "result to revise")
        return await asking(call, given).result(say(call.conversation, render(RevisePrompt(call.instruction))))


PLUGIN = Revise()
