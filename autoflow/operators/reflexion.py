"""`reflexion`: answer, criticise, answer again until the critic is content. ADAS's seed, after Shinn et al.
(arXiv:2303.11366)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.operator import Card, Invocation
from autoflow.operators.asking import (
    SAMPLING_PARAMETERS,
    answered,
    asking,
    clipped,
    say,
    settled,
    shown,
    whole,
    words,
)
from autoflow.prompts import render


@dataclass(frozen=True, slots=True)
class CriticPrompt:
    """The answer to criticise."""

    template: ClassVar[str] = "operators/reflexion_critic.j2"
    instruction: str
    answer: str


@dataclass(frozen=True, slots=True)
class AgainPrompt:
    """The critic's feedback."""

    template: ClassVar[str] = "operators/reflexion_again.j2"
    instruction: str
    feedback: str


class Reflexion:
    """Up to 1 + `rounds` tries. The critic sees one answer, not those before it."""

    card = Card(
        name="reflexion",
        description="Answers, has a critic check the answer, and tries again with its feedback until it is content.",
        parameters={"rounds": whole(1, 10, 3), **SAMPLING_PARAMETERS},
    )
    prompts = (CriticPrompt, AgainPrompt)

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int]:
        """A try and its check, and a new try for each check but the last that may find a fault."""
        rounds = parameters.get("rounds", 3)
        return (2, 1 + 2 * (rounds if isinstance(rounds, int) else 10))

    async def run(self, call: Invocation) -> Json:
        """The first answer that the critic accepts, else the last: a text, or the value that fits `call.output`."""
        given = settled(self.card, call.parameters)
        asked = asking(call, given)
        schema: dict[str, Json] = {
            "type": "object",
            "properties": {"feedback": words(call.model), "correct": {"type": "boolean"}},
            "required": ["feedback", "correct"],
            "additionalProperties": False,
        }
        opening = say(call.conversation, call.instruction)
        found = await asked.result(opening)
        for number in range(1, given["rounds"] + 1):
            answer = clipped(shown(found))
            turn = say(call.conversation, render(CriticPrompt(call.instruction, answer)))
            verdict = await asked.json(turn, schema, 2 * number - 1, "critic")
            if verdict["correct"]:
                break
            again = render(AgainPrompt(call.instruction, clipped(verdict["feedback"])))
            found = await asked.result(answered(opening, answer, again), 2 * number)
        return found


PLUGIN = Reflexion()
