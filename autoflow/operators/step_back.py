"""`step-back`: first the principles behind the question, then the answer from them (arXiv:2310.06117). A seed of
ADAS."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.operator import Card, Invocation
from autoflow.operators.asking import SAMPLING_PARAMETERS, asking, clipped, say, settled
from autoflow.prompts import render


@dataclass(frozen=True, slots=True)
class PrinciplesPrompt:
    """What is to be done later."""

    template: ClassVar[str] = "operators/step_back_principles.j2"
    instruction: str


@dataclass(frozen=True, slots=True)
class FromPrinciplesPrompt:
    """The principles, and what is to be done."""

    template: ClassVar[str] = "operators/step_back_answer.j2"
    instruction: str
    principles: str


class StepBack:
    """Two calls."""

    card = Card(
        name="step-back",
        description="Names the principles that the task rests on, then answers from them step by step.",
        parameters=SAMPLING_PARAMETERS,
    )
    prompts = (PrinciplesPrompt, FromPrinciplesPrompt)

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int]:
        """Two."""
        return (2, 2)

    async def run(self, call: Invocation) -> Json:
        """The answer: a text, or the JSON value that fits `call.output`."""
        asked = asking(call, settled(self.card, call.parameters))
        principles = await asked.text(say(call.conversation, render(PrinciplesPrompt(call.instruction))), 0, "plan")
        turn = render(FromPrinciplesPrompt(call.instruction, clipped(principles)))
        return await asked.result(say(call.conversation, turn), 1)


PLUGIN = StepBack()
