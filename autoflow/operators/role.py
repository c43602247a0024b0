"""`role`: the model says who is best suited, then answers as that person. ADAS's dynamic role assignment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.operator import Card, Invocation
from autoflow.models.structured import choose
from autoflow.operators.asking import SAMPLING_PARAMETERS, asking, clipped, say, settled
from autoflow.prompts import render

_ROLE_CHARS = 200


@dataclass(frozen=True, slots=True)
class ChooseRolePrompt:
    """What is to be done later, and who may do it."""

    template: ClassVar[str] = "operators/role_choose.j2"
    instruction: str
    roles: Sequence[str]
    """Empty where the model may name anyone."""


@dataclass(frozen=True, slots=True)
class AsRolePrompt:
    """Who speaks, and what is to be done."""

    template: ClassVar[str] = "operators/role_answer.j2"
    instruction: str
    role: str


class Role:
    """Two calls."""

    card = Card(
        name="role",
        description="Chooses the expert best suited to the task, then answers as that expert.",
        parameters={
            "roles": {
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "uniqueItems": True,
                "maxItems": 20,
                "default": [],
                "description": "the experts to choose from; none: the model names one",
            },
            **SAMPLING_PARAMETERS,
        },
    )
    prompts = (ChooseRolePrompt, AsRolePrompt)

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int]:
        """Two."""
        return (2, 2)

    async def run(self, call: Invocation) -> Json:
        """The answer: a text, or the JSON value that fits `call.output`.

        Raises:
            ReplyError: If the reply is none of `roles`, nor the repaired one.
        """
        given = settled(self.card, call.parameters)
        asked, roles = asking(call, given), given["roles"]
        turn = say(call.conversation, render(ChooseRolePrompt(call.instruction, roles)))
        if roles:
            role = await choose(call.model, asked.request(turn, 0, "role"), roles)
        else:
            role = " ".join((await asked.text(turn, 0, "role")).split())
        answer = render(AsRolePrompt(call.instruction, clipped(role, _ROLE_CHARS)))
        return await asked.result(say(call.conversation, answer), 1)


PLUGIN = Role()
