"""The last word on several answers: one call that weighs them and gives the final one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.operators.asking import Asking, clipped, say
from autoflow.prompts import render


@dataclass(frozen=True, slots=True)
class DecidePrompt:
    """The answers, and what is asked."""

    template: ClassVar[str] = "operators/decide.j2"
    instruction: str
    answers: Sequence[str]


async def decided(asked: Asking, answers: Sequence[str], index: int) -> Json:
    """The step's result, drawn as the run draws, not as the answers were."""
    call = asked.call
    turn = say(call.conversation, render(DecidePrompt(call.instruction, [clipped(answer) for answer in answers])))
    return await replace(asked, drawn=call.sampling).result(turn, index, "decide")
