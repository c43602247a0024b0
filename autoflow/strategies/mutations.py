"""Edits that no model writes: for generators too weak to write patches, and where nothing says what to mend."""

import random
from collections.abc import Iterator, Sequence

from autoflow.core.json import Json
from autoflow.core.operator import Card
from autoflow.core.workflow import DEFAULT_OPERATOR, Step, Workflow
from autoflow.errors import WorkflowError
from autoflow.strategies.patches import Edit, Scope, patched

THINK = "Think step by step. "
LIST = "List what the task gives and what it asks for, one point a line."
CHECK = "Check the result so far against the task, point by point. Correct what is wrong and add what is missing."


def mutation(
    workflow: Workflow, cards: Sequence[Card], rng: random.Random, scope: Scope, *, step: str | None = None
) -> tuple[Workflow, Edit] | None:
    """The workflow after one edit drawn from those that lint accepts; `None` if there is none.

    `step`: where to edit, if it is known what is at fault.
    """
    edits = list(_edits(workflow, cards, step))
    rng.shuffle(edits)
    for edit in edits:
        try:
            return patched(workflow, [edit], cards, scope), edit
        except WorkflowError:
            continue
    return None


def simplification(
    workflow: Workflow, cards: Sequence[Card], rng: random.Random, scope: Scope
) -> tuple[Workflow, Edit] | None:
    """The workflow with one thing less to pay for; `None` if nothing can go."""
    edits: list[Edit] = [{"op": "remove_step", "step": step.name} for step in workflow.steps if step.type != "terminal"]
    for step in workflow.steps:
        if step.operator != DEFAULT_OPERATOR and any(
            card.name == step.operator and card.kind == "model" for card in cards
        ):
            edits.append({"op": "swap_operator", "step": step.name, "operator": DEFAULT_OPERATOR})
    rng.shuffle(edits)
    for edit in edits:
        try:
            return patched(workflow, [edit], cards, scope), edit
        except WorkflowError:
            continue
    return None


def _edits(workflow: Workflow, cards: Sequence[Card], only: str | None) -> Iterator[Edit]:
    plain = [card for card in cards if card.kind == "model" and all("default" in p for p in card.parameters.values())]
    for step in workflow.steps:
        if only is not None and step.name != only:
            continue
        if step.type != "decision":
            for card in plain:
                if card.name != step.operator and step.instruction.strip():
                    yield {"op": "swap_operator", "step": step.name, "operator": card.name}
        if step.instruction.strip() and not step.instruction.startswith(THINK):
            yield {"op": "replace_instruction", "step": step.name, "instruction": THINK + step.instruction}
        yield _inserted(step, "list points", LIST)
        if step.name != workflow.entry.name:
            yield _inserted(step, "check", CHECK)
        if step.type != "terminal":
            yield {"op": "remove_step", "step": step.name}
        if step.reads is not None:
            yield {"op": "set_reads", "step": step.name, "reads": None}
        yield from _settings(step, cards)


def _inserted(step: Step, name: str, instruction: str) -> Edit:
    return {
        "op": "insert_step",
        "before": step.name,
        "name": name,
        "operator": DEFAULT_OPERATOR,
        "instruction": instruction,
    }


def _settings(step: Step, cards: Sequence[Card]) -> Iterator[Edit]:
    """Other values of the parameters that the step's operator has."""
    card = next((card for card in cards if card.name == step.operator), None)
    for name, schema in ({} if card is None else card.parameters).items():
        now = step.parameters.get(name, schema.get("default"))
        values: list[Json] = []
        options = schema.get("enum")
        if isinstance(options, list | tuple):
            values = list(options)
        elif schema.get("type") == "integer" and isinstance(now, int):
            values = [now + 2, now - 2]
        elif schema.get("type") == "boolean":
            values = [not now]
        for value in values:
            if value != now:
                yield {"op": "set_parameter", "step": step.name, "parameter": name, "value": value}
