"""`answer`: reasoning and a concise answer in one reply, of which the answer is kept. AFlow's AnswerGenerate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.operator import Card, Invocation
from autoflow.operators.asking import SAMPLING_PARAMETERS, asking, say, settled, words
from autoflow.prompts import render


@dataclass(frozen=True, slots=True)
class AnswerPrompt:
    """The instruction, and what goes where."""

    template: ClassVar[str] = "operators/answer.j2"
    instruction: str


class Answer:
    """Asks once for `{thought, answer}`. The thought comes first, so that it can inform the answer."""

    card = Card(
        name="answer",
        description="Thinks step by step and gives the answer alone, as short as possible.",
        parameters=SAMPLING_PARAMETERS,
    )
    prompts = (AnswerPrompt,)

    def calls(self, parameters: Mapping[str, Json]) -> tuple[int, int]:
        """One."""
        return (1, 1)

    async def run(self, call: Invocation) -> Json:
        """The answer: a text without surrounding white space, or the JSON value that fits `call.output`."""
        asked = asking(call, settled(self.card, call.parameters))
        turn = say(call.conversation, render(AnswerPrompt(call.instruction)))
        found = (await asked.json(turn, schema(call.output, words(call.model))))["answer"]
        return found.strip() if isinstance(found, str) else found


def schema(output: Mapping[str, Json] | None, text: Json) -> dict[str, Json]:
    """What the reply must fit: a thought that fits `text`, and an answer that fits `output`, or `text` too."""
    answer = text if output is None else _moved(output)
    return {
        "type": "object",
        "properties": {"thought": text, "answer": answer},
        "required": ["thought", "answer"],
        "additionalProperties": False,
    }


def _moved(schema: Json) -> Json:
    """The schema with references to its root leading to its new place."""
    if isinstance(schema, Mapping):
        return {
            key: f"#/properties/answer{item[1:]}"
            if key == "$ref" and isinstance(item, str) and item.startswith("#")
            else _moved(item)
            for key, item in schema.items()
        }
    if isinstance(schema, list | tuple):
        return [_moved(item) for item in schema]
    return schema


PLUGIN = Answer()
