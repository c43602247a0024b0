"""The form `outline`: a straight workflow as a list of steps and an answer, for generators too small for more.

Names, targets and step types follow from the order, so whatever fits the schema is a workflow whose wiring is sound;
only what its operators take and give can still be wrong. It has no decisions and no loops: a generator that can use
them writes the form `json` or `yaml`.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from autoflow.core.json import Json
from autoflow.core.workflow import Step, Workflow

ANSWER = "answer"
"""Name of the terminal."""

EXAMPLE: Mapping[str, Json] = {
    "steps": [
        ["Correct the letter.", "Spell Checker"],
        ["Say what kind of letter it is.", "Letter Sorter"],
        ["Write a short, friendly reply to it.", "generate"],
    ],
    "answer": "Give the final reply and nothing else.",
}
"""Shown to the generator. Of no benchmark, its operators too, so that it teaches the form and no answer."""

TOOLS_EXAMPLE: Mapping[str, Json] = {
    "steps": [["misspelt", "Spell Checker"], ["sort it", "Letter Sorter"]],
    "answer": "",
}
"""Likewise, for one task that tools alone solve."""


def outline_schema(operators: Sequence[str], *, max_steps: int, max_instruction_chars: int) -> dict[str, Json]:
    """The schema that a reply is held to; every text and list is bounded, so that every generation ends.

    A step is its instruction, then its operator: what has been said of a step informs the choice.
    """
    text: Json = {"type": "string", "maxLength": max_instruction_chars}
    step: Json = {
        "type": "array",
        "prefixItems": [text, {"type": "string", "enum": list(operators)}],
        "items": False,
        "minItems": 2,
        "maxItems": 2,
    }
    return {
        "type": "object",
        "properties": {
            "steps": {"type": "array", "items": step, "minItems": 1, "maxItems": max_steps - 1},
            "answer": text,
        },
        "required": ["steps", "answer"],
        "additionalProperties": False,
    }


def from_outline(value: Json, *, name: str = "outline") -> Workflow:
    """The workflow of a reply that fits `outline_schema`. Lint has not seen it.

    An empty `answer` makes the last step's result the answer, without a model call.
    """
    assert isinstance(value, Mapping)  # noqa: S101  the schema says so, and `structured` has checked it
    items = value["steps"]
    assert isinstance(items, list)  # noqa: S101  likewise
    names = [f"step {number}" for number in range(1, len(items) + 1)]
    steps = []
    for own, following, item in zip(names, [*names[1:], ANSWER], items, strict=True):
        assert isinstance(item, list)  # noqa: S101  likewise
        said, operator = (str(part).strip() for part in item)
        steps.append(Step(own, "process", said or _unsaid(operator), operator, next=following))
    return Workflow(name, (*steps, Step(ANSWER, "terminal", str(value["answer"]).strip())))


def _unsaid(operator: str) -> str:
    # A tool needs no words; a step of any kind needs an instruction to be a workflow's.
    return f"Carry out {operator}."


def to_outline(workflow: Workflow) -> Mapping[str, Json] | None:
    """The workflow as an outline; `None` where it has decisions or its steps do not follow each other."""
    steps = workflow.steps
    straight = all(step.type == "process" and step.next == after.name for step, after in pairwise(steps))
    if not straight or steps[-1].type != "terminal":
        return None
    return {
        "steps": [
            ["" if step.instruction == _unsaid(step.operator) else step.instruction, step.operator]
            for step in steps[:-1]
        ],
        "answer": steps[-1].instruction,
    }
