"""`format`: the answer that was found, in the form that is asked for. AFlow's Format."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.operator import Card, Invocation
from autoflow.operators.asking import SAMPLING_PARAMETERS, asking, newest, say, settled
from autoflow.prompts import render


@dataclass(frozen=True, slots=True)
class FormatPrompt:
    """The instruction, and the form."""

    template: ClassVar[str] = "operators/format.j2"
    instruction: str
    form: str


class Format:
    """Asks once, and asks for no new solution."""

    card = Card(
        name="format",
        description="Takes the answer out of the newest result and gives it in the form that is asked for, and nothing "
        "else.",
        parameters={"form": {"type": "string", "default": "as short as possible"}, **SAMPLING_PARAMETERS},
    )
    prompts = (FormatPrompt,)

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int]:
        """One."""
        return (1, 1)

    async def run(self, call: Invocation) -> Json:
        """The answer as a text, or the JSON value that fits `call.output`.

        Raises:
            OperatorError: If there is no result to take it from.
        """
        given = settled(self.card, call.parameters)
        newest(call, "result to take the answer from")
        turn = say(call.conversation, render(FormatPrompt(call.instruction, given["form"])))
        return await asking(call, given).result(turn)


PLUGIN = Format()
