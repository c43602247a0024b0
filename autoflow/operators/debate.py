"""`debate`: several answer, read one another, answer again; then one decides. ADAS's debate (arXiv:2408.08435), after
Du et al. (arXiv:2305.14325)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.operator import Card, Invocation
from autoflow.operators.asking import answered, asking, clipped, say, settled, temperature, together, whole
from autoflow.operators.deciding import DecidePrompt, decided
from autoflow.prompts import render


@dataclass(frozen=True, slots=True)
class DebateOpenPrompt:
    """The instruction, and who speaks."""

    template: ClassVar[str] = "operators/debate_open.j2"
    instruction: str
    role: str
    """Empty where the speakers have no roles."""


@dataclass(frozen=True, slots=True)
class DebateReplyPrompt:
    """What the others said."""

    template: ClassVar[str] = "operators/debate_reply.j2"
    others: Sequence[str]


class Debate:
    """`agents` speakers, `rounds` rounds; the speakers of a round are asked in parallel."""

    card = Card(
        name="debate",
        description="Lets several speakers answer, read one another and answer again, then decides.",
        parameters={
            "agents": whole(2, 8, 3),
            "rounds": whole(1, 5, 2),
            "roles": {
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "maxItems": 8,
                "default": [],
                "description": "who the speakers are, in turn; none: they differ by chance alone",
            },
            **temperature(0.7),
        },
    )
    prompts = (DebateOpenPrompt, DebateReplyPrompt, DecidePrompt)

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int]:
        """One a speaker and round, and the decision."""
        agents, rounds = parameters.get("agents", 3), parameters.get("rounds", 2)
        if not isinstance(agents, int) or not isinstance(rounds, int):
            return (3, 41)
        return (agents * rounds + 1, agents * rounds + 1)

    async def run(self, call: Invocation) -> Json:
        """The decision: a text, or the JSON value that fits `call.output`."""
        given = settled(self.card, call.parameters)
        asked, agents, roles = asking(call, given), given["agents"], given["roles"]
        speakers = [roles[place % len(roles)] if roles else "" for place in range(agents)]
        openings = [say(call.conversation, render(DebateOpenPrompt(call.instruction, role))) for role in speakers]
        said = await together([asked.text(turn, place, "debate") for place, turn in enumerate(openings)])
        for number in range(1, given["rounds"]):
            turns = []
            for place, own in enumerate(said):
                others = [clipped(text) for other, text in enumerate(said) if other != place]
                turns.append(answered(openings[place], own, render(DebateReplyPrompt(others))))
            said = await together(
                [asked.text(turn, number * agents + place, "debate") for place, turn in enumerate(turns)]
            )
        return await decided(asked, said, given["rounds"] * agents)


PLUGIN = Debate()
