"""`summarize`: what was found so far, in short. MetaFlow's Summarize, after its description."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.operator import Card, Invocation
from autoflow.operators.asking import SAMPLING_PARAMETERS, asking, say, settled, whole
from autoflow.prompts import render


@dataclass(frozen=True, slots=True)
class SummarizePrompt:
    """The instruction, and how long the summary may be."""

    template: ClassVar[str] = "operators/summarize.j2"
    instruction: str
    words: int


class Summarize:
    """Asks once."""

    card = Card(
        name="summarize",
        description="Summarises the results so far in a few sentences, keeping what the task needs.",
        parameters={"words": whole(10, 2000, 100), **SAMPLING_PARAMETERS},
    )
    prompts = (SummarizePrompt,)

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int]:
        """One."""
        return (1, 1)

    async def run(self, call: Invocation) -> Json:
        """The summary, of about `words` words at most, or the JSON value that fits `call.output`."""
        given = settled(self.card, call.parameters)
        turn = say(call.conversation, render(SummarizePrompt(call.instruction, given["words"])))
        return await asking(call, given).result(turn)


PLUGIN = Summarize()
