"""`ensemble`: several independent answers, and the one that most of them agree on (self-consistency)."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from autoflow.core.json import Json, canonical
from autoflow.core.model import Request
from autoflow.core.operator import Card, Invocation
from autoflow.errors import OperatorError
from autoflow.models.structured import structured
from autoflow.operators.asking import SAMPLING_PARAMETERS, sampling, say, together

MOST_SAMPLES = 50
AGREE = ("whole", "last_line", "number")

# A minus is a sign only where no digit, letter or bracket stands before it: "10-5" holds 10 and 5.
_NUMBER = re.compile(r"(?:(?<![\w)])-)?(?:\d[\d,]*(?:\.\d+)?|\.\d+)")


def normalise(text: str) -> str:
    """What two answers must share to agree: NFKC, lower case, single spaces, no punctuation at the end."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.split()).rstrip(" .,;:!?")


def key(answer: Json, agree: str) -> str:
    """The part of `answer` that is compared. `number` without a number in it compares the last line."""
    if not isinstance(answer, str):
        return canonical(answer)
    if agree == "whole":
        return normalise(answer)
    if agree == "number":
        found = _NUMBER.findall(unicodedata.normalize("NFKC", answer).replace("\u2212", "-"))
        if found:
            return f"{float(found[-1].replace(',', '')):.12g}"
    lines = [line for line in answer.splitlines() if line.strip()]
    return normalise(lines[-1]) if lines else ""


def majority(answers: Sequence[Json], agree: str) -> Json:
    """The commonest answer as it was first written; among equally common ones, the earliest."""
    keys = [key(answer, agree) for answer in answers]
    counts = Counter(keys)
    winner = max(range(len(keys)), key=lambda index: (counts[keys[index]], -index))
    return answers[winner]


class Ensemble:
    """Draws `samples` answers in parallel and votes."""

    card = Card(
        name="ensemble",
        description="Draws several independent answers and returns the one that most of them agree on.",
        parameters={
            "samples": {"type": "integer", "minimum": 1, "maximum": MOST_SAMPLES, "default": 5},
            "agree": {"enum": list(AGREE), "default": "last_line"},
            **SAMPLING_PARAMETERS,
            "temperature": {"type": "number", "minimum": 0, "maximum": 2, "default": 0.7},
        },
    )

    async def run(self, call: Invocation) -> Json:
        """The winning answer, as first written.

        Raises:
            OperatorError: If a parameter does not fit.
        """
        samples = call.parameters.get("samples", 5)
        if isinstance(samples, bool) or not isinstance(samples, int) or not 1 <= samples <= MOST_SAMPLES:
            raise OperatorError(f"samples is an integer from 1 to {MOST_SAMPLES}, not {samples!r}")
        agree = call.parameters.get("agree", "last_line")
        if agree not in AGREE:
            raise OperatorError(f"agree is one of {', '.join(AGREE)}, not {agree!r}")
        drawn = sampling(call.sampling, {"temperature": 0.7, **call.parameters})
        messages = say(call.conversation, call.instruction)

        async def draw(index: int) -> Json:
            request = Request(messages, drawn, sample=call.sample + index, purpose="step")
            if call.output is not None:
                return await structured(call.model, request, call.output)
            return (await call.model.complete(request)).text.strip()

        return majority(await together([draw(index) for index in range(samples)]), str(agree))


PLUGIN = Ensemble()
