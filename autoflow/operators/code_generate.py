"""`code-generate`: a Python function for the task, as code alone. AFlow's CustomCodeGenerate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.operator import Card, Invocation
from autoflow.core.task import Task
from autoflow.operators.asking import SAMPLING_PARAMETERS, asking, say, settled
from autoflow.prompts import render
from autoflow.scorers.code_tests import extract


@dataclass(frozen=True, slots=True)
class CodePrompt:
    """The instruction, and what code is wanted."""

    template: ClassVar[str] = "operators/code.j2"
    instruction: str
    entry_point: str
    """The function's name; empty where none is demanded."""


class CodeGenerate:
    """Asks once; the code is not run."""

    card = Card(
        name="code-generate",
        description="Writes the Python function that the task asks for, as code alone, without running it.",
        output="code",
        parameters={"entry_point": {"type": "string", "default": ""}, **SAMPLING_PARAMETERS},
    )
    prompts = (CodePrompt,)

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int]:
        """One."""
        return (1, 1)

    async def run(self, call: Invocation) -> Json:
        """The code, without fences and prose around it."""
        given = settled(self.card, call.parameters)
        entry = given["entry_point"] or entry_point(call.task)
        turn = say(call.conversation, render(CodePrompt(call.instruction, entry)))
        return extract(await asking(call, given).text(turn), entry).strip("\n")


def entry_point(task: Task) -> str:
    """The function that the task's context names; empty where it names none."""
    found = task.context.get("entry_point")
    return found if isinstance(found, str) else ""


PLUGIN = CodeGenerate()
