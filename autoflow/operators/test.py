"""`test`: runs code on the task's public tests, and has the model repair it where they fail. AFlow's Test.

The tests are those that a workflow may see (`Task.context`, see `autoflow.benchmarks.visible_tests`), never those that
it is scored by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.operator import Card, Invocation
from autoflow.core.task import Task
from autoflow.errors import DataError
from autoflow.operators.asking import SAMPLING_PARAMETERS, asking, clipped, newest, say, seconds, settled, shown, whole
from autoflow.operators.code_generate import entry_point
from autoflow.prompts import render
from autoflow.sandbox.choose import choose
from autoflow.sandbox.judge import Checks, judge
from autoflow.sandbox.program import Limits
from autoflow.scorers.code_tests import extract, helpers

_FAILURE_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class ReflectPrompt:
    """The code, its tests and how it failed."""

    template: ClassVar[str] = "operators/reflect.j2"
    instruction: str
    code: str
    tests: Sequence[str]
    failure: str


class PublicTests:
    """Tests, asks for a reflection with new code, tests again; at most `repairs` times."""

    card = Card(
        name="test",
        description="Runs the newest code on the task's public tests; where they fail, reflects on why and repairs it. "
        "Without public tests the code passes as it is.",
        inputs=("code",),
        output="code",
        parameters={"repairs": whole(0, 10, 3), "timeout_s": seconds(120, 15), **SAMPLING_PARAMETERS},
    )
    prompts = (ReflectPrompt,)

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int]:
        """One a repair."""
        repairs = parameters.get("repairs", 3)
        return (0, repairs if isinstance(repairs, int) else 10)

    async def run(self, call: Invocation) -> Json:
        """The code that passes; the last version where none does, or as it came where the task has no public tests.

        Raises:
            OperatorError: If there is no result to test.
            DataError: If the public tests are no tests.
            SandboxError: If there is no sandbox, or it failed.
        """
        given = settled(self.card, call.parameters)
        entry, tests = entry_point(call.task), public_tests(call.task)
        code = extract(shown(newest(call, "code to test")), entry).strip("\n")
        limits = Limits(wall_s=min(given["timeout_s"], call.timeout_s or given["timeout_s"]))
        for attempt in range(given["repairs"]):
            failure = await _failure(call.task, code, entry, tests, limits)
            if failure is None:
                break
            turn = render(ReflectPrompt(call.instruction, clipped(code), tests, clipped(failure, _FAILURE_CHARS)))
            reply = await asking(call, given).text(say(call.conversation, turn), attempt, "reflect")
            code = extract(reply, entry).strip("\n")
        return code


def public_tests(task: Task) -> list[str]:
    """The statements under `public_tests` in the task's context.

    Raises:
        DataError: If it is no list of texts.
    """
    found = task.context.get("public_tests")
    if found is None:
        return []
    if not isinstance(found, list | tuple) or not all(isinstance(test, str) for test in found):
        raise DataError(f"task {task.id}: public_tests in its context must be a list of statements, not {found!r}")
    return [str(test) for test in found]


async def _failure(task: Task, code: str, entry: str, tests: Sequence[str], limits: Limits) -> str | None:
    if not tests:
        return None
    prompt = task.context.get("prompt")
    try:
        before = helpers(prompt, entry) if isinstance(prompt, str) else ""
        verdict = await judge(choose(), (f"{before}\n{code}\n",), Checks("\n".join(tests), entry, before), limits)
    except DataError as error:
        raise DataError(f"task {task.id}: its public tests: {error.message}", hint=error.hint) from error
    return None if verdict.passed else f"{verdict.reason}: {verdict.detail}" if verdict.detail else verdict.reason


PLUGIN = PublicTests()
