"""`python`: a function written in the workflow file, run in the sandbox on the results that the step reads.

For logic that is no language: counting, comparing, picking, joining. No model is called. On a decision the function
returns a label, so that a branch is taken by code.
"""

from collections.abc import Mapping

from autoflow.core.json import Json
from autoflow.core.operator import Card, Invocation
from autoflow.errors import OperatorError
from autoflow.operators.asking import clipped, seconds, settled, whole
from autoflow.sandbox.choose import choose
from autoflow.sandbox.function import call as run_function
from autoflow.sandbox.program import MIB, Limits

FUNCTION = "run"

CODE: Mapping[str, Json] = {
    "type": "string",
    "minLength": 1,
    "description": "Python that defines run(results, task); results by step name; returns JSON",
    # What lint checks it by, before anything runs: it is Python, and it defines this function.
    "contentMediaType": "text/x-python",
    "x-defines": FUNCTION,
}


class Python:
    """Runs the parameter `code`, which defines `run(results, task)` or `run(results)`."""

    card = Card(
        name="python",
        description="Runs a Python function run(results, task), written as the parameter code, on the results that the "
        "step reads, and returns its value; asks no model.",
        output="any",
        parameters={"code": CODE, "timeout_s": seconds(300, 10), "memory_mb": whole(128, 4096, 512)},
    )
    prompts = ()

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int]:
        """None."""
        return (0, 0)

    async def run(self, call: Invocation) -> Json:
        """What the function returned.

        It is given the results that the step reads, by step name, and the task as `{text, context}`. It has the
        standard library, and neither files, network nor environment.

        Raises:
            OperatorError: If it fails, takes too long, or returns what is no JSON.
            SandboxError: If there is no sandbox, or it failed.
        """
        given = settled(self.card, call.parameters)
        limits = Limits(
            wall_s=min(given["timeout_s"], call.timeout_s or given["timeout_s"]),
            memory_bytes=given["memory_mb"] * MIB,
        )
        task: dict[str, Json] = {"text": call.task.text, "context": dict(call.task.context)}
        found = await run_function(choose(), given["code"], FUNCTION, (dict(call.inputs), task), limits)
        if found.reason is not None:
            raise OperatorError(f"{FUNCTION}() failed: {clipped(found.failure, 500)}")
        return found.value


PLUGIN = Python()
