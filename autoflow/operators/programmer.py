"""`programmer`: the model writes Python, the sandbox runs it, errors go back. AFlow's and MetaFlow's Programmer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.operator import Card, Invocation
from autoflow.errors import OperatorError
from autoflow.operators.asking import (
    SAMPLING_PARAMETERS,
    answered,
    asking,
    clipped,
    say,
    seconds,
    settled,
    shown,
    whole,
)
from autoflow.prompts import render
from autoflow.sandbox.choose import choose
from autoflow.sandbox.function import Returned
from autoflow.sandbox.function import call as run_function
from autoflow.sandbox.program import Limits
from autoflow.scorers.code_tests import extract

FUNCTION = "solve"
"""What the code must define: a function without arguments that returns the answer."""

_ERROR_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class ProgrammerPrompt:
    """The instruction, and what code is wanted."""

    template: ClassVar[str] = "operators/programmer.j2"
    instruction: str


@dataclass(frozen=True, slots=True)
class ProgrammerRepairPrompt:
    """What is wrong with the code before."""

    template: ClassVar[str] = "operators/programmer_repair.j2"
    failure: str


class Programmer:
    """Asks for code until it returns something, at most 1 + `repairs` times."""

    card = Card(
        name="programmer",
        description="Writes Python code for the task, runs it, repairs it if it fails, and returns what it computes.",
        parameters={"repairs": whole(0, 10, 3), "timeout_s": seconds(300, 30), **SAMPLING_PARAMETERS},
    )
    prompts = (ProgrammerPrompt, ProgrammerRepairPrompt)

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int]:
        """One, and one a repair."""
        repairs = parameters.get("repairs", 3)
        return (1, 1 + (repairs if isinstance(repairs, int) else 10))

    async def run(self, call: Invocation) -> Json:
        """What the code returned: as a text, or as it is where it must fit `call.output`.

        Raises:
            OperatorError: If the code still fails after the last repair.
            SandboxError: If there is no sandbox, or it failed.
        """
        given = settled(self.card, call.parameters)
        asked = asking(call, given)
        limits = Limits(wall_s=min(given["timeout_s"], call.timeout_s or given["timeout_s"]))
        opening = messages = say(call.conversation, render(ProgrammerPrompt(call.instruction)))
        failure: str | None = None
        for attempt in range(given["repairs"] + 1):
            reply = await asked.text(messages, attempt, "code")
            found = await run_function(choose(), extract(reply, FUNCTION), FUNCTION, (), limits)
            failure = _failure(found, call.output)
            if failure is None:
                return shown(found.value) if call.output is None else found.value
            # Only the code before goes back: the conversation must not grow with every repair.
            messages = answered(opening, reply, render(ProgrammerRepairPrompt(clipped(failure, _ERROR_CHARS))))
        raise OperatorError(f"the code failed, also after {given['repairs']} repairs: {clipped(failure or '', 300)}")


def _failure(found: Returned, output: Mapping[str, Json] | None) -> str | None:
    if found.reason is not None:
        return found.failure
    if output is not None:
        from autoflow.language.json_schema import fault_of_value

        fault = fault_of_value(found.value, output)
        return None if fault is None else f"{FUNCTION}() returned {shown(found.value)}, but {fault}"
    return f"{FUNCTION}() returned nothing" if found.value is None or not shown(found.value).strip() else None


PLUGIN = Programmer()
