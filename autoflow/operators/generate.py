"""`generate`: one model call. The default operator."""

from collections.abc import Mapping

from autoflow.core.json import Json
from autoflow.core.model import Request
from autoflow.core.operator import Card, Invocation
from autoflow.models.structured import structured
from autoflow.operators.asking import SAMPLING_PARAMETERS, sampling, say


class Generate:
    """Asks the model once, with the task and the progress before the instruction."""

    card = Card(
        name="generate",
        description="Answers the instruction in one model call that sees the task and the results so far.",
        parameters=SAMPLING_PARAMETERS,
    )

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int]:
        """One."""
        return (1, 1)

    async def run(self, call: Invocation) -> Json:
        """The reply without surrounding white space, or the JSON value that fits `call.output`."""
        request = Request(
            messages=say(call.conversation, call.instruction),
            sampling=sampling(call.sampling, call.parameters) if call.parameters else call.sampling,
            sample=call.sample,
            purpose="step",
        )
        if call.output is not None:
            return await structured(call.model, request, call.output)
        return (await call.model.complete(request)).text.strip()


PLUGIN = Generate()
