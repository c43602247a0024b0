"""`diversity`: answers each found in another way than those before, then a decision. ADAS's quality-diversity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.operator import Card, Invocation
from autoflow.operators.asking import asking, clipped, say, settled, temperature, whole
from autoflow.operators.deciding import DecidePrompt, decided
from autoflow.prompts import render


@dataclass(frozen=True, slots=True)
class AnotherWayPrompt:
    """The answers so far."""

    template: ClassVar[str] = "operators/diversity.j2"
    instruction: str
    earlier: Sequence[str]


class Diversity:
    """`ways` answers, one after the other, each shown those before it."""

    card = Card(
        name="diversity",
        description="Answers several times, each time in another way than before, then decides.",
        parameters={"ways": whole(2, 8, 3), **temperature(0.7)},
    )
    prompts = (AnotherWayPrompt, DecidePrompt)

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int]:
        """One a way, and the decision."""
        ways = parameters.get("ways", 3)
        return (ways + 1, ways + 1) if isinstance(ways, int) else (3, 9)

    async def run(self, call: Invocation) -> Json:
        """The decision: a text, or the JSON value that fits `call.output`."""
        given = settled(self.card, call.parameters)
        asked = asking(call, given)
        said: list[str] = []
        for index in range(given["ways"]):
            turn = render(AnotherWayPrompt(call.instruction, [clipped(text) for text in said]))
            said.append(await asked.text(say(call.conversation, turn), index, "draw"))
        return await decided(asked, said, given["ways"])


PLUGIN = Diversity()
