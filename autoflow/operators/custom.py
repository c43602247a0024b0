"""`custom`: the step's sentence is the whole prompt. AFlow's Custom (arXiv:2410.10762)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.model import Message
from autoflow.core.operator import Card, Invocation
from autoflow.operators.asking import SAMPLING_PARAMETERS, asking, settled
from autoflow.prompts import render


@dataclass(frozen=True, slots=True)
class CustomPrompt:
    """The prompt and the task."""

    template: ClassVar[str] = "operators/custom.j2"
    instruction: str
    task: str
    """Empty where the instruction holds it already."""


class Custom:
    """Asks the model once, in a fresh conversation."""

    card = Card(
        name="custom",
        description="Asks the model with the instruction as the whole prompt and the task below it; earlier results "
        "are seen only where the instruction inserts them.",
        parameters=SAMPLING_PARAMETERS,
    )
    prompts = (CustomPrompt,)

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int]:
        """One."""
        return (1, 1)

    async def run(self, call: Invocation) -> Json:
        """The reply, or the JSON value that fits `call.output`."""
        task = "" if call.task.text.strip() in call.instruction else call.task.text
        prompt = render(CustomPrompt(call.instruction, task))
        return await asking(call, settled(self.card, call.parameters)).result((Message("user", prompt),))


PLUGIN = Custom()
